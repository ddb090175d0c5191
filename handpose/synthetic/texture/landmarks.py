"""Where the lines of a hand run: the rest pose laid flat, with its joints, widths and outline.

Right hand, metres: u towards the thumb, v from the wrist towards the middle knuckle. The rest pose
is flat, its fingers and thumb are spread; each side of it is nearly a height field over (u, v).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import JOINTS, PARENTS
from handpose.render.smoothstep import smoothstep
from handpose.render.surface import FloatArray, Surface

SLAB_M = 0.004
"""Half the length of the piece of a hand whose width is measured."""
TURN = (0.0, 0.5)
"""Cosine to a side's direction from which that side begins to show, and from which it is alone."""
THUMB_TURN = (0.2, 0.9)
"""Share of the thumb's metacarpal along which the skin turns to the thumb's own directions."""


class Landmarks:
    """The flat rest pose of a right hand."""

    def __init__(self, surface: Surface, joints: NDArray[np.floating]) -> None:
        """`joints` (21, 3) m of the rest pose of this surface."""
        joints = np.asarray(joints, np.float64)
        at = dict(zip(JOINTS, joints, strict=True))
        self._wrist = at["wrist"]
        across = unit(at["index_1"] - at["pinky_1"])
        distal = at["middle_1"] - self._wrist
        dorsal = unit(np.cross(distal, across))
        distal = unit(distal - (distal @ dorsal) * dorsal)
        self._plane = np.stack([np.cross(dorsal, distal), distal], 1)  # (3, 2)
        self._joints: dict[str, FloatArray] = dict(zip(JOINTS, self._flat(joints), strict=True))
        self.uv = self._flat(surface.rest).astype(np.float32)  # (N, 2) m, of all vertices

        bone, along = _nearest_bone(surface.rest, joints)  # each (N,)
        digits = np.array(["palm" if j.endswith("_1") else j.split("_")[0] for j in JOINTS])
        self._part = np.where(surface.is_forearm, "forearm", digits[bone])  # (N,)
        root = bone == JOINTS.index("thumb_2")
        turned = np.where(root, smoothstep(along, *THUMB_TURN), self._part == "thumb")[:, None]
        upwards = dorsal + turned * across  # (N, 3), as the thumb's nail faces
        upwards /= np.linalg.norm(upwards, axis=1, keepdims=True)
        facing = np.einsum("nk,nk->n", surface.mesh(surface.control).normals, upwards)
        self.palm = smoothstep(-facing, *TURN)  # (N,) how much of each side shows
        self.back = smoothstep(facing, *TURN)

    def at(self, joint: str) -> FloatArray:
        """A joint, by its name: (2,) m."""
        return self._joints[joint]

    def between(self, first: str, second: str, share: float) -> FloatArray:
        """The point at this share of the way between two joints: (2,) m."""
        start, end = self._joints[first], self._joints[second]
        return np.asarray(start + share * (end - start))

    def half_width(self, digit: str, point: FloatArray, along: FloatArray) -> float:
        """Half the width of a digit across the unit vector `along` at this point, m."""
        offset = self.uv[self._part == digit] - point
        slab = offset[np.abs(offset @ along) < SLAB_M]
        return float(np.abs(slab @ normal(along)).max(initial=SLAB_M))

    def outline(self, v: float) -> tuple[float, float]:
        """The ulnar and the radial edge of palm or forearm at this v: u, m."""
        trunk = self.uv[np.isin(self._part, ("palm", "forearm"))]
        nearest = np.abs(trunk[:, 1] - v)
        u = trunk[nearest < max(SLAB_M, nearest.min() + SLAB_M), 0]
        return float(u.min()), float(u.max())

    def _flat(self, points: NDArray[np.floating]) -> FloatArray:
        return np.asarray((points - self._wrist) @ self._plane)


def unit(vector: NDArray[np.floating]) -> FloatArray:
    """The vector, normalised."""
    return np.asarray(vector / np.linalg.norm(vector))


def normal(along: NDArray[np.floating]) -> FloatArray:
    """The vector (2,) turned by a quarter, from v towards u."""
    return np.array([along[1], -along[0]])


def _nearest_bone(
    points: NDArray[np.floating], joints: FloatArray
) -> tuple[NDArray[np.intp], FloatArray]:
    """The joint at the end of the nearest bone, and the share along it: (N,) and (N,)."""
    start, end = joints[list(PARENTS[1:])], joints[1:]  # (20, 3)
    bone = end - start
    offset = points[:, None] - start  # (N, 20, 3)
    share = (np.einsum("nbk,bk->nb", offset, bone) / np.square(bone).sum(1)).clip(0, 1)
    away = np.square(offset - share[..., None] * bone).sum(2)  # (N, 20)
    nearest = away.argmin(1)
    return nearest + 1, share[np.arange(len(points)), nearest]
