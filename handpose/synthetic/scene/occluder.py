"""Puts an object of simple shape, or another hand, in front of a part of the hand.

An object is drawn once on a sheet and then moved outwards until it covers little enough. Colours
are linear; lengths are in units of the hand's size unless they say px.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.render import Rendering
from handpose.render.surface import FloatArray
from handpose.synthetic.scene.shapes import Sheet, cloth_edge, draw_object

MOST_COVERED = 0.4
"""Greatest fraction of a hand's visible pixels that the object covers."""
LEAST_LIMIT = 0.1
HAND_SHARE = 0.22
CLOTH_SHARE = 0.14
"""Of the occluders; the rest are objects."""
SHADOW = 0.55
"""Greatest fraction of the hand's light that a touching object keeps away."""
BISECTIONS = 9


class Occluder(NamedTuple):
    """What lies in front of the hand, in the picture; lit as the hand is."""

    radiance: NDArray[np.float32]  # (H, W, 3) linear, premultiplied by coverage
    coverage: NDArray[np.float32]  # (H, W) 0..1

    def before(self, rendering: Rendering) -> Rendering:
        """The rendering with this in front of it; the depth remains that of the hand."""
        height, width = self.coverage.shape
        shift = max(1, height // 60)
        quarter = cv2.resize(self.coverage, (width // 4 + 1, height // 4 + 1))
        soft = cv2.resize(cv2.GaussianBlur(quarter, (0, 0), height / 4 / 22), (width, height))
        lit = 1 - SHADOW * np.roll(soft, shift, axis=0)  # (H, W), the light is above
        seen = 1 - self.coverage
        return rendering._replace(
            radiance=rendering.radiance * (lit * seen)[..., None] + self.radiance,
            coverage=rendering.coverage * seen + self.coverage,
        )


def visible_hand(rendering: Rendering, vertices: FloatArray) -> NDArray[np.bool_]:
    """The rendered pixels (H, W) in the outline of a hand's vertices (N, 2) px, without forearm."""
    inside = np.zeros(rendering.coverage.shape, np.uint8)
    far = 4 * max(inside.shape)  # a fold of the outline that far out would overflow in OpenCV
    outline = cv2.convexHull(np.clip(np.rint(vertices), -far, far).astype(np.int32))
    cv2.fillConvexPoly(inside, outline, 1)
    return (inside > 0) & (rendering.coverage > 0.5)


def sample_occluder(
    rng: np.random.Generator, rendering: Rendering, hands: list[NDArray[np.bool_]]
) -> Occluder | None:
    """Sample an object in front of one of the hands.

    Args:
        rng: of the image's occluder.
        rendering: of the hands.
        hands: (H, W) the visible pixels of each hand, without its forearm.

    Returns:
        None if no hand is in the picture.
    """
    hands = [hand for hand in hands if hand.any()]
    if not hands:
        return None
    hand = hands[rng.integers(len(hands))]
    rows, columns = np.nonzero(hand)
    pick = rng.integers(len(rows))
    target = np.array([columns[pick], rows[pick]])  # px
    middle = np.array([columns.mean(), rows.mean()])
    outwards = _direction(rng, target - middle)
    size_px = float(np.sqrt(len(rows)))
    kind = rng.uniform()
    if kind < HAND_SHARE:
        sheet = _other_hand(rng, rendering, hand, outwards)
    elif kind < HAND_SHARE + CLOTH_SHARE:
        sheet = cloth_edge(rng, size_px, max(hand.shape), outwards)
    else:
        sheet = draw_object(rng, size_px)
    limit = rng.uniform(LEAST_LIMIT, MOST_COVERED)
    place = _move_out(sheet, target, outwards, hands, limit)
    picture = _paste(sheet.picture, place, hand.shape)
    return Occluder(picture[..., :3], picture[..., 3])


def _direction(rng: np.random.Generator, outwards: FloatArray) -> FloatArray:
    """A unit vector about this way."""
    angle = np.arctan2(outwards[1], outwards[0]) + rng.normal(0, 0.5)
    return np.array([np.cos(angle), np.sin(angle)])


def _move_out(
    sheet: Sheet,
    target: FloatArray,
    outwards: FloatArray,
    hands: list[NDArray[np.bool_]],
    limit: float,
) -> tuple[int, int]:
    """Where the sheet's corner goes (px), so that it covers at most `limit` of every hand.

    At the target if that is little enough, else as near to it as bisection finds.
    """
    pixels = [int(hand.sum()) for hand in hands]
    shape = hands[0].shape

    def corner(way: float) -> tuple[int, int]:
        x, y = np.rint(target + way * outwards - sheet.anchor).astype(int)
        return int(x), int(y)

    def fits(way: float) -> bool:
        over = _paste(sheet.picture[..., 3], corner(way), shape) > 0.25
        return all(over[hand].sum() <= limit * n for hand, n in zip(hands, pixels, strict=True))

    if fits(0):
        return corner(0)
    near, far = 0.0, float(np.hypot(*shape)) + float(np.hypot(*sheet.picture.shape[:2]))
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        near, far = (near, middle) if fits(middle) else (middle, far)
    return corner(far)


def _paste(
    sheet: NDArray[np.float32], corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """An empty picture of this height and width with the sheet at this corner (x, y)."""
    picture = np.zeros((*shape[:2], *sheet.shape[2:]), np.float32)
    x, y = corner
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + sheet.shape[1], shape[1]), min(y + sheet.shape[0], shape[0])
    if left < right and top < bottom:
        picture[top:bottom, left:right] = sheet[top - y : bottom - y, left - x : right - x]
    return picture


def _other_hand(
    rng: np.random.Generator,
    rendering: Rendering,
    hand: NDArray[np.bool_],
    outwards: FloatArray,
) -> Sheet:
    """The picture's own hand and arm turned about, so that it reaches in from outside.

    Where the arm leaves the frame, it goes on as the frame's last pixels.
    """
    height, width = hand.shape
    rows, columns = np.nonzero(hand)
    centre = np.array([columns.mean(), rows.mean()])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    arm_rows, arm_columns = np.nonzero((rendering.coverage > 0.5) & ~hand)
    heading = rng.uniform(0, 2 * np.pi)
    if len(arm_rows):
        arm = mirror @ (np.array([arm_columns.mean(), arm_rows.mean()]) - centre)
        heading = np.arctan2(arm[1], arm[0])
    angle = np.arctan2(outwards[1], outwards[0]) - heading + rng.normal(0, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rng.uniform(0.8, 1.2) * turn @ mirror
    anchor = np.array([width, height])  # the middle of a sheet twice as large as the picture
    matrix = np.concatenate([linear, (anchor - linear @ centre)[:, None]], 1)
    shade = rng.uniform(0.7, 1.15)
    layers = np.dstack([shade * rendering.radiance, rendering.coverage]).astype(np.float32)
    picture = cv2.warpAffine(
        layers, matrix, (2 * width, 2 * height), borderMode=cv2.BORDER_REPLICATE
    )
    return Sheet(np.asarray(picture, np.float32), anchor)
