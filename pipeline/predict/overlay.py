"""A hand drawn on its photo: skeleton in a colour for each finger, box, side and probability."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.evaluation.draw import Colour, draw_skeleton
from handpose.hand.skeleton import FINGERS, JOINTS
from pipeline.predict.hand_box import Box, BoxedHand

Image = NDArray[np.uint8]

FINGER_COLOURS: dict[str, Colour] = {
    "thumb": (213, 94, 0),
    "index": (240, 228, 66),
    "middle": (0, 158, 115),
    "ring": (86, 180, 233),
    "pinky": (204, 121, 167),
}
"""Distinguishable with colour blindness (Okabe and Ito)."""

WRIST_COLOUR: Colour = (60, 60, 60)
COLOURS: list[Colour] = [
    FINGER_COLOURS[name.split("_")[0]] if name.split("_")[0] in FINGERS else WRIST_COLOUR
    for name in JOINTS
]
PAPER, INK = (255, 255, 255), (20, 20, 20)


def overlay(image: Image, found: BoxedHand) -> Image:
    """The photo (H, W, 3) RGB with the hand drawn on it, of the same size."""
    hand = found.hand
    if hand is None:
        return _label(image.copy(), "no hand found", (0, 0))
    side = min(max(found.box[2:]), 10 * max(image.shape[:2]))  # no lines that hide the photo
    thick = max(1, round(side / 110))
    canvas = image.copy()
    corner = _draw_box(canvas, found.box, max(1, thick // 2))
    canvas = draw_skeleton(canvas, hand.joints_px, colour=COLOURS, thick=thick)
    sure = "" if hand.side_is_certain else "?"
    return _label(canvas, f"{hand.side}{sure} {100 * hand.side_probability:.0f} %", corner)


def _draw_box(canvas: Image, box: Box, thick: int) -> tuple[int, int]:
    """Draw the box in place; returns its upper left corner."""
    x, y, w, h = box
    first = round(x), round(y)
    last = round(x + w) - 1, round(y + h) - 1
    cv2.rectangle(canvas, first, last, PAPER, thick + 2)
    cv2.rectangle(canvas, first, last, INK, thick)
    return first


def _label(canvas: Image, text: str, corner: tuple[int, int]) -> Image:
    """Write on a white plate above a corner, or below it where the photo ends; in place."""
    height, width = canvas.shape[:2]
    scale = max(0.35, max(height, width) / 1400)
    thick = max(1, round(1.5 * scale))
    (w, h), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    x = int(np.clip(corner[0], 0, max(0, width - w)))
    y = int(np.clip(corner[1] - below, h + below, max(h + below, height - below)))
    cv2.rectangle(canvas, (x, y - h - below // 2), (x + w, y + below), PAPER, -1)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, thick, cv2.LINE_AA)
    return canvas
