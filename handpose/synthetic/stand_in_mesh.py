"""Mesh of the stand-in hand: rings of vertices on the implicit surface, with fixed topology.

A disk of 778 vertices and 1538 faces, open at the wrist with a boundary of 16 edges. Rings of 10
vertices along each digit pass through its joints, for clean bends; the base rings of neighbouring
fingers share three vertices (the web), and their outline is the last of the palm's rings. The thumb
starts at a hole of 3 x 2 quads. As the topology is fixed, meshes of different shapes correspond
vertex by vertex.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.skeleton import FINGERS
from handpose.synthetic.stand_in_shape import Array, Digit, HandShape

Ids = NDArray[np.int64]

SECTION = 10
"""Vertices of a digit's ring, at multiples of 36 degrees: radial, dorsal, ulnar, palmar."""

PALM_RINGS = (16, 24, 28, 28, 28, 28, 28, 28, 28, 28)
"""Vertices of the palm's rings, wrist first; the fingers' outline is one more, of 28."""

PAD = [7, 8]
"""Indices in a ring on the pad, the palmar side."""

THUMB_HOLE = (slice(3, 6), slice(24, 28))
"""Palm rings and columns around the thumb."""

NUMBERED_AS = ("smplx", "interhand", "intaghand", "freihand")
"""Sources of `TIP_VERTICES` whose fingertips have the same numbers here: with another one all
numbers would change."""

# where the rings lie: (bone + fraction of it), the base ring first
RINGS: dict[str, tuple[float, ...]] = {
    "thumb": (0.78, 1.0, 1.24, 1.48, 1.74, 2.0, 2.3, 2.58, 2.8, 2.94),
    "index": (0.40, 0.60, 0.80, 1.0, 1.33, 1.67, 2.0, 2.3, 2.58, 2.8, 2.94),
    "middle": (0.40, 0.56, 0.70, 0.85, 1.0, 1.33, 1.67, 2.0, 2.3, 2.58, 2.8, 2.94),
    "ring": (0.40, 0.60, 0.80, 1.0, 1.33, 1.67, 2.0, 2.3, 2.58, 2.8, 2.94),
    "pinky": (0.44, 0.63, 0.82, 1.0, 1.5, 2.0, 2.33, 2.67, 2.92),
}

WEB_SIDE: dict[str, tuple[float, float]] = {
    "thumb": (235.0, 8.0),
    **dict.fromkeys(FINGERS[1:], (270.0, 5.0)),
}
"""Direction (degrees) and size (mm) of a base ring's slant: the web extends further."""

ROUNDS = 60
"""Iterations of smoothing the palm's vertices over the surface."""


