"""The mean finger pose of each gesture class, from the training labels and their MANO fits.

Poses are MANO's 45 numbers about `hands_mean`, axis-angle in the right-hand frame, so that a class
of left hands has the pose of its twin, and distances do not depend on `hands_mean`. The classes are
those of the labels: a gesture map, clusters or finger states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.data.labels import ClassIds, class_of
from handpose.data.tar import sample_key
from handpose.gesture_row import LEVELS, Level
from handpose.sample import UNLABELLED

POSE = 45


@dataclass(frozen=True)
class ClassPoses:
    """Of the K classes of one level."""

    mean: NDArray[np.float64]  # (K, 45) rad; NaN where `images` is 0
    images: NDArray[np.int64]  # (K,) with a fit

    @property
    def known(self) -> NDArray[np.bool_]:
        """(K,) whether a class has a mean."""
        return self.images > 0

    def distances_deg(self) -> NDArray[np.float64]:
        """(K, K): the mean over the 15 joints of the angle between two classes' mean rotations.

        The angle is the length of the difference in axis-angle, which is the angle itself for
        rotations about one axis, as a finger's nearly are. NaN where a class has no mean.
        """
        joints = np.rad2deg(self.mean).reshape(-1, POSE // 3, 3)
        apart = np.linalg.norm(joints[:, None] - joints[None], axis=-1)  # (K, K, 15)
        distances: NDArray[np.float64] = apart.mean(-1)
        return distances


def class_poses(
    labels: Iterable[Mapping[str, Any]],
    classes: Mapping[str, ClassIds],
    sizes: Mapping[Level, int],
) -> dict[Level, ClassPoses]:
    """The mean poses of both levels' classes; images without a class or without a fit do not count.

    Args:
        labels: of the training samples, as shards have them (`data/records.py`).
        classes: by folder or by image.
        sizes: number of classes, by level.
    """
    sums = {level: np.zeros((sizes[level], POSE)) for level in LEVELS}
    counts = {level: np.zeros(sizes[level], np.int64) for level in LEVELS}
    for label in labels:
        key = sample_key(label["sample_id"])
        ids = class_of(classes, key, label["sequence"], label["kind"])
        if ids.fine == UNLABELLED or not label["has_mano"]:
            continue
        for level, number in zip(LEVELS, (ids.coarse, ids.fine), strict=True):
            sums[level][number] += label["hand_pose"]
            counts[level][number] += 1
    with np.errstate(invalid="ignore"):
        return {
            level: ClassPoses(sums[level] / counts[level][:, None], counts[level])
            for level in LEVELS
        }


def soft_targets(poses: ClassPoses, hands: Sequence[str], spread_deg: float) -> NDArray[np.float64]:
    """(K, K) probabilities to be learnt for an image of class k, in row k.

    Each class of the same hand gets exp(-distance / `spread_deg`), the own one 1, divided by their
    sum. A class of the other hand gets 0: its twin has the same pose and must be told apart. So do
    classes without a mean, and an image of such a class has its own class alone.

    Args:
        poses: of these classes.
        hands: right or left, of each class.
        spread_deg: above 0; towards 0 the targets become the classes themselves.
    """
    side = np.array(hands)
    alike = (side[:, None] == side) & poses.known & poses.known[:, None]
    distances = np.nan_to_num(poses.distances_deg())
    weights = np.where(alike, np.exp(-distances / spread_deg), 0.0)
    np.fill_diagonal(weights, 1.0)
    found: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return found
