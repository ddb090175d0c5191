"""A person's skin texture as charts of palm and back: colour and relief of lines and fine skin."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray
from handpose.render.texture_charts import CHANNELS, Charts, mip_levels
from handpose.synthetic.skin import BLOOD, MELANIN, Regions, Skin, Sleeve, cloth
from handpose.synthetic.texture.back_lines import tendons, veins, wrinkles
from handpose.synthetic.texture.fine_skin import fade_out, fine_lines, mottling
from handpose.synthetic.texture.landmarks import Landmarks
from handpose.synthetic.texture.palm_lines import palm_lines
from handpose.synthetic.texture.strokes import Grid, paint

TEXEL_M = 0.00035
"""Of the finest charts."""
LEVELS = 5
"""Mip levels: the last one has texels 16 times as large."""
SHARP = 1.5
"""Texels per sample, at least, of the finest level."""
MARGIN_M = 0.004
ARM_M = 0.11
"""How far up the forearm the charts reach."""

GROOVE = 0.6 * BLOOD + 0.2 * MELANIN
GROOVE_MELANIN = 0.1 * MELANIN
"""Absorption of a line of depth 1, and more of it per unit of the skin's melanin."""
FOLD_M, FOLD = 0.0018, 0.3
"""A line lies in a soft fold: blur and share of it."""
VEIN = np.array([0.26, 0.16, 0.07], np.float32)
BLOTCH = 0.11 * BLOOD
PORE = 0.03 * MELANIN
GROOVE_RELIEF_M = 0.00016
TENDON_RELIEF_M = 0.0008
VEIN_RELIEF_M = 0.0004
PORE_RELIEF_M = 0.000008
"""Heights of depth 1."""


class Marks(NamedTuple):
    """What is painted on one side of the hand, each (H, W)."""

    groove: NDArray[np.float32]
    vein: NDArray[np.float32]
    tendon: NDArray[np.float32]
    blotch: NDArray[np.float32]
    pore: NDArray[np.float32]


class PaintedSkin(NamedTuple):
    """The charts of palm and back of one person."""

    grid: Grid  # of the finest level
    levels: list[NDArray[np.float32]]  # each (2, H, W, CHANNELS)


def hand_grid(hand: Landmarks, spacing_m: float) -> Grid:
    """The texels of a hand's charts, from a part of the forearm to the fingertips.

    Args:
        hand: in its rest pose.
        spacing_m: smallest distance of the samples that will be looked up.
    """
    texel = TEXEL_M * 2 ** max(0, int(np.log2(spacing_m / TEXEL_M / SHARP)))
    shown = hand.uv[hand.uv[:, 1] > -ARM_M]
    low, high = shown.min(0) - MARGIN_M, shown.max(0) + MARGIN_M
    low[1] = -ARM_M
    step = 2 ** (LEVELS - 1)
    columns, rows = (-(-int(side / texel) // step) * step for side in high - low)
    return Grid(low, texel, (rows, columns))


def paint_person(
    rngs: tuple[np.random.Generator, np.random.Generator],
    hand: Landmarks,
    skin: Skin,
    creases: float,
    detail: float,
    spacing_m: float,
) -> PaintedSkin:
    """Paint a person's charts.

    Args:
        rngs: of the person's lines, and of the person's fine skin.
        hand: in its rest pose.
        skin: of the person.
        creases: strength of the lines; 0: none.
        detail: strength of the fine skin; 0: none.
        spacing_m: smallest distance of the samples that will be looked up.
    """
    grid = hand_grid(hand, spacing_m)
    seen = TEXEL_M / grid.texel_m  # of the pores, which larger texels average
    nothing = np.zeros(grid.shape, np.float32)
    palm = back = Marks(nothing, nothing, nothing, nothing, nothing)
    if creases:
        palm = palm._replace(groove=creases * _folded(paint(palm_lines(rngs[0], hand), grid), grid))
        back = back._replace(
            groove=creases * _folded(paint(wrinkles(rngs[0], hand), grid), grid),
            tendon=creases * paint(tendons(rngs[0], hand), grid),
            vein=creases * paint(veins(rngs[0], hand), grid),
        )
    if detail:
        fade = fade_out(grid)
        palm, back = (
            side._replace(
                blotch=detail * share * mottling(rngs[1], grid) * fade,
                pore=detail * seen * fine_lines(rngs[1], grid, crossing) * fade,
            )
            for side, share, crossing in ((palm, 1.0, False), (back, 0.6, True))
        )
    pictures = np.stack([_chart(side, skin, grid) for side in (palm, back)])
    return PaintedSkin(grid, mip_levels(pictures, LEVELS))


def charts(painted: PaintedSkin, hand: Landmarks, where: Regions, sleeve: Sleeve) -> Charts:
    """The charts on a surface: palm and back each on its side, none on nails and cloth."""
    bare = 1 - cloth(where, sleeve)
    weights = np.stack([hand.palm * bare, hand.back * (1 - where.nail) * bare], 1)
    uv = hand.uv - painted.grid.origin
    return Charts(
        uv.astype(np.float32), weights.astype(np.float32), painted.grid.texel_m, painted.levels
    )


def _folded(groove: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """The lines with the soft folds that they lie in."""
    fold = cv2.GaussianBlur(groove, (0, 0), FOLD_M / grid.texel_m)
    return np.asarray(groove + FOLD * fold, np.float32)


def _chart(marks: Marks, skin: Skin, grid: Grid) -> NDArray[np.float32]:
    """One side of the hand: (H, W, CHANNELS)."""
    absorbed: list[tuple[NDArray[np.float32], FloatArray]] = [
        (marks.groove, GROOVE + skin.melanin * GROOVE_MELANIN),
        (marks.vein, VEIN / (1 + 1.5 * skin.melanin)),
        (marks.blotch, BLOTCH),
        (marks.pore, PORE),
    ]
    height = (
        TENDON_RELIEF_M * marks.tendon
        + VEIN_RELIEF_M * marks.vein
        - GROOVE_RELIEF_M * marks.groove
        - PORE_RELIEF_M * marks.pore
    )
    chart = np.empty((*grid.shape, CHANNELS), np.float32)
    chart[..., :3] = -sum(mark[..., None] * pigment for mark, pigment in absorbed)
    chart[..., 4], chart[..., 3] = np.gradient(height, grid.texel_m)  # rows run along v
    return chart