class Template:
    """The topology: vertex ids of rings and tips, and the faces."""

    def __init__(self) -> None:
        """Numbers the vertices: palm, base rings, digits; then assigns MANO's ids to the tips."""
        self._count = 0
        self.palm = [self._new(n) for n in PALM_RINGS]
        bases = self._base_rings()
        self.palm.append(_outline(bases))
        rows, columns = THUMB_HOLE
        hole = np.stack(self.palm[rows])[:, columns]  # (3, 4)
        around = [hole[0], hole[1:, -1], hole[-1, -2::-1], hole[-2:0:-1, 0]]
        bases["thumb"] = np.concatenate(around)
        self.rings: dict[str, list[Ids]] = {}
        self.tips: dict[str, int] = {}
        for name in FINGERS:
            more = [self._new(SECTION) for _ in RINGS[name][1:]]
            self.rings[name] = [bases[name], *more]
            self.tips[name] = int(self._new(1)[0])
        self._renumber(removed=hole[1:-1, 1:-1].ravel())

    def _renumber(self, removed: Ids) -> None:
        """Assign MANO's ids at the fingertips, -1 in the thumb's hole, and the rest in order.

        Every fingertip id of `NUMBERED_AS` is the tip vertex or lies on the last ring before it.
        """
        new = np.full(self._count, -1)
        for k, name in enumerate(FINGERS):
            ids = list(dict.fromkeys(TIP_VERTICES[source][k] for source in NUMBERED_AS))
            new[[self.tips[name], *self.rings[name][-1][PAD]][: len(ids)]] = ids
        rest = np.setdiff1d(np.flatnonzero(new < 0), removed)
        new[rest] = np.setdiff1d(np.arange(self._count - len(removed)), new)
        self.palm = [new[ring] for ring in self.palm]
        self.rings = {name: [new[ring] for ring in rings] for name, rings in self.rings.items()}
        self.tips = {name: int(new[tip]) for name, tip in self.tips.items()}
        self.vertices = self._count - len(removed)

    def _new(self, n: int) -> Ids:
        ids = np.arange(self._count, self._count + n)
        self._count += n
        return ids

    def _base_rings(self) -> dict[str, Ids]:
        """Rings at the fingers' roots; a finger's ulnar vertices are the next one's radial ones."""
        bases: dict[str, Ids] = {}
        shared: Ids | None = None
        for name in FINGERS[1:]:
            ring = np.full(SECTION, -1)
            if shared is not None:
                ring[[1, 0, 9]] = shared
            ring[ring < 0] = self._new(int((ring < 0).sum()))
            bases[name], shared = ring, ring[[4, 5, 6]]
        return bases

    @cached_property
    def faces(self) -> Ids:
        """Triangles, (F, 3), outward."""
        faces: list[tuple[int, int, int]] = []
        for lower, upper in itertools.pairwise(self.palm):
            faces += _zip(lower, upper)
        rows, columns = THUMB_HOLE
        hole = {-1, *np.stack(self.palm[rows])[:, columns].ravel().tolist()}
        faces = [face for face in faces if -1 not in face and not hole.issuperset(face)]
        for name, rings in self.rings.items():
            for lower, upper in itertools.pairwise(rings):
                faces += _zip(lower, upper)
            last = rings[-1]
            faces += [(a, b, self.tips[name]) for a, b in zip(last, np.roll(last, -1), strict=True)]
        return np.array(faces)


def _outline(bases: dict[str, Ids]) -> Ids:
    """Ring around the roots of the four fingers: dorsal to ulnar, then palmar."""
    index, middle, ring, pinky = (bases[name] for name in FINGERS[1:])
    back = [index[2:5], middle[2:5], ring[2:5], pinky[2:9]]
    return np.concatenate([*back, ring[6:9], middle[6:9], index[6:], index[:2]])


def fit_template(template: Template, hand: HandShape) -> Array:
    """Vertices of this hand on the template: (778, 3) mm, in the design's frame."""
    vertices = np.zeros((template.vertices, 3))
    for name, digit in hand.digits.items():
        _place_digit(vertices, template, hand, name, digit)
    _place_palm(vertices, template, hand)
    average = _neighbour_average(template)
    bases = [rings[0] for rings in template.rings.values()]
    loose = np.setdiff1d(np.concatenate([*template.palm[2:], *bases]), [-1])
    for _ in range(ROUNDS):
        vertices[loose] += 0.5 * (average[loose] @ vertices - vertices[loose])
        vertices[loose] = _project(vertices[loose], hand.distance)
    for _ in range(3):
        vertices[loose] = _project(vertices[loose], hand.distance)
    return vertices


def _place_digit(
    vertices: Array, template: Template, hand: HandShape, name: str, digit: Digit
) -> None:
    """Place rings where rays from the bone exit the skin; shared base vertices are averaged."""
    ends = np.concatenate([[0.0], np.cumsum(digit.lengths)])
    positions = np.interp(RINGS[name], np.arange(4), ends)  # (R,) mm along the digit
    angles = 2 * np.pi / SECTION * np.arange(SECTION)
    out = np.cos(angles)[:, None] * digit.lateral + np.sin(angles)[:, None] * digit.dorsal
    towards, slant = WEB_SIDE[name]
    straight = ends[2] if name == "thumb" else ends[1]
    for ids, s in zip(template.rings[name], positions, strict=True):
        oblique = slant * np.interp(s, (positions[0], straight), (1.0, 0.0))
        along = s + oblique * np.cos(angles - np.radians(towards))
        starts = digit.base + along[:, None] * digit.along
        reach = 1.8 * digit.radii.max()
        ring = starts + _exit(digit.distance, starts, out, reach)[:, None] * out
        for _ in range(3):  # move out to the skin, which bulges towards the palm
            ring += np.clip(-hand.finger(name, ring), 0.0, 1.0)[:, None] * out
        known = vertices[ids].any(axis=1, keepdims=True)
        vertices[ids] = np.where(known, (vertices[ids] + ring) / 2, ring)
    vertices[template.tips[name]] = digit.joints[3]


