"""What the released model makes of photographs, as `handpose predict` draws it: not selected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.data.crop import affine, square, warp
from handpose.estimator import HandEstimator
from handpose.synthetic.sequence import Photograph
from pipeline.predict.hand_box import Box, BoxedHand, Image
from pipeline.predict.overlay import overlay
from pipeline.release.scoring import joints_box

DRAWING = "predictions.jpg"
COLUMNS, ROWS = 6, 2
SIDE, GAP = 220, 6
"""Of a photograph in the drawing, px, and between two."""
AROUND = 1.7
"""Side of what is shown relative to the longer side of the joints' box."""
QUALITY = 88


def write_drawing(
    folder: Path, estimator: HandEstimator, photographs: Sequence[Photograph]
) -> None:
    """Draw the model's hands over these photographs, each in its true box; the first 12."""
    shown = photographs[: COLUMNS * ROWS]
    regions = [_region(p) for p in shown]
    hands = estimator.batch([image for image, _ in regions], [box for _, box in regions])
    step = SIDE + GAP
    canvas = np.full((ROWS * step - GAP, COLUMNS * step - GAP, 3), 255, np.uint8)
    for k, ((image, box), hand) in enumerate(zip(regions, hands, strict=True)):
        row, column = divmod(k, COLUMNS)
        drawn = overlay(image, BoxedHand(hand, box, "given"))
        canvas[row * step : row * step + SIDE, column * step : column * step + SIDE] = drawn
    written = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    (folder / DRAWING).write_bytes(written.tobytes())


def _region(photograph: Photograph) -> tuple[Image, Box]:
    """The part of a photograph around its hand, (SIDE, SIDE, 3), and the hand's box in it."""
    box = joints_box(photograph)
    A = affine(square(box, AROUND), SIDE)
    x, y = A[:2, :2] @ box[:2] + A[:2, 2]
    w, h = A[0, 0] * box[2], A[1, 1] * box[3]
    return warp(photograph.image, A, SIDE), (float(x), float(y), float(w), float(h))
