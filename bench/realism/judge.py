"""The judge: MediaPipe Hands, a pair of small networks trained on photos and renderings of hands.

It is asked three things: is there a hand in this crop, and where are its joints; which hand is it;
where in the whole photo are palms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.realism import crop
from handpose.data.crop import warp
from handpose.detection.palm_detector import Palm, PalmDetector
from handpose.detection.tflite_network import Network, open_network

Array = NDArray[np.floating[Any]]

LANDMARKS = "hand_landmark_full.tflite"
"""File of the npm package."""

JOINTS = 21
"""In the order of `handpose/hand/skeleton.py`."""

LOOKS = 4
"""How often the judge looks at a hand whose place it has from its palm detector alone."""
SURE = 3.0
"""Least logit of presence, 95 %, of a hand that it found itself."""
AT_REST = 0.03
"""By less than this share of the hand its joints move at the last look."""
LEAST_PX = 5.0
"""Least longer side of the joints' box."""

LEAST = 1e-6
"""Presence is clipped to this and 1 less this: beyond, float32 has no digits left."""


class Reading(NamedTuple):
    """What the judge says of one crop."""

    logit: float  # of the presence of a hand
    is_left: bool
    uv: Array  # (21, 2) px of the photo
    joints: Array  # (21, 3) m about the hand's middle; x right, y down, z away, in the turned crop


class Judge(NamedTuple):
    """The two networks."""

    landmarks: Network
    detector: PalmDetector

    @classmethod
    def load(cls, landmarks: Path, detector: Path) -> Judge:
        """The networks in these files.

        Raises:
            TfliteError: see `open_network`.
        """
        joints, one = (1, 3 * JOINTS), (1, 1)
        return cls(
            open_network(
                landmarks,
                "--landmarks",
                LANDMARKS,
                (1, crop.SIDE_PX, crop.SIDE_PX, 3),
                (joints, one, one, joints),
            ),
            PalmDetector.load(detector, "--palm"),
        )

    def read(self, photo: NDArray[np.uint8], uv: Array) -> Reading:
        """The hand at these joints (21, 2) px of a photo (H, W, 3) RGB."""
        return self._read(photo, crop.tracking_crop(uv))

    def find(self, photo: NDArray[np.uint8]) -> Reading | None:
        """The hand of the surest palm in a photo (H, W, 3) RGB, as the judge itself would find it.

        None: it sees no palm, or is not sure of a hand there, or its joints do not come to rest.
        """
        height, width = photo.shape[:2]
        border = max(height, width) // 2  # a palm that fills the photo is not found without
        room = np.zeros((height + 2 * border, width + 2 * border, 3), np.uint8)
        room[border : border + height, border : border + width] = photo
        palms = self.palms(room)
        if not palms:
            return None
        A = crop.palm_crop(palms[0].box, palms[0].ahead)
        last = self._read(room, A)
        for _ in range(LOOKS - 1):
            extent = np.ptp(last.uv, axis=0).max()
            if not extent >= LEAST_PX:
                return None
            found = self.read(room, last.uv)
            moved = np.linalg.norm(found.uv - last.uv, axis=1).mean() / extent
            last = found
        if last.logit < SURE or not moved < AT_REST:
            return None
        return last._replace(uv=last.uv - border)

    def _read(self, photo: NDArray[np.uint8], A: NDArray[np.float64]) -> Reading:
        points, presence, right, joints = self.landmarks(_input(photo, A, crop.SIDE_PX))
        return Reading(
            logit=logit(presence.item()),
            is_left=right.item() <= 0.5,
            uv=crop.to_photo(points.reshape(JOINTS, 3)[:, :2].astype(np.float64), A),
            joints=joints.reshape(JOINTS, 3).astype(np.float64),
        )

    def palms(self, photo: NDArray[np.uint8]) -> list[Palm]:
        """Every palm in a photo (H, W, 3) RGB, boxes in its pixels, the surest first."""
        return self.detector.palms(photo)


def logit(probability: float) -> float:
    """The network's own number before its sigmoid, clipped where float32 has lost it."""
    p = min(max(probability, LEAST), 1 - LEAST)
    return float(np.log(p) - np.log1p(-p))


def _input(photo: NDArray[np.uint8], A: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    picture = warp(photo, A, side).astype(np.float32) / 255
    return np.asarray(picture[None], np.float32)
