"""Palms in a photo, by MediaPipe's palm detector, and the box of the hand that each belongs to.

The detector sees the whole photo in a square of 192 px and has 2,016 anchors in it, each of which
proposes a box, seven points and how sure it is. Proposals of one palm overlap and are averaged.
Its file is not part of this repository (docs/photos.md: how to get it).

Source of the numbers: MediaPipe's published description of its palm detector (SSD anchors with
strides 8, 16, 16, 16, two to a place and layer, all of the size of the picture; threshold 0.5;
weighted non-maximum suppression at an overlap of 0.3; the first point is the wrist, the third the
middle knuckle).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.data.crop import warp
from handpose.detection.tflite_network import Network, open_network

Array = NDArray[np.floating[Any]]

SIDE_PX = 192
LAYERS = ((8, 2), (16, 6))
"""Stride in px and anchors at each place; the layers of one stride count as one."""

POINTS = 7
WRIST, MIDDLE_KNUCKLE = 0, 2
"""Of these points."""

LEAST_SCORE = 0.5
LEAST_OVERLAP = 0.3
LARGEST_LOGIT = 100.0

EDGE_PX = 0.5
"""From the edge of a picture, where the network counts from, to the centre of its first pixel."""

FILE = "hands_solution_packed_assets.data"
"""Of the npm package; it begins with the detector."""

RAISED, ENLARGED = 0.4, 1.8
"""How far the middle of the box of a hand's joints lies from the palm's towards the fingers, and
its longer side, both in longer sides of the palm's box. Medians of 154 synthetic photos, hands
turned every way (0.42 and 1.79; 90 % lie between 0.04 and 0.79, and 1.24 and 2.38)."""


class Palm(NamedTuple):
    """A palm, in pixels of the photo whose centres are whole numbers."""

    box: Array  # (4,) left, top, right, bottom
    points: Array  # (7, 2) wrist, knuckles of index to little finger, two of the thumb
    score: float  # 0..1

    @property
    def ahead(self) -> Array:
        """(2,) of length 1, from the wrist towards the fingers."""
        ahead = self.points[MIDDLE_KNUCKLE] - self.points[WRIST]
        return np.asarray(ahead / max(float(np.linalg.norm(ahead)), 1e-9))

    @property
    def hand_box(self) -> tuple[float, float, float, float]:
        """x, y, w, h of a square around the whole hand, px from the photo's upper left corner."""
        low, high = self.box.reshape(2, 2)
        palm_side = (high - low).max()
        side = ENLARGED * palm_side
        x, y = (low + high) / 2 + RAISED * palm_side * self.ahead - side / 2 + EDGE_PX
        return float(x), float(y), float(side), float(side)


class PalmDetector(NamedTuple):
    """MediaPipe's palm detector."""

    network: Network

    @classmethod
    def load(cls, path: str | Path, option: str = "--palms") -> PalmDetector:
        """The detector in this file, on one thread.

        Args:
            path: `FILE`, or the network alone.
            option: of the command line that gave the path, for messages.

        Raises:
            TfliteError: see `open_network`.
        """
        count = len(anchors())
        outputs = (1, count, 4 + 2 * POINTS), (1, count, 1)
        return cls(open_network(Path(path), option, FILE, (1, SIDE_PX, SIDE_PX, 3), outputs))

    def palms(self, photo: NDArray[np.uint8]) -> list[Palm]:
        """Every palm in a photo (H, W, 3) RGB, the surest first.

        Left out: what has no size, or whose hand's box would not touch the photo.
        """
        height, width = photo.shape[:2]
        A = letterbox(width, height)
        picture = warp(photo, A, SIDE_PX).astype(np.float32) / 255
        proposals, logits = self.network(np.asarray(picture[None], np.float32))
        zoom, shift = A[0, 0], A[:2, 2]
        found = [
            Palm(
                ((palm.box.reshape(2, 2) - EDGE_PX - shift) / zoom).ravel(),
                (palm.points - EDGE_PX - shift) / zoom,
                palm.score,
            )
            for palm in palms_of(proposals[0].astype(np.float64), logits[0, :, 0])
        ]
        return [palm for palm in found if _touches(palm.hand_box, width, height)]


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


def palms_of(proposals: Array, logits: Array) -> list[Palm]:
    """The palms in the square, the surest first, in its pixels from its edge.

    Args:
        proposals: (2016, 18) px: x and y of the centre from the anchor's, width, height, and x and
            y of seven points from the anchor's.
        logits: (2016,) how sure each is.
    """
    score = 1 / (1 + np.exp(-np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)))
    sure = np.flatnonzero(score >= LEAST_SCORE)
    sure = sure[np.argsort(-score[sure], kind="stable")]
    anchor = SIDE_PX * anchors()[sure]
    centre, half = proposals[sure, :2] + anchor, proposals[sure, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    points = proposals[sure, 4:].reshape(-1, POINTS, 2) + anchor[:, None]
    return merged(boxes, points, score[sure])


def merged(boxes: Array, points: Array, scores: Array) -> list[Palm]:
    """Proposals that overlap the surest one as their mean, weighted by score; then the rest.

    Args:
        boxes: (N, 4).
        points: (N, 7, 2).
        scores: (N,) falling.
    """
    found = []
    while len(boxes):
        same = overlap(boxes[0], boxes) > LEAST_OVERLAP
        same[0] = True  # also a box without an area
        box, at = (np.average(one[same], 0, scores[same]) for one in (boxes, points))
        found.append(Palm(box, at, float(scores[0])))
        boxes, points, scores = boxes[~same], points[~same], scores[~same]
    return found


def overlap(box: Array, boxes: Array) -> Array:
    """Intersection over union of a box (4,) with others: (N, 4) -> (N,)."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])  # (N, 2)
    area = shared.clip(0).prod(1)
    whole = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - area
    ratio: Array = np.divide(area, whole, out=np.zeros_like(area), where=whole > 0)
    return ratio


def _touches(box: tuple[float, float, float, float], width: int, height: int) -> bool:
    """Whether a box x, y, w, h px has a size and a part of it lies in the photo."""
    x, y, w, h = box
    return min(w, h) > 0 and x < width and y < height and x + w > 0 and y + h > 0
