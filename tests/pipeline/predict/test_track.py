"""One hand through a video."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from handpose.estimator import HandEstimator
from handpose.hand.rotation import axis_angle_to_matrix
from pipeline.predict.hand_box import BoxedHand, box_around, refine
from pipeline.predict.track import follow, one_shape, smoothed
from tests.pipeline.predict.conftest import a_hand

IMAGE = np.zeros((200, 300, 3), np.uint8)
UV = np.random.default_rng(0).uniform((60, 40), (160, 150), (21, 2))


def refined_by(batch: Any) -> Callable[[Any], BoxedHand]:
    return lambda image: refine(batch, [image])[0]


def test_the_box_is_that_of_the_joints_before(made_up: Callable[..., Any]) -> None:
    batch = made_up(UV)
    track = list(follow(batch, refined_by(batch), [IMAGE] * 3, (50, 30, 120, 120)))
    assert [found.origin for found in track] == ["given", "previous frame", "previous frame"]
    for before, after in itertools.pairwise(track):
        assert before.hand is not None
        assert after.box == box_around(before.hand.joints_px)


def test_without_a_box_and_after_a_loss_it_is_looked_for(made_up: Callable[..., Any]) -> None:
    seen, gone = made_up(UV), made_up(np.full((21, 2), 90.0), 0.0)
    dark, light = IMAGE, np.full_like(IMAGE, 255)

    def batch(photos: Any, boxes: Any) -> Any:
        return (gone if photos[0].any() else seen)(photos, boxes)

    track = list(follow(batch, refined_by(batch), [dark, dark, light, light, dark], None))
    assert [found.origin for found in track] == [
        *("refined", "previous frame", "previous frame", "refined", "refined")
    ]
    assert track[3].hand is None and "collapsed" in track[3].why
    assert track[4].box == refine(seen, [dark])[0].box


def a_track(estimator: HandEstimator, frames: int = 9) -> list[BoxedHand]:
    """A hand that turns evenly about one axis, with noise in its betas."""
    rng = np.random.default_rng(0)
    angles = torch.linspace(0, 1, frames)[:, None] * torch.tensor([[0.3, 0.5, -0.2]])
    turns = axis_angle_to_matrix(angles).numpy()
    track = []
    for k in range(frames):
        hand = a_hand(
            UV + 2.0 * k,
            global_orient=turns[k],
            betas=rng.normal(size=10),
            hand_pose=np.tile(np.eye(3), (15, 1, 1)),
        )
        track.append(BoxedHand(hand, box_around(UV), "given"))
    return track


def test_the_shape_is_the_mean_and_poses_the_mesh(estimator: HandEstimator) -> None:
    track = a_track(estimator)
    track.insert(4, BoxedHand(None, (0, 0, 9, 9), "refined", "lost"))
    shaped = one_shape(estimator, track)
    hands = [found.hand for found in shaped if found.hand is not None]
    given = [found.hand for found in track if found.hand is not None]
    mean = np.mean([hand.betas for hand in given], 0)
    assert shaped[4] == track[4] and len(hands) == len(given)
    for hand, own in zip(hands, given, strict=True):
        np.testing.assert_allclose(hand.betas, mean)
        np.testing.assert_array_equal(hand.joints_px, own.joints_px)
        joints, _ = estimator.posed(
            own.global_orient[None], own.hand_pose[None], mean[None], np.array([False])
        )
        np.testing.assert_allclose(hand.joints, joints[0], atol=1e-6)


def test_smoothing_does_not_lag(estimator: HandEstimator) -> None:
    """Even motion stays as it is, and backwards in time it is the same."""
    track = a_track(estimator)
    smooth, plain = one_shape(estimator, track, smooth=True), one_shape(estimator, track)
    for one, other in zip(smooth, plain, strict=True):
        assert one.hand is not None and other.hand is not None
        np.testing.assert_allclose(one.hand.joints_px, other.hand.joints_px, atol=1e-9)
        np.testing.assert_allclose(one.hand.global_orient, other.hand.global_orient, atol=1e-5)
        np.testing.assert_allclose(one.hand.joints, other.hand.joints, atol=1e-5)
    noise = np.random.default_rng(1).normal(size=(12, 3))
    np.testing.assert_allclose(smoothed(noise)[::-1], smoothed(noise[::-1]))
    assert smoothed(noise).std() < 0.8 * noise.std()
    np.testing.assert_array_equal(smoothed(noise[:1]), noise[:1])


def test_smoothing_stops_where_the_side_changes(estimator: HandEstimator) -> None:
    track = a_track(estimator)
    left = [
        found._replace(hand=dataclasses.replace(found.hand, side="left"))
        for found in track[5:]
        if found.hand is not None
    ]
    both = one_shape(estimator, [*track[:5], *left], smooth=True)
    alone = one_shape(estimator, track[:5], smooth=True)
    for one, other in zip(both, alone, strict=False):
        assert one.hand is not None and other.hand is not None
        np.testing.assert_array_equal(one.hand.joints_px, other.hand.joints_px)


def test_no_hand_at_all_is_no_track(estimator: HandEstimator) -> None:
    lost = [BoxedHand(None, (0, 0, 9, 9), "refined", "lost")]
    assert one_shape(estimator, lost, smooth=True) == lost


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_tracks(estimator: HandEstimator, frames: int) -> None:
    assert len(one_shape(estimator, a_track(estimator, frames), smooth=True)) == frames
