"""Whether a photo shows a second hand beside the annotated one.

The annotated hand is painted over from what is around it, and its forearm, which is followed from
the wrist as far as there is skin, so that nothing of either is left to be found. Then the released
network, whose confidence head tells a hand from none, is asked of patches of the hand's own colour;
and, where it takes one for a hand, of windows all round. What is none passes one of the two by
chance, a second hand both: the measure is their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.data.crop import affine, square, warp
from handpose.estimator import HandEstimator
from handpose.hand.palm_frame import KNUCKLES
from handpose.hand.skeleton import MIDDLE_MCP, PARENTS, WRIST
from pipeline.faults.ingested_hands import Bools, Floats

SIDE = 128
AROUND = 2.6
"""Side of the square that is looked at / longer side of the hand's box."""

FINGER = 0.22
"""Thickness of a finger, in lengths of the palm."""
PAINTED = 1.6
"""How much thicker the hand is painted over: joints lie somewhat beside it, and it has a shadow."""
INDEX_MCP, PINKY_MCP = KNUCKLES[0], KNUCKLES[-1]
PALM_LENGTH = 1.4
"""Of a palm, in widths from knuckle to knuckle."""
CORE = 0.4
"""How much thinner where its colour is taken."""
FEWEST_PX = 30
"""Pixels of a hand from which its colour is taken."""
ALIKE = 3.0
"""Distance from that colour, in its spreads, up to which a pixel counts as skin."""
LEAST_SPREAD = np.array([12.0, 3.0, 3.0])
"""Of L, a and b (8 bits): shading, and JPEG's."""

WRIST_WIDTH = 0.7
"""Width of the forearm at the wrist, in lengths of the palm."""
ARM_PAINTED = 1.4
"""How much wider it is painted over: it widens towards the elbow."""
ARM_STEP = 0.4
"""From one place on the forearm to the next, in lengths of the palm."""
ARM_STEPS = 16
WRIST_BENDS, ARM_BENDS = np.radians(np.arange(-100, 101, 10)), np.radians(np.arange(-30, 31, 10))
"""Directions in which it may go on, about the last one; at the wrist about that of the palm."""
STRAIGHTER = 0.1
"""Share of skin that a turn by one radian must gain."""
ARM_SKIN = 0.5
"""Share of skin below which a place is beyond the forearm."""

PATCH = 0.12
"""Smallest patch that may be another hand, in areas of the hand."""
PATCHES = 2
"""The largest ones, of which the network is asked."""
PATCH_SIDES = (0.6, 1.3)
"""Smallest and largest window of a patch, in sides of the hand's box."""

ZOOMS = (0.8, 1.0, 1.25)
"""Sizes of a patch's window, of all of which the network is asked."""

PERHAPS = 0.2
"""How likely the network must hold a patch for a hand for windows to be asked of."""
STEP = 0.75
"""From the hand to the windows around it, in sides of the box."""
SEEN = 0.5
"""Share of a window that must lie in the photo."""

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x, y, w, h px

AreHands = Callable[[list[Picture], list[Box]], list[float]]
"""How likely each box of a picture (H, W, 3) holds a hand, 0 to 1."""


class Surroundings(NamedTuple):
    """What is around a hand, without it."""

    picture: Picture  # (SIDE, SIDE, 3)
    patches: list[Box]  # of the hand's colour
    windows: list[Box]  # all round


def released_network() -> AreHands:
    """The released weights' answer.

    Raises:
        EstimatorError: this version comes without them.
    """
    estimator = HandEstimator.released()

    def are_hands(pictures: list[Picture], boxes: list[Box]) -> list[float]:
        if not boxes:
            return []
        found = estimator.batch(pictures, boxes)
        return [one.is_hand_probability or 0.0 for one in found]

    return are_hands


