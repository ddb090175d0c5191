"""Classes made from the pose instead of the gesture map: `label.source`.

Both sources give classes to the same images as the map does, and a fine class has one coarse
parent. Only what occurs in training is a class: an image of validation or test that is like none of
them has none, nor has one whose joints or fit are not known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.cluster.vq import vq

from handpose.data.splits import TRAIN
from handpose.errors import HandPoseError
from handpose.gesture_row import Level
from handpose.hand.finger_state import STATES, UNKNOWN, finger_states
from stages.labelling.image_labels import NONE, Codes

FINGER_COLUMNS = ("split", "joints_cam", "joint_valid")
POSE_COLUMNS = ("split", "hand_pose", "has_mano")

MOST_POSES = 50_000
"""Training poses, drawn at random, from which clusters are made."""

ROUNDS = 100
"""Most steps of k-means; it ends when no centre moves."""


class PoseCodeError(HandPoseError):
    """The training data have too few poses for these classes."""


def finger_state_codes(images: pa.Table) -> Codes:
    """Fine: each finger straight, half bent or bent; coarse: straight or not.

    Names are a letter a finger, thumb to pinky: `shbbb`, of `s----`.

    Raises:
        PoseCodeError: no training image has all its joints.
    """
    joints = _rows(images, "joints_cam").reshape(-1, 21, 3)
    states = finger_states(joints, _rows(images, "joint_valid").astype(np.bool_))  # (N, 5)
    known = (states != UNKNOWN).all(1)
    letters = np.array([state[0] for state in STATES])
    fine = np.array(["".join(row) for row in letters[states]], np.str_)
    classes = np.unique(fine[known & _of_training(images)])
    if not len(classes):
        raise PoseCodeError(
            "label.source is finger_states, but no training image has all 21 joints; set it to "
            "gestures, or pose_clusters"
        )
    straight = np.array(["".join(x if x == "s" else "-" for x in name) for name in classes])
    coarse, parent = np.unique(straight, return_inverse=True)
    place = np.searchsorted(classes, fine).clip(max=len(classes) - 1)
    number = np.where(known & (classes[place] == fine), place, NONE)
    return Codes(number, {"coarse": coarse.tolist(), "fine": classes.tolist()}, parent)


def pose_cluster_codes(images: pa.Table, coarse: int, fine: int, seed: int) -> Codes:
    """Clusters of the hand pose (45 numbers, axis-angle, a right hand's for both hands).

    `fine` clusters by k-means of the training poses, and `coarse` clusters of their centres. A left
    hand's pose is that of its mirror image, so both hands share the clusters.

    Raises:
        PoseCodeError: the training images have fewer different poses than there are classes.
    """
    poses = _rows(images, "hand_pose").astype(np.float64)
    fitted = np.array(images["has_mano"].to_pylist(), np.bool_)
    trained = np.unique(poses[fitted & _of_training(images)], axis=0)
    if len(trained) < fine:
        raise PoseCodeError(
            f"label.source is pose_clusters, but the training images have {len(trained)} poses for "
            f"{fine} classes; take more images, or set label.source to gestures"
        )
    rng = np.random.default_rng(seed)
    drawn = trained[np.sort(rng.permutation(len(trained))[:MOST_POSES])]
    centres = _centres(drawn, fine, rng)
    groups = _centres(centres, coarse, rng)
    number = np.where(fitted, vq(poses, centres)[0], NONE).astype(np.int64)
    names: dict[Level, list[str]] = {
        "coarse": _numbered("group", coarse),
        "fine": _numbered("cluster", fine),
    }
    return Codes(number, names, vq(centres, groups)[0].astype(np.int64))


def _centres(
    points: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(count, D) centres of these points (N, D) by k-means; one that loses its points stays."""
    centres = points[_spread(points, count, rng)]
    for _ in range(ROUNDS):
        nearest = vq(points, centres)[0]
        sizes = np.bincount(nearest, minlength=count)[:, None]
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _spread(points: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count,) points to start from, each drawn by its squared distance from those before.

    Source: Arthur and Vassilvitskii, k-means++ (2007).
    """
    chosen = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
    return np.array(chosen)


def _numbered(word: str, count: int) -> list[str]:
    return [f"{word}_{number:02d}" for number in range(count)]


def _of_training(images: pa.Table) -> NDArray[np.bool_]:
    return np.array([split == TRAIN for split in images["split"].to_pylist()], np.bool_)


def _rows(images: pa.Table, name: str) -> NDArray[Any]:
    """A column of lists, (N, length)."""
    column = images[name].combine_chunks()
    flat: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(images), -1)
