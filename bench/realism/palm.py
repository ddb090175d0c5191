"""Palms in a photo: the judge's detector, decoded.

The detector sees the whole photo in a square of 192 px and has 2,016 anchors in it, each of which
proposes a box and how sure it is. Proposals of one palm overlap and are averaged.

Source of the numbers: MediaPipe's published description of its palm detector (SSD anchors with
strides 8, 16, 16, 16, two to a place and layer, all of the size of the picture; threshold 0.5;
weighted non-maximum suppression at an overlap of 0.3).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

SIDE_PX = 192
LAYERS = ((8, 2), (16, 6))
"""Stride in px and anchors at each place; the layers of one stride count as one."""

LEAST_SCORE = 0.5
LEAST_OVERLAP = 0.3
LARGEST_LOGIT = 100.0


class Palm(NamedTuple):
    """A palm that the judge found."""

    box: Array  # (4,) left, top, right, bottom px
    score: float  # 0..1


def letterbox(width: int, height: int) -> NDArray[np.float64]:
    """A (3, 3): pixels of the photo -> those of the detector's square, the photo in its middle."""
    zoom = SIDE_PX / max(width, height)
    A = np.diag([zoom, zoom, 1.0])
    A[:2, 2] = (SIDE_PX - 1) / 2 - zoom * (np.array([width, height]) - 1) / 2
    return A


def anchors() -> NDArray[np.float64]:
    """The centres of all anchors, (2016, 2) of the square's side, row by row."""
    layers = []
    for stride, count in LAYERS:
        places = (np.arange(SIDE_PX // stride) + 0.5) * stride / SIDE_PX
        y, x = np.meshgrid(places, places, indexing="ij")
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), count, 0))
    return np.concatenate(layers)


def palms(proposals: Array, logits: Array) -> list[Palm]:
    """The palms in the square, the surest first.

    Args:
        proposals: (2016, 18) px: x and y of the centre from the anchor's, width, height, and seven
            points, which are not used.
        logits: (2016,) how sure each is.
    """
    score = 1 / (1 + np.exp(-np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)))
    sure = np.flatnonzero(score >= LEAST_SCORE)
    sure = sure[np.argsort(-score[sure], kind="stable")]
    centre = proposals[sure, :2] + SIDE_PX * anchors()[sure]
    half = proposals[sure, 2:4] / 2
    return merged(np.concatenate([centre - half, centre + half], 1), score[sure])


def merged(boxes: Array, scores: Array) -> list[Palm]:
    """Boxes (N, 4) that overlap the surest one as their mean, weighted by score; then the rest.

    scores (N,): falling.
    """
    found = []
    while len(boxes):
        same = overlap(boxes[0], boxes) > LEAST_OVERLAP
        same[0] = True  # also a box without an area
        found.append(Palm(np.average(boxes[same], 0, scores[same]), float(scores[0])))
        boxes, scores = boxes[~same], scores[~same]
    return found


def overlap(box: Array, boxes: Array) -> Array:
    """Intersection over union of a box (4,) with others: (N, 4) -> (N,)."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])  # (N, 2)
    area = shared.clip(0).prod(1)
    whole = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - area
    ratio: Array = np.divide(area, whole, out=np.zeros_like(area), where=whole > 0)
    return ratio
