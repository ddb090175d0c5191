"""What the palm detector's network would say for palms at given places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.detection.palm_detector import MIDDLE_KNUCKLE, POINTS, SIDE_PX, WRIST, anchors


def proposals(
    boxes: Any, logits: Sequence[float], ahead: Any = (0, -1)
) -> tuple[NDArray[np.float32], ...]:
    """For boxes (left, top, right, bottom px), each at an anchor; fingers point `ahead`."""
    said = np.zeros((1, len(anchors()), 4 + 2 * POINTS), np.float32)
    sure = np.full((1, len(anchors()), 1), -20.0, np.float32)
    for number, (box, one) in enumerate(zip(np.array(boxes, float), logits, strict=True)):
        centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        near = np.linalg.norm(SIDE_PX * anchors() - centre, axis=1)
        at = int(np.argsort(near, kind="stable")[number])
        points = np.tile(centre, (POINTS, 1))
        points[WRIST] -= 0.4 * size * ahead
        points[MIDDLE_KNUCKLE] += 0.4 * size * ahead
        anchor = SIDE_PX * anchors()[at]
        said[0, at] = [*(centre - anchor), *size, *(points - anchor).ravel()]
        sure[0, at] = one
    return said, sure
