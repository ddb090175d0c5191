"""A hand in a photo: places, frames and sides come back as they went in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import handpose
from handpose.confidence.confidence_head import ConfidenceHead
from handpose.data.crop import affine, square
from handpose.estimator import HandEstimator
from handpose.estimator_input import EstimatorError
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import BOX_SCALE, BOX_SCALE_OF_TWO_LOOKS, Predictor
from handpose.training.model_io import ModelRecord, save_model
from stages.params import EncoderParams, PoseNetParams
from tests.test_predict import a_record

PX = 64
BOX = (30, 20, 40, 50)
Photo = NDArray[np.uint8]


@pytest.fixture
def predictor(mano: Mano) -> Callable[..., Predictor]:
    def make(view_heads: bool = True) -> Predictor:
        torch.manual_seed(0)
        encoder = EncoderParams(image_px=PX).keywords()
        pose_net = PoseNetParams(grid=4, dim=16, heads=2, view_heads=view_heads).keywords()
        gesture_net = GestureNet(**encoder, coarse_classes=3, fine_classes=3)
        record: ModelRecord = a_record(encoder, pose_net, "handed")
        return Predictor(PoseNet(gesture_net, mano, **pose_net), record)

    return make


@pytest.fixture
def photo() -> Photo:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_pixels_are_the_photos(predictor: Callable[..., Predictor], photo: Photo) -> None:
    estimate = HandEstimator(predictor())
    found = estimate(photo, BOX)
    x, y, w, h = BOX
    side = BOX_SCALE * max(w, h)
    middle = np.array([x + w / 2, y + h / 2]) - 0.5
    assert (np.abs(found.joints_px - middle) <= side / 2 + 1).all()
    moved = np.zeros((200, 260, 3), np.uint8)
    moved[50:170, 70:230] = photo
    again = estimate(moved, (x + 70, y + 50, w, h))
    inside = side / 2 < min(middle) + 1
    assert inside, "the box's surroundings lie in the photo, so that both see the same"
    np.testing.assert_allclose(again.joints_px, found.joints_px + np.array([70, 50]), atol=1e-2)
    np.testing.assert_allclose(again.joints, found.joints, atol=1e-5)


def test_a_network_that_looks_twice_gets_a_closer_view(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    predict = predictor()
    x, y, w, h = BOX
    for looks_twice, scale in ((False, BOX_SCALE), (True, BOX_SCALE_OF_TWO_LOOKS)):
        predict.net.second_look = looks_twice
        px = predict.net.gesture_net.image_px
        A = affine(square((x - 0.5, y - 0.5, w, h), scale), px)
        hand = predict.in_photos([photo], A[None])
        uv = np.concatenate([hand.uv[0].numpy(), np.ones((21, 1))], 1) @ np.linalg.inv(A).T
        found = HandEstimator(predict)(photo, BOX)
        np.testing.assert_allclose(found.joints_px, uv[:, :2], atol=0.05)


def test_a_head_says_how_sure_the_hand_is_in_pixels_of_the_photo(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    bare = predictor()
    found = HandEstimator(bare)(photo, BOX)
    assert found.joints_px_radius90 is None and found.joints_radius90 is None
    assert found.is_hand_probability is None
    assert "a hand at all" not in str(found)
    features = bare.net.gesture_net.heads.features
    model = Predictor(bare.net, bare.record, ConfidenceHead(features=features, dim=16))
    sure = HandEstimator(model)(photo, BOX)
    assert sure.joints_px_radius90 is not None and sure.joints_radius90 is not None
    assert sure.joints_px_radius90.shape == sure.joints_radius90.shape == (21,)
    assert sure.joints_radius90[0] == 0 < sure.joints_radius90[1:].min()
    assert sure.is_hand_probability is not None
    assert f"a hand at all ({100 * sure.is_hand_probability:.0f} %)" in str(sure)
    np.testing.assert_allclose(sure.joints, found.joints, atol=1e-6)

    twice = np.ascontiguousarray(photo.repeat(2, 0).repeat(2, 1))
    large = HandEstimator(model)(twice, [2 * x for x in BOX])
    assert large.joints_px_radius90 is not None
    np.testing.assert_allclose(large.joints_px_radius90, 2 * sure.joints_px_radius90, rtol=0.05)


def test_the_side_is_predicted_or_given(predictor: Callable[..., Predictor], photo: Photo) -> None:
    model = predictor()
    assert model.net.view_heads is not None
    for bias, predicted in ((9.0, "left"), (-9.0, "right")):
        model.net.view_heads.side.bias.data.fill_(bias)
        found = HandEstimator(model)(photo, BOX)
        assert (found.side, found.side_is_certain) == (predicted, True)
        other = HandEstimator(model)(photo, BOX, side="left" if predicted == "right" else "right")
        assert other.side != predicted and other.side_probability == 1
        assert not np.allclose(other.joints, found.joints)
        assert np.array_equal(other.faces, found.faces[:, ::-1])
    model.net.view_heads.side.weight.data.zero_()
    model.net.view_heads.side.bias.data.fill_(0.1)
    unsure = HandEstimator(model)(photo, BOX)
    assert not unsure.side_is_certain
    assert str(unsure).startswith(f"left hand ({100 * unsure.side_probability:.0f} %, uncertain),")
    given = HandEstimator(model)(photo, BOX, side="left")
    assert str(given).startswith("left hand (100 %), ")


def test_without_view_heads_the_gestures_give_the_side(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    found = HandEstimator(predictor(view_heads=False))(photo, BOX)
    assert found.facing == "" and found.side in ("left", "right")
    names, probabilities = zip(*found.gestures, strict=True)
    assert sorted(names) == ["fist", "gun", "left fist"]
    assert list(probabilities) == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)


def test_intrinsics_put_the_hand_into_the_cameras_frame(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    own, turned = estimate(photo, BOX, side="right"), estimate(photo, BOX, side="right", K=K)
    np.testing.assert_allclose(own.joints_px, turned.joints_px, atol=1e-4)
    one, other = (np.linalg.norm(hand.joints, axis=1) for hand in (own, turned))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.abs(own.joints - turned.joints).max() > 1e-3


def test_a_batch_is_one_by_one(predictor: Callable[..., Predictor], photo: Photo) -> None:
    """Photos of two sizes, one without a box; with the side and the intrinsics given, and not."""
    estimate = HandEstimator(predictor())
    photos, boxes = [photo, photo[:90, 10:130], photo], [BOX, (20, 10, 50, 30), None]
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    options: list[Any] = [{}, {"side": "left"}, {"side": "right", "K": K}]
    for given in options:
        for hand, image, box in zip(
            estimate.batch(photos, boxes, **given), photos, boxes, strict=True
        ):
            alone = estimate(image, box, **given)
            np.testing.assert_allclose(hand.joints_px, alone.joints_px, atol=1e-3)
            np.testing.assert_allclose(hand.vertices, alone.vertices, atol=1e-5)
            np.testing.assert_allclose(hand.hand_pose, alone.hand_pose, atol=1e-4)
            assert (hand.side, hand.facing, hand.frame) == (alone.side, alone.facing, alone.frame)
            assert [name for name, _ in hand.gestures] == [name for name, _ in alone.gestures]
    with pytest.raises(EstimatorError, match="3 photos and 2 boxes"):
        estimate.batch(photos, boxes[:2])
    with pytest.raises(EstimatorError, match="0 photos"):
        estimate.batch([])


def test_the_parameters_pose_the_hand(predictor: Callable[..., Predictor], photo: Photo) -> None:
    estimate = HandEstimator(predictor())
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    options: list[Any] = [{"side": "left"}, {"side": "right"}, {"side": "left", "K": K}]
    for given in options:
        hand = estimate(photo, BOX, **given)
        assert hand.frame == ("camera" if "K" in given else "camera turned onto the box")
        joints, vertices = estimate.posed(
            hand.global_orient[None],
            hand.hand_pose[None],
            hand.betas[None],
            np.array([hand.side == "left"]),
        )
        np.testing.assert_allclose(joints[0], hand.joints, atol=1e-5)
        np.testing.assert_allclose(vertices[0], hand.vertices, atol=1e-5)


@pytest.mark.parametrize("box", [(30, 20, 1, 0.1), (0, 0, 16000, 10), (-7000, -20, 16000, 16000)])
def test_the_smallest_and_the_largest_box_are_seen(
    box: Any, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    assert np.isfinite(HandEstimator(predictor())(photo, box).joints_px).all()


def test_auto_is_no_side(predictor: Callable[..., Predictor], photo: Photo) -> None:
    estimate = HandEstimator(predictor())
    default, auto = estimate(photo, BOX), estimate(photo, BOX, side="auto")
    assert (auto.side, auto.side_probability) == (default.side, default.side_probability)
    np.testing.assert_array_equal(auto.joints, default.joints)


def test_photos_and_boxes_may_be_arrays(predictor: Callable[..., Predictor], photo: Photo) -> None:
    estimate = HandEstimator(predictor())
    photos: Any = np.stack([photo, photo])
    boxes: Any = np.array([BOX, BOX])
    for one, other in zip(
        estimate.batch(photos, boxes), estimate.batch([photo] * 2, [BOX] * 2), strict=True
    ):
        np.testing.assert_array_equal(one.joints, other.joints)
    with pytest.raises(EstimatorError, match="0 photos"):
        estimate.batch(photos[:0], boxes[:0])


def test_each_photo_may_have_its_own_intrinsics(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    one, other = estimate.batch([photo] * 2, [BOX] * 2, K=np.stack([K, K @ np.diag([2, 2, 1])]))
    np.testing.assert_allclose(one.joints, estimate(photo, BOX, K=K).joints, atol=1e-5)
    assert not np.allclose(one.joints, other.joints)


def test_a_model_of_ones_own_is_loaded_with_the_stand_in_hand(
    tmp_path: Path, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    model = predictor()
    save_model(tmp_path, model.net, model.record)
    loaded = handpose.HandEstimator.load(tmp_path)
    np.testing.assert_allclose(
        loaded(photo, BOX).vertices, HandEstimator(model)(photo, BOX).vertices, atol=1e-6
    )


def test_no_released_weights_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handpose.estimator.released_folder", lambda: tmp_path)
    with pytest.raises(EstimatorError, match="handpose release"):
        HandEstimator.released()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"photo": "missing.jpg"}, r"missing\.jpg not found"),
        ({"photo": None}, "the photo is of type NoneType"),
        ({"box": (1, 2, 3)}, r"the box is \[1, 2, 3\]"),
        ({"side": "LEFT"}, "side is 'LEFT'"),
        ({"K": np.eye(2)}, r"K has shape \(2, 2\)"),
    ],
)
def test_what_is_given_is_checked(
    given: dict[str, Any], words: str, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    arguments: dict[str, Any] = {"photo": photo, "box": BOX} | given
    with pytest.raises(EstimatorError, match=words):
        HandEstimator(predictor())(**arguments)


def test_lists_and_the_device_are_checked(predictor: Callable[..., Predictor]) -> None:
    estimate = HandEstimator(predictor())
    side: Any = "LEFT"
    with pytest.raises(EstimatorError, match="side is 'LEFT'"):
        estimate.batch([], side=side)
    with pytest.raises(EstimatorError, match="photos is of type str, expected a list"):
        estimate.batch("photo.jpg")
    with pytest.raises(EstimatorError, match="device is 'gpu'"):
        HandEstimator.load("nowhere", device="gpu")
