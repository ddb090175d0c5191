"""The rendered surface: the hand's 778 vertices, subdivided once, with a forearm at the wrist.

The hand model is a coarse mesh, open at the wrist. For rendering, one Loop subdivision (a constant
sparse matrix) smooths it, and its boundary loop is extruded into a forearm, or closed. Annotations
use the original mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

FOREARM_RINGS = 12
FOREARM_LENGTH_M = 0.45
FOREARM_BEND_M = 0.07
"""Length over which the forearm bends from the hand's axis into its own direction."""
FOREARM_WIDENING = 0.3
"""Relative increase in thickness from wrist to elbow."""

CAP_RINGS = 5
CAP_HEIGHT_M = 0.012
"""The rounded end of a hand without a forearm."""


class Mesh(NamedTuple):
    """Triangles to be rendered; faces are counter-clockwise seen from outside."""

    vertices: FloatArray  # (N, 3) m
    normals: FloatArray  # (N, 3) unit, outward
    faces: IntArray  # (F, 3)


class Surface:
    """Refined topology of a hand model; serves right and left hands."""

    def __init__(self, faces: NDArray[Any], rest: NDArray[Any], forearm: bool = True) -> None:
        """Refine the hand model.

        Args:
            faces: (F, 3) of a right hand with one open loop.
            rest: (V, 3) m its rest pose.
            forearm: continue the hand as a forearm; else close it with a rounded end at the wrist.
        """
        self._has_forearm = forearm
        rings = FOREARM_RINGS if forearm else CAP_RINGS
        faces = np.asarray(faces, np.int64)
        refine, fine = _loop_subdivision(faces, len(rest))
        self.loop = _boundary(fine)  # (L,)
        self.faces = np.concatenate([fine, _tube_faces(self.loop, refine.shape[0], rings)])
        self._refine = refine.astype(np.float32)  # (N0, V)
        self._incidence = _incidence(self.faces, refine.shape[0] + rings * len(self.loop))
        self.control = np.asarray(rest, np.float32)  # (V, 3) m
        hand = self.refine(self.control)
        along = hand[self.loop].mean(0) - hand.mean(0)
        self._outward = float(np.sign(_loop_normal(hand[self.loop]) @ along))
        self.rest = self._completed(hand, None)  # (N, 3) m, anchors the skin texture
        self.is_forearm = np.arange(len(self.rest)) >= refine.shape[0]  # (N,)

    def refine(self, values: NDArray[Any]) -> FloatArray:
        """Values per vertex of the hand model (V, C) -> per refined vertex, no forearm (N0, C)."""
        return np.asarray(self._refine @ values.astype(np.float32), np.float32)

    def mesh(
        self, vertices: NDArray[Any], is_left: bool = False, forearm: NDArray[Any] | None = None
    ) -> Mesh:
        """The refined hand with its forearm or end.

        Args:
            vertices: (V, 3) m, posed, in any frame; those of a left hand already mirrored.
            is_left: flip the faces, as a mirrored mesh requires.
            forearm: (3,) direction from wrist to elbow; the hand's own axis by default.
        """
        fine = self._completed(self.refine(vertices), forearm, -1.0 if is_left else 1.0)
        faces = self.faces[:, ::-1] if is_left else self.faces
        a, b, c = (fine[faces[:, k]] for k in range(3))
        normals = np.asarray(self._incidence @ np.cross(b - a, c - a), np.float32)  # (N, 3)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        return Mesh(fine, normals, faces)

    def _completed(
        self, hand: FloatArray, direction: NDArray[Any] | None, sign: float = 1.0
    ) -> FloatArray:
        """The refined vertices followed by the rings of the forearm or the end: (N, 3)."""
        ring = hand[self.loop]  # (L, 3)
        start = _loop_normal(ring) * self._outward * sign
        rings = _forearm(ring, start, direction) if self._has_forearm else _cap(ring, start)
        return np.concatenate([hand, *rings])


def _cap(ring: FloatArray, outward: FloatArray) -> list[FloatArray]:
    """Rings that close the wrist loop (L, 3) with a dome."""
    centre = ring.mean(0)
    offsets = ring - centre
    rings = []
    for k in range(1, CAP_RINGS + 1):
        angle = np.pi / 2 * k / CAP_RINGS
        raised = centre + CAP_HEIGHT_M * np.sin(angle) * outward
        rings.append((raised + np.cos(angle) * offsets).astype(np.float32))
    return rings


def _forearm(
    ring: FloatArray, start: FloatArray, direction: NDArray[Any] | None
) -> list[FloatArray]:
    """Rings from the wrist loop (L, 3) to the elbow; `start` points away from the hand."""
    end = start if direction is None else np.asarray(direction, np.float32)
    s = FOREARM_LENGTH_M * (np.arange(1, FOREARM_RINGS + 1) / FOREARM_RINGS) ** 1.5
    centre, previous = ring.mean(0), 0.0
    offsets = ring - centre
    rings = []
    for distance in s:
        turn = min(distance / FOREARM_BEND_M, 1.0)
        towards = start + (end - start) * turn
        towards /= np.linalg.norm(towards)
        centre = centre + towards * (distance - previous)
        # flatten the uneven wrist loop into a plane, and rotate that plane with the arm
        flat = offsets - np.outer(offsets @ start, start) * turn
        turned = _turn(flat, start, towards)
        width = 1 + FOREARM_WIDENING * distance / FOREARM_LENGTH_M
        rings.append((centre + turned * width).astype(np.float32))
        previous = distance
    return rings


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Concatenate meshes into one, e.g. two hands."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.faces + n for mesh, n in zip(meshes, starts, strict=False)]),
    )