def second_hands(
    surroundings: Sequence[Surroundings | None], are_hands: AreHands
) -> NDArray[np.float64]:
    """`second_hand` of N photos, 0 to 1; NaN where there are no surroundings."""
    patches = [_zoomed(one.patches) if one else [] for one in surroundings]
    patch = _likeliest(surroundings, patches, are_hands)
    perhaps = [
        one if likely >= PERHAPS else None
        for one, likely in zip(surroundings, patch.tolist(), strict=True)
    ]
    windows = [[[box] for box in one.windows] if one else [] for one in perhaps]
    window = _likeliest(perhaps, windows, are_hands)
    known = np.array([one is not None for one in surroundings], bool)
    return np.where(known, (patch + window) / 2, np.nan)


def _likeliest(
    surroundings: Sequence[Surroundings | None],
    groups: Sequence[list[list[Box]]],
    are_hands: AreHands,
) -> NDArray[np.float64]:
    """Of each photo's groups of boxes the likeliest; a group is as likely as its least box."""
    found = np.zeros(len(groups))
    asked = [(k, boxes) for k, own in enumerate(groups) for boxes in own]
    pictures = [
        one.picture for k, boxes in asked for _ in boxes if (one := surroundings[k]) is not None
    ]
    answers = iter(are_hands(pictures, [box for _, boxes in asked for box in boxes]))
    for k, boxes in asked:
        found[k] = max(found[k], min(next(answers) for _ in boxes))
    return found


def _zoomed(boxes: Sequence[Box]) -> list[list[Box]]:
    """Each box in several sizes: what is a hand by chance is none in all of them."""
    return [
        [(x - (k - 1) * w / 2, y - (k - 1) * h / 2, k * w, k * h) for k in ZOOMS]
        for x, y, w, h in boxes
    ]


def without_hand(
    photo: Picture, uv: Floats, bbox: Sequence[float] | NDArray[np.float64]
) -> Surroundings | None:
    """The surroundings of a hand; None where too little of it is known.

    Args:
        photo: (H, W, 3) RGB.
        uv: (21, 2) px of the joints, NaN for one that is not known.
        bbox: x, y, w, h px of the hand.
    """
    known: Bools = np.asarray(np.isfinite(uv).all(-1))
    if not (known[WRIST] and known[MIDDLE_MCP]):
        return None
    A = affine(square(bbox, AROUND), SIDE)
    crop = warp(photo, A, SIDE).copy()
    inside = warp(np.full_like(photo, 255), A, SIDE)[..., 0] > 127
    points = np.nan_to_num(uv) @ A[:2, :2].T + A[:2, 2]
    palm = float(np.linalg.norm(points[MIDDLE_MCP] - points[WRIST]))
    thick = FINGER * max(palm, 0.2 * SIDE / AROUND)  # seen along its length, it is short
    core, hand, painted = (_drawn(points, known, k * thick) for k in (CORE, 1.0, PAINTED))
    if (core & inside).sum() < FEWEST_PX:
        return None
    painted |= _hull(points[known], round((PAINTED - 1) * thick))
    skin = _alike(crop, core & inside) & inside
    painted |= _forearm(points, known, skin, inside)
    hidden = (painted | ~inside).astype(np.uint8)
    picture = np.asarray(cv2.inpaint(crop, hidden, 3, cv2.INPAINT_TELEA), np.uint8)
    picture[~inside] = 0
    patches = _patches(skin & ~painted, PATCH * int(hand.sum()))
    return Surroundings(picture, patches, _windows(inside))


def _drawn(points: Floats, known: Bools, thick: float) -> Bools:
    """The hand as thick bones and the palm between them, (SIDE, SIDE)."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    ends = np.clip(points, -4 * SIDE, 4 * SIDE).round().astype(int).tolist()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0 and known[joint] and known[parent]:
            cv2.line(canvas, ends[parent], ends[joint], 1, max(1, round(thick)))
    palm = [ends[joint] for joint in (WRIST, 1, 5, 9, 13, 17) if known[joint]]
    if len(palm) > 2:
        cv2.fillConvexPoly(canvas, cv2.convexHull(np.array(palm, np.int32)), 1)
    return canvas > 0


def _hull(points: Floats, wider: int) -> Bools:
    """The convex hull of the joints, so much wider all round, (SIDE, SIDE)."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.clip(points, -4 * SIDE, 4 * SIDE).round().astype(np.int32)
    hull = cv2.convexHull(corners)
    cv2.fillConvexPoly(canvas, hull, 1)
    cv2.polylines(canvas, [hull], True, 1, max(1, 2 * wider))
    return canvas > 0


