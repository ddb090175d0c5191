"""Skin appearance of a synthetic subject, sampled from continuous ranges, and its material.

Two pigments absorb light (Beer-Lambert): melanin, first mostly blue and then evenly, and blood,
mostly green. Palms have little melanin, knuckles more, fingertips more blood, and nails a tint of
their own. Colours are linear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import FINGERS, JOINTS, TIPS
from handpose.render.render import Material
from handpose.render.smoothstep import smoothstep
from handpose.render.surface import FloatArray, Surface

BARE = np.array([0.86, 0.74, 0.65], np.float32)
"""Albedo of skin without pigment."""
MELANIN = np.array([0.86, 0.90, 0.92], np.float32)
BROWN = np.array([0.30, 0.85, 1.35], np.float32)
BLOOD = np.array([0.06, 0.42, 0.34], np.float32)
"""Absorption of one unit of pigment in log red, green and blue. BROWN saturates with melanin, so
that light skin turns brown before it turns dark."""
NAIL = np.array([0.62, 0.42, 0.36], np.float32)

GRAIN_M = 0.0015
"""Cell size of the skin's grain noise."""

KNUCKLES = tuple(f"{finger}_{level}" for finger in FINGERS for level in (1, 2, 3))
KNUCKLE_M = 0.006
NAIL_LENGTH_M = 0.012
NAIL_HALF_WIDTH_M = 0.005


class Skin(NamedTuple):
    """The skin of one subject."""

    melanin: float
    blood: float
    pale_palm: float  # fraction of melanin missing in the palms
    creases: float  # additional melanin on knuckles
    gloss: float
    nail: float  # contrast of the nails, 0..1
    grain: float  # strength of the grain
    grain_offset: FloatArray  # (3,) m, offset into the grain noise


class Sleeve(NamedTuple):
    """Cloth over the forearm."""

    start: float  # fraction of the forearm that stays bare
    albedo: FloatArray  # (3,)


BARE_ARM = Sleeve(2.0, np.zeros(3))


class Regions(NamedTuple):
    """Masks of the skin's regions, per vertex of the surface, 0..1."""

    palm: FloatArray  # (N,)
    knuckle: FloatArray  # (N,)
    tip: FloatArray  # (N,)
    nail: FloatArray  # (N,)
    forearm: FloatArray  # (N,) rises from 0 at the wrist to 1 at the elbow


def sample_skin(rng: np.random.Generator) -> Skin:
    """Sample a subject's skin, from very light to very dark."""
    return Skin(
        melanin=rng.uniform(0.03, 2.3),
        blood=rng.uniform(0.1, 0.65),
        pale_palm=rng.uniform(0.35, 0.65),
        creases=rng.uniform(0.05, 0.3),
        gloss=rng.uniform(0.02, 0.10),
        nail=rng.uniform(0.3, 0.9),
        grain=rng.uniform(0.02, 0.06),
        grain_offset=rng.uniform(0, 1, 3),
    )


def sample_sleeve(rng: np.random.Generator) -> Sleeve:
    """Sample a sleeve of any colour; most start beyond the elbow, so that the arm is bare."""
    return Sleeve(rng.uniform(0.1, 2.5), rng.uniform(0.02, 0.6) * rng.uniform(0.3, 1.0, 3))


def regions(surface: Surface, joints: NDArray[np.floating]) -> Regions:
    """Find palm, knuckles, tips and nails of a right hand in its rest pose.

    Args:
        surface: in its rest pose.
        joints: (21, 3) m of the rest pose.
    """
    at = dict(zip(JOINTS, joints, strict=True))
    rest, normals = surface.rest, surface.mesh(surface.control).normals
    across = _unit(at["index_1"] - at["pinky_1"])  # towards the thumb
    dorsal = _unit(np.cross(at["middle_1"] - at["wrist"], across))
    back = normals @ dorsal  # (N,) 1 on the back of the hand, -1 in the palm
    knuckle, tip, nail = (np.zeros(len(rest), np.float32) for _ in range(3))
    for name in KNUCKLES:
        away = np.square(rest - at[name]).sum(1)
        knuckle += np.exp(-away / (2 * (2 * KNUCKLE_M) ** 2)) * np.clip(2 * back, 0, 1)
    for finger, end in zip(FINGERS, TIPS, strict=True):
        offset = rest - joints[end]  # (N, 3)
        along = _unit(joints[end] - joints[end - 1])
        upwards = dorsal + across if finger == "thumb" else dorsal
        upwards = _unit(upwards - (upwards @ along) * along)
        tip += np.exp(-np.square(offset).sum(1) / (2 * 0.012**2))
        depth = offset @ along  # (N,) 0 at the tip, negative towards the hand
        side = np.abs(offset @ np.cross(along, upwards))
        nail += (
            smoothstep(depth, -NAIL_LENGTH_M - 0.001, -NAIL_LENGTH_M + 0.001)
            * (1 - smoothstep(side, NAIL_HALF_WIDTH_M - 0.001, NAIL_HALF_WIDTH_M + 0.001))
            * smoothstep(normals @ upwards, 0.3, 0.6)
            * (np.square(offset).sum(1) < 0.02**2)
        )
    forearm = np.zeros(len(rest), np.float32)
    arm = surface.is_forearm
    forearm[arm] = np.linalg.norm(rest[arm] - at["wrist"], axis=1)
    forearm /= forearm.max()
    unmarked = np.where(arm, 0, 1)
    return Regions(
        smoothstep(-back, -0.1, 0.6),
        np.minimum(knuckle, 1) * unmarked,
        np.minimum(tip, 1) * unmarked,
        np.minimum(nail, 1) * unmarked,
        forearm,
    )


def skin_material(
    skin: Skin, sleeve: Sleeve, where: Regions, rest: FloatArray, grain: NDArray[np.float32]
) -> Material:
    """Material of the surface (N vertices); `grain` is tileable noise (S, S, S)."""
    melanin = skin.melanin * (1 - skin.pale_palm * where.palm) * (1 + skin.creases * where.knuckle)
    blood = skin.blood * (1 + 0.4 * where.palm + 0.4 * where.knuckle + 0.6 * where.tip)
    browning = 1 - np.exp(-melanin)
    albedo = BARE * np.exp(
        -melanin[:, None] * MELANIN - browning[:, None] * BROWN - blood[:, None] * BLOOD
    )  # (N, 3)
    nail = skin.nail * where.nail
    albedo += 0.6 * nail[:, None] * (NAIL * (0.4 + 0.6 * albedo.max()) - albedo)
    gloss = skin.gloss * (1 + 3 * nail)
    covered = cloth(where, sleeve)
    albedo += covered[:, None] * (sleeve.albedo - albedo)
    return Material(
        albedo.astype(np.float32),
        (gloss * (1 - covered)).astype(np.float32),
        (rest + skin.grain_offset).astype(np.float32),
        grain,
        GRAIN_M,
        (skin.grain * (MELANIN + BLOOD)).astype(np.float32),
    )


def cloth(where: Regions, sleeve: Sleeve) -> FloatArray:
    """How far the sleeve covers the surface: (N,) 0..1."""
    return smoothstep(where.forearm, sleeve.start, sleeve.start + 0.02)


def _unit(vector: NDArray[np.floating]) -> FloatArray:
    """The vector, normalised."""
    return np.asarray(vector / np.linalg.norm(vector))