def _loop_subdivision(faces: IntArray, count: int) -> tuple[Any, IntArray]:
    """One Loop subdivision as a sparse matrix (V + E, V), and its faces (4 F, 3).

    Loop's scheme shrinks: fingertips would lose 1-2 mm and no longer match the joints. One step
    towards interpolation, S (2 I - S_even), restores most of it.

    Source: Loop 1987, with Warren's weights.
    """
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])  # (3F, 2)
    across = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])  # (3F,)
    edges, edge_of = np.unique(np.sort(sides, 1), axis=0, return_inverse=True)  # (E, 2)
    edge_of = edge_of.reshape(-1)
    on_border = np.bincount(edge_of) == 1  # (E,)

    # new vertices: 3/8 of an edge's ends, 1/8 of the two opposite corners; midpoints at the border
    row = np.arange(len(edges))
    end = np.where(on_border, 0.5, 0.375)
    inner = ~on_border[edge_of]
    odd = sparse.coo_matrix(
        (
            np.concatenate([end, end, np.full(inner.sum(), 0.125)]),
            (
                np.concatenate([row, row, edge_of[inner]]),
                np.concatenate([edges[:, 0], edges[:, 1], across[inner]]),
            ),
        ),
        shape=(len(edges), count),
    )

    # old vertices: themselves and their ring; at the border themselves and two border neighbours
    border_vertex = np.zeros(count, bool)
    border_vertex[edges[on_border]] = True
    ends = np.concatenate([edges, edges[:, ::-1]])  # (2E, 2) vertex, neighbour
    ring = np.bincount(ends[:, 0], minlength=count)
    beta = np.where(ring == 3, 3 / 16, 3 / (8 * np.maximum(ring, 1)))
    weight = beta[ends[:, 0]]
    at_border = border_vertex[ends[:, 0]]
    weight[at_border] = np.where(np.tile(on_border, 2)[at_border], 0.125, 0.0)
    neighbours = sparse.coo_matrix((weight, (ends[:, 0], ends[:, 1])), shape=(count, count))
    even = neighbours + sparse.diags(1 - np.asarray(neighbours.sum(1)).ravel())

    new = count + edge_of.reshape(3, -1).T  # (F, 3) new vertices on ab, bc, ca
    a, b, c = faces.T
    ab, bc, ca = new.T
    fine = np.stack([(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)])  # (4, 3, F)
    unshrunk = 2 * sparse.identity(count) - even
    matrix = sparse.vstack([even, odd]).tocsr() @ unshrunk
    return matrix.tocsr(), fine.transpose(0, 2, 1).reshape(-1, 3)


def _boundary(faces: IntArray) -> IntArray:
    """Vertices of the single open boundary loop, in face orientation order: (L,)."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in sides}
    following = {a: b for a, b in directed if (b, a) not in directed}
    loop = [min(following)]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    return np.array(loop)


def _tube_faces(loop: IntArray, count: int, rings: int) -> IntArray:
    """Faces of the tube that extends an open loop; ring k starts at vertex count + k L."""
    size = len(loop)
    loops = [loop, *(count + k * size + np.arange(size) for k in range(rings))]
    faces = []
    for near, far in pairwise(loops):
        a, b = near, np.roll(near, -1)
        c, d = far, np.roll(far, -1)
        faces += [np.stack([b, a, c], 1), np.stack([b, c, d], 1)]
    return np.concatenate(faces)


def _incidence(faces: IntArray, count: int) -> Any:
    """Sparse (N, F) matrix that sums face vectors at their corners."""
    corner = faces.reshape(-1)
    face = np.repeat(np.arange(len(faces)), 3)
    ones = np.ones(len(corner), np.float32)
    return sparse.coo_matrix((ones, (corner, face)), shape=(count, len(faces))).tocsr()


def _loop_normal(ring: FloatArray) -> FloatArray:
    """Unit normal of a closed polygon by Newell's method: ring (L, 3) -> (3,)."""
    offsets = ring - ring.mean(0)
    area = np.cross(offsets, np.roll(offsets, -1, axis=0)).sum(0)
    return np.asarray(area / np.linalg.norm(area), np.float32)


def _turn(vectors: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Vectors (L, 3) under the smallest rotation from unit a to unit b (b != -a)."""
    axis, cosine = np.cross(a, b), float(a @ b)
    turned = vectors * cosine + np.cross(axis, vectors)
    return np.asarray(turned + np.outer(vectors @ axis, axis) / (1 + cosine), np.float32)