def _exit(surface: Callable[[Array], Array], starts: Array, out: Array, reach: float) -> Array:
    """Distance along the rays to the surface, by bisection: (N, 3), (N, 3) -> (N,) mm."""
    low, high = np.zeros(len(starts)), np.full(len(starts), reach)
    for _ in range(24):
        middle = (low + high) / 2
        inside = surface(starts + middle[:, None] * out) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    far: Array = (low + high) / 2
    return far


def _place_palm(vertices: Array, template: Template, hand: HandShape) -> None:
    """Place the palm's rings on straight lines from wrist to fingers, passing the thumb's base."""
    outline = vertices[template.palm[-1]]  # (28, 3)
    outline = np.concatenate([outline, outline[:1]])
    for k, ids in enumerate(template.palm[:-1]):
        column = np.linspace(0, 28, len(ids), endpoint=False)
        angle = 2 * np.pi * (column + 2) / 28  # column 26 is radial, column 12 ulnar
        ray = np.stack([np.zeros_like(angle), np.cos(angle), 0.66 * np.sin(angle)], axis=1)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        d = hand.proportions.palm_length * WRIST_MM[min(k, 1)]
        starts = np.tile([d, 0.0, 0.0], (len(ids), 1))
        wrist = starts + _exit(hand.palm, starts, ray, 60.0)[:, None] * ray
        end = np.stack([np.interp(column, np.arange(29), axis) for axis in outline.T], axis=1)
        placed = wrist + max(k - 1, 0) / (len(PALM_RINGS) - 1) * (end - wrist)
        taken = vertices[ids].any(axis=1, keepdims=True)  # the thumb's base ring is already placed
        vertices[ids] = np.where(taken, vertices[ids], placed)  # and so is id -1, the last vertex
    rows, columns = THUMB_HOLE
    grid = np.stack(template.palm[2:])[:, columns]  # rings 2.. have a vertex in every column
    first, last = rows.start - 2, rows.stop - 3
    for i, j in ((0, first), (last, len(grid) - 1)):
        part = np.linspace(0, 1, j - i + 1)[:, None, None]
        vertices[grid[i : j + 1]] = (1 - part) * vertices[grid[i]] + part * vertices[grid[j]]


def _neighbour_average(template: Template) -> sparse.csr_array:
    """Sparse matrix that averages the neighbours of each vertex."""
    f = template.faces
    i, j = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]).T
    links = sparse.coo_array((np.ones(len(i)), (i, j)), shape=(template.vertices,) * 2).tocsr()
    links = ((links + links.T) > 0).astype(float)
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(links.sum(axis=1), 1)) @ links)


def _project(points: Array, surface: Callable[[Array], Array]) -> Array:
    """One Newton step to the surface: (N, 3) -> (N, 3)."""
    step = 0.05  # mm
    shifts = np.concatenate([np.zeros((1, 3)), step * np.eye(3), -step * np.eye(3)])  # (7, 3)
    f = surface((points + shifts[:, None]).reshape(-1, 3)).reshape(7, -1)
    gradient = (f[1:4] - f[4:]).T / (2 * step)  # (N, 3)
    move = f[0, :, None] * gradient / (gradient**2).sum(axis=1, keepdims=True)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    landed: Array = points - move * np.minimum(1.0, 4.0 / np.maximum(length, 1e-9))
    return landed


WRIST_MM = (-22.0, -11.0)
"""Positions of the first two rings, distal of the wrist joint: plane sections."""


def _zip(lower: Ids, upper: Ids) -> list[tuple[int, int, int]]:
    """Triangulate between two closed rings that start at the same angle."""
    n, m = len(lower), len(upper)
    faces, i, j = [], 0, 0
    while i < n or j < m:
        if j < m and (i == n or (j + 0.5) * n <= (i + 0.5) * m):
            faces.append((lower[i % n], upper[(j + 1) % m], upper[j]))
            j += 1
        else:
            faces.append((lower[i], lower[(i + 1) % n], upper[j % m]))
            i += 1
    return [(int(a), int(b), int(c)) for a, b, c in faces]
