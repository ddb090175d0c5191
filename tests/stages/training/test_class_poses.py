"""Mean poses of classes, and targets that spread over classes by their distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.data.labels import ClassIds
from handpose.data.tar import sample_key
from stages.training.class_poses import POSE, ClassPoses, class_poses, soft_targets

CLASSES = {"fist": ClassIds(0, 0, 2, 3), "hook": ClassIds(0, 1, 2, 4), "flat": ClassIds(1, 2, 3, 5)}
SIZES: Mapping[Any, int] = {"coarse": 4, "fine": 6}


def label(number: int, folder: str, pose: float, *, has_mano: bool = True) -> dict[str, Any]:
    return {
        "sample_id": number,
        "sequence": folder,
        "kind": "rom" if folder.startswith("ROM") else "gesture",
        "has_mano": has_mano,
        "hand_pose": [pose] * POSE,
    }


def test_means_are_of_the_images_with_a_class_and_a_fit() -> None:
    labels = [
        label(0, "fist", 0.2),
        label(1, "fist", 0.4),
        label(2, "hook", 0.6),
        label(3, "fist", 9.0, has_mano=False),
        label(4, "ROM03", 9.0),
        label(5, "flat", 9.0, has_mano=False),
    ]
    found = class_poses(labels, CLASSES, SIZES)
    np.testing.assert_allclose(found["fine"].mean[:2], np.repeat([[0.3], [0.6]], POSE, 1))
    np.testing.assert_allclose(found["coarse"].mean[0], 0.4)
    assert found["fine"].images.tolist() == [2, 1, 0, 0, 0, 0]
    assert found["fine"].known.tolist() == [True, True, False, False, False, False]
    assert np.isnan(found["fine"].mean[2:]).all() and np.isnan(found["coarse"].mean[1:]).all()


def test_images_may_have_classes_of_their_own() -> None:
    own = {sample_key(7): CLASSES["flat"]}
    found = class_poses([label(7, "fist", 0.5), label(8, "fist", 0.1)], own, SIZES)
    assert found["fine"].images.tolist() == [0, 0, 1, 0, 0, 0]


def poses(*bends_deg: float, unknown: int = 0) -> ClassPoses:
    """Classes whose joints all bend so far about one axis, and some without an image."""
    bend = np.zeros((len(bends_deg), POSE // 3, 3))
    bend[..., 2] = np.deg2rad(bends_deg)[:, None]
    mean = np.concatenate([bend.reshape(-1, POSE), np.full((unknown, POSE), np.nan)])
    return ClassPoses(mean, np.array([3] * len(bends_deg) + [0] * unknown))


def test_distances_are_the_angles_between_bends() -> None:
    expected: NDArray[Any] = np.abs(np.subtract.outer([0, 10, 40], [0, 10, 40]))
    np.testing.assert_allclose(poses(0, 10, 40).distances_deg(), expected, atol=1e-9)
    assert np.isnan(poses(0, unknown=1).distances_deg()[0, 1])


def test_targets_fall_by_e_for_each_spread_and_rows_sum_to_1() -> None:
    found = soft_targets(poses(0, 10, 40), ["right"] * 3, 10.0)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found[0] / found[0, 0], np.exp([0, -1, -4]))
    assert (found.argmax(1) == [0, 1, 2]).all()


def test_the_other_hand_and_unknown_poses_get_nothing() -> None:
    """Twins have the same pose and another hand, which the heads must distinguish."""
    found = soft_targets(poses(0, 10, 0, 10, unknown=1), [*["right"] * 2, *["left"] * 3], 10.0)
    assert (found[:2, 2:] == 0).all() and (found[2:, :2] == 0).all()
    np.testing.assert_allclose(found[:2, :2], found[2:4, 2:4])
    np.testing.assert_array_equal(found[4], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(found[:4, 4], 0)


@pytest.mark.parametrize(("spread", "own"), [(1e-3, 1.0), (1e6, 1 / 3)])
def test_a_small_spread_gives_the_classes_and_a_large_one_all_of_a_hand(
    spread: float, own: float
) -> None:
    found = soft_targets(poses(0, 10, 40), ["right"] * 3, spread)
    np.testing.assert_allclose(found.diagonal(), own, rtol=1e-3)