def _forearm(points: Floats, known: Bools, skin: Bools, inside: Bools) -> Bools:
    """The forearm, followed from the wrist over the skin in the photo, (SIDE, SIDE).

    Its width is taken from the palm: from its length or its width, whichever is less foreshortened.
    """
    across = np.linalg.norm(points[INDEX_MCP] - points[PINKY_MCP])
    along = points[WRIST] - points[MIDDLE_MCP]
    wide = float(across) if known[INDEX_MCP] and known[PINKY_MCP] else 0.0
    palm = max(float(np.linalg.norm(along)), PALM_LENGTH * wide, 0.2 * SIDE / AROUND)
    radius = WRIST_WIDTH * palm / 2
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    at, direction, bends = points[WRIST], np.arctan2(along[1], along[0]), WRIST_BENDS
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(ARM_STEPS):
        turned = direction + bends  # (K,)
        places = at + ARM_STEP * palm * np.stack([np.cos(turned), np.sin(turned)], 1)
        near = (x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2
        discs = (near < radius**2) & inside  # (K, SIDE, SIDE)
        share = (discs & skin).sum((1, 2)) / np.maximum(discs.sum((1, 2)), 1)
        best = int(np.argmax(share - STRAIGHTER * np.abs(bends)))
        if share[best] < ARM_SKIN:
            break
        at, direction, bends = places[best], turned[best], ARM_BENDS
        middle = at.round().astype(int).tolist()
        cv2.circle(canvas, middle, round(ARM_PAINTED * radius), 1, cv2.FILLED)
    return canvas > 0


def _alike(crop: Picture, core: Bools) -> Bools:
    """Pixels of the hand's colour (SIDE, SIDE)."""
    lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB).astype(np.float64)
    middle = np.median(lab[core], 0)
    spread = np.maximum(1.4826 * np.median(np.abs(lab[core] - middle), 0), LEAST_SPREAD)
    return np.asarray((((lab - middle) / spread) ** 2).sum(-1) < ALIKE**2)


def _patches(skin: Bools, least: float) -> list[Box]:
    """Windows of the largest connected patches, none smaller than so many pixels.

    A patch that is longer than a window may be a hand and its forearm: each of its ends has one.
    """
    mask = cv2.morphologyEx(skin.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, middles = cv2.connectedComponentsWithStats(mask)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable") + 1
    low, high = (share * SIDE / AROUND for share in PATCH_SIDES)
    found = list[Box]()
    for number in order[:PATCHES].tolist():
        x, y, w, h, area = stats[number].tolist()
        if area < least:
            break
        side = min(max(w, h, low), high)
        found.append((x + (w - side) / 2, y + (h - side) / 2, side, side))
        if max(w, h) > high:
            found += _ends(
                np.argwhere(labels == number)[:, ::-1].astype(np.float64), middles[number]
            )
    return found


def _ends(pixels: Floats, middle: Floats) -> list[Box]:
    """Windows as large as the hand's box at both ends of a patch: (K, 2) px of it, its mean."""
    side = SIDE / AROUND
    _, _, axes = np.linalg.svd(np.cov((pixels - middle).T))
    along = (pixels - middle) @ axes[0]
    found = list[Box]()
    for reach in (along.min() + side / 2, along.max() - side / 2):
        near = pixels[np.abs(along - reach) < side / 2]
        x, y = near.mean(0) - side / 2
        found.append((float(x), float(y), side, side))
    return found


def _windows(inside: Bools) -> list[Box]:
    """Eight windows around the hand, as large as its box; those that the photo shows."""
    side = SIDE / AROUND
    found = list[Box]()
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            x, y = ((SIDE - 1) / 2 + STEP * side * step - side / 2 for step in (dx, dy))
            (x0, x1), (y0, y1) = (
                np.clip([at, at + side], 0, SIDE).astype(int).tolist() for at in (x, y)
            )
            if (dx or dy) and inside[y0:y1, x0:x1].sum() > SEEN * side**2:
                found.append((x, y, side, side))
    return found
