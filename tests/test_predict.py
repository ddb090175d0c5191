"""A trained model on a user's own crops."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.hand.camera import turn, view_rotation
from handpose.hand.joint_definition import (
    INTERHAND_REGRESSOR,
    SMPLX,
    JointDefinition,
    JointError,
)
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import rot6d_to_matrix
from handpose.hand.skeleton import TIPS
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import PredictError, Predictor
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, save_model
from stages.params import EncoderParams, PoseNetParams
from tests.hand.made_up_regressor import made_up_regressor

PX = 64
Crops = NDArray[np.uint8]


@pytest.fixture
def predictor(mano: Mano) -> Callable[..., Predictor]:
    """An untrained predictor of handed or canonical classes: right, left, right."""

    def make(handedness: str = "handed", **more: Any) -> Predictor:
        torch.manual_seed(0)
        side_input = handedness == "handed"
        encoder = EncoderParams(image_px=PX).keywords()
        pose_net = PoseNetParams(grid=4, dim=16, heads=2, side_input=side_input, **more).keywords()
        gesture_net = GestureNet(**encoder, coarse_classes=3, fine_classes=3)
        net = PoseNet(gesture_net, mano, **pose_net)
        return Predictor(net, a_record(encoder, pose_net, handedness))

    return make


def a_record(encoder: dict[str, Any], pose_net: dict[str, Any], handedness: str) -> ModelRecord:
    names = ["fist", "left fist", "gun"]
    return ModelRecord(
        stage="pose",
        encoder=encoder,
        pose_net=pose_net,
        joints=SMPLX.record(),
        coarse=names,
        fine=names,
        hands=["right", "left", "right"],
        handedness=handedness,
        labels_digest="",
        params_digest="",
        seconds={},
        best_epoch=1,
        loss_weights={},
    )


@pytest.fixture
def crops() -> Crops:
    return np.random.default_rng(0).integers(0, 256, (3, PX, PX, 3), dtype=np.uint8)


SIDES = np.array([False, True, True])


def with_head(predict: Predictor) -> Predictor:
    """The same with an untrained confidence head."""
    torch.manual_seed(1)
    features = predict.net.gesture_net.heads.features
    return Predictor(predict.net, predict.record, ConfidenceHead(features=features, dim=16))


@pytest.mark.parametrize("handedness", ["handed", "canonical"])
def test_a_head_adds_a_confidence_in_pixels_of_the_given_crop(
    predictor: Callable[..., Predictor], crops: Crops, handedness: str
) -> None:
    without = predictor(handedness)
    assert without(crops, SIDES).confidence is None
    predict = with_head(without)
    small = predict(crops, SIDES)
    large = predict(crops.repeat(2, axis=1).repeat(2, axis=2), SIDES)
    turned = predict(crops, SIDES, cameras())
    one, other, third = (hand.confidence for hand in (small, large, turned))
    assert one is not None and other is not None and third is not None
    torch.testing.assert_close(other.radius_px, 2 * one.radius_px, rtol=1e-2, atol=0)
    torch.testing.assert_close(other.radius_m, one.radius_m, rtol=1e-2, atol=0)
    assert torch.equal(third.radius_px, one.radius_px), "K turns the frame and nothing else"
    assert torch.equal(third.radius_m, one.radius_m)
    torch.testing.assert_close(small.joints, without(crops, SIDES).joints)


def test_crops_of_the_networks_size_go_in_as_they_are(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    predict = predictor()
    hand = predict(crops, SIDES)
    image = torch.from_numpy(crops).permute(0, 3, 1, 2)
    with torch.no_grad():
        direct = predict.net(image, torch.from_numpy(SIDES))
    torch.testing.assert_close(hand.uv, direct.uv)
    torch.testing.assert_close(hand.vertices, direct.vertices)


def test_pixels_are_those_of_the_given_crop(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    predict = predictor()
    twice = crops.repeat(2, axis=1).repeat(2, axis=2)  # each pixel four times
    small, large = predict(crops, SIDES), predict(twice, SIDES)
    torch.testing.assert_close(large.joints, small.joints, atol=1e-4, rtol=0)
    torch.testing.assert_close(large.uv, 2 * (small.uv + 0.5) - 0.5, atol=0.2, rtol=0)


def test_a_canonical_model_sees_and_draws_left_hands_mirrored(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    predict = predictor("canonical")
    right = predict(crops, np.zeros(3, np.bool_))
    left = predict(crops[:, :, ::-1], np.ones(3, np.bool_))
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(left.joints, mirror * right.joints)
    torch.testing.assert_close(left.vertices, mirror * right.vertices)
    torch.testing.assert_close(left.uv[..., 0], PX - 1 - right.uv[..., 0])
    torch.testing.assert_close(left.uv[..., 1], right.uv[..., 1])
    torch.testing.assert_close(left.rotmat, right.rotmat)


def cameras() -> NDArray[np.float64]:
    """K (3, 3, 3) of the crops, which lie some 10 degrees off the axis of the photo's camera."""
    centres = np.array([[80.0, 10.0], [-30.0, 40.0], [20.0, 90.0]])
    K = np.tile(np.diag([300.0, 310.0, 1.0]), (3, 1, 1))
    K[:, :2, 2] = centres
    return K


@pytest.mark.parametrize("handedness", ["handed", "canonical"])
def test_with_k_the_hand_is_in_the_frame_of_the_photos_camera(
    predictor: Callable[..., Predictor], crops: Crops, mano: Mano, handedness: str
) -> None:
    predict, K = predictor(handedness), cameras()
    in_view, in_camera = predict(crops, SIDES), predict(crops, SIDES, K)
    R = torch.from_numpy(view_rotation(K, PX)).float()
    for name in ("joints", "vertices"):
        turned = turn(getattr(in_camera, name), R)
        torch.testing.assert_close(turned, getattr(in_view, name), atol=1e-6, rtol=0)
    assert (in_camera.joints - in_view.joints).norm(dim=-1).max() > 0.01
    for name in ("uv", "depth_rel", "betas"):
        assert torch.equal(getattr(in_camera, name), getattr(in_view, name))
    with torch.no_grad():  # MANO, posed by the parameters, says the same
        right = mano(in_camera.rotmat[:, 0], in_camera.rotmat[:, 1:], in_camera.betas)
    posed = mirror_points(right.joints - right.joints[:, :1], torch.from_numpy(SIDES))
    torch.testing.assert_close(posed, in_camera.joints, atol=1e-6, rtol=0)
    torch.testing.assert_close(rot6d_to_matrix(in_camera.rot6d), in_camera.rotmat)


def test_a_model_of_the_cameras_own_frame_needs_no_k(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    predict = predictor()
    predict.net.turn_camera = False
    without, given = predict(crops, SIDES), predict(crops, SIDES, cameras())
    assert torch.equal(without.joints, given.joints)
    assert torch.equal(without.rotmat, given.rotmat)


@pytest.fixture
def sees_rays(predictor: Callable[..., Predictor]) -> Callable[..., Predictor]:
    """A predictor whose network is given the direction of each joint, and uses it."""

    def make(handedness: str = "handed", **more: Any) -> Predictor:
        predict = predictor(handedness, ray_input=True, **more)
        assert isinstance(predict.net, PoseNet) and predict.net.rays is not None
        nn.init.normal_(predict.net.rays.weight)
        return predict

    return make


@pytest.mark.parametrize("turn_camera", [True, False])
def test_rays_are_those_of_the_frame_that_the_model_was_trained_in(
    sees_rays: Callable[..., Predictor], crops: Crops, turn_camera: bool
) -> None:
    predict, K = sees_rays(turn_camera=turn_camera), cameras()
    hand = predict(crops, SIDES, K)
    R = view_rotation(K, PX) if turn_camera else np.tile(np.eye(3), (3, 1, 1))
    seen_by = torch.from_numpy(K @ R.swapaxes(1, 2)).float()
    image = torch.from_numpy(crops).permute(0, 3, 1, 2)
    with torch.no_grad():
        direct = predict.net(image, torch.from_numpy(SIDES), seen_by)
    turned = turn(hand.joints, torch.from_numpy(R).float())
    torch.testing.assert_close(turned, direct.joints, atol=1e-6, rtol=0)
    twice = crops.repeat(2, axis=1).repeat(2, axis=2)
    larger = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]) @ K  # each pixel four times
    again = predict(twice, SIDES, larger)
    torch.testing.assert_close(again.joints, hand.joints, atol=1e-4, rtol=0)
    with pytest.raises(PredictError, match=r"\(pose_net.ray_input\): give K, the intrinsics"):
        predict(crops, SIDES)


def test_a_canonical_model_sees_the_rays_of_mirrored_hands(
    sees_rays: Callable[..., Predictor], crops: Crops
) -> None:
    predict, K = sees_rays("canonical"), cameras()
    right = predict(crops, np.zeros(3, np.bool_), K)
    of_mirror = K.copy()
    of_mirror[:, 0, 2] = PX - 1 - K[:, 0, 2]
    left = predict(crops[:, :, ::-1], np.ones(3, np.bool_), of_mirror)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(left.joints, mirror * right.joints, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("biases", "is_left"), [([1, 1.5, 1], False), ([0, 9, 0], True)])
def test_the_gesture_classes_give_the_side_when_it_is_not_given(
    predictor: Callable[..., Predictor], crops: Crops, biases: list[float], is_left: bool
) -> None:
    predict = predictor()
    last = predict.net.gesture_net.heads.coarse[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor(biases, dtype=torch.float32)
    predicted = predict(crops)
    given = predict(crops, np.full(3, is_left))
    torch.testing.assert_close(predicted.vertices, given.vertices)


def test_the_side_is_that_of_the_image_that_the_hand_is_read_from(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    """The upright one of a second look, whose logits the output has."""
    predict = predictor()
    predict.net.second_look = True
    turned = np.concatenate([np.rot90(crops, k, (1, 2)) for k in range(4)])
    with torch.no_grad():  # half of the upright images are left hands
        encoded = predict.net.encode(torch.from_numpy(turned).permute(0, 3, 1, 2))
        features = encoded.gesture.features - encoded.gesture.features.mean(0)
        last = predict.net.gesture_net.heads.coarse[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        last.weight[1] = 1e4 * features[0]
        last.bias[1] = -last.weight[1] @ encoded.gesture.features.median(0).values
    predicted = predict(turned)
    left = predict.probability_left(predicted.coarse_logits, predicted.view) > 0.5
    assert 0 < left.sum() < len(left)
    given = predict(turned, left.numpy())
    torch.testing.assert_close(predicted.vertices, given.vertices)


def test_beyond_a_photos_edge_its_pixels_go_on_in_both_looks(
    predictor: Callable[..., Predictor],
) -> None:
    predict = predictor()
    predict.net.second_look = True
    photo = np.random.default_rng(0).integers(0, 256, (PX, PX, 3), dtype=np.uint8)
    padded = np.pad(photo, ((PX, PX), (PX, PX), (0, 0)), "edge")
    half_out = np.array([[1.0, 0, PX / 2], [0, 1, PX / 4], [0, 0, 1]])
    to_photo = np.array([[1.0, 0, -PX], [0, 1, -PX], [0, 0, 1]])
    side = np.array([False])
    found = predict.in_photos([photo], half_out[None], side)
    same = predict.in_photos([padded], (half_out @ to_photo)[None], side)
    torch.testing.assert_close(found.joints, same.joints)
    black = np.zeros_like(padded)
    black[PX:-PX, PX:-PX] = photo
    other = predict.in_photos([black], (half_out @ to_photo)[None], side)
    assert not torch.allclose(found.joints, other.joints)


def test_a_second_look_sees_what_lies_beside_the_view_of_a_photo(
    predictor: Callable[..., Predictor],
) -> None:
    """And nothing else of the photo."""
    predict = predictor()
    predict.net.second_look = True
    photo = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    corner = 48  # of the view
    A = np.array([[[1.0, 0, -corner], [0, 1, -corner], [0, 0, 1]]])
    side = np.array([False])
    view = photo[corner : corner + PX, corner : corner + PX]
    found = predict.in_photos([photo], A, side)
    crop = predict(view[None], side)
    assert not torch.allclose(found.joints, crop.joints), "the crop's corners are its edge"
    beside, far = photo.copy(), photo.copy()
    beside[corner - 12 : corner] = 255
    far[:20] = 255
    assert not torch.equal(predict.in_photos([beside], A, side).joints, found.joints)
    assert torch.equal(predict.in_photos([far], A, side).joints, found.joints)
    predict.net.second_look = False
    torch.testing.assert_close(
        predict.in_photos([beside], A, side).joints, predict(view[None], side).joints
    )


def test_what_the_network_cannot_take_is_refused(
    predictor: Callable[..., Predictor], crops: Crops
) -> None:
    predict = predictor()
    bads: list[Any] = [crops[0], crops[:, :32], crops[..., :2], crops[:0], crops.astype(np.float32)]
    for bad in bads:
        with pytest.raises(PredictError, match=r"expected uint8 \(B, S, S, 3\)"):
            predict(bad)
    with pytest.raises(PredictError, match="one flag a crop, 3"):
        predict(crops, SIDES[:2])
    with pytest.raises(PredictError, match=r"K has shape \(2, 3, 3\), expected one matrix a crop"):
        predict(crops, SIDES, cameras()[:2])
    with pytest.raises(PredictError, match="determinant of 0 or less"):
        predict(crops, SIDES, np.zeros((3, 3, 3)))
    with pytest.raises(PredictError, match="give is_left"):
        predictor("canonical")(crops)


def test_a_saved_model_predicts_the_same(
    tmp_path: Path, predictor: Callable[..., Predictor], stand_in: Path, crops: Crops
) -> None:
    predict = predictor()
    save_model(tmp_path, predict.net, predict.record)
    loaded = Predictor.load(tmp_path, mano=stand_in)
    assert torch.equal(loaded(crops, SIDES).vertices, predict(crops, SIDES).vertices)


def test_a_saved_model_has_the_joints_that_it_was_trained_on(
    tmp_path: Path, predictor: Callable[..., Predictor], stand_in: Path, crops: Crops
) -> None:
    """Whatever params.yaml says now; a regressor of its own is looked for beside the hand."""
    mano = tmp_path / "mano"
    shutil.copytree(stand_in, mano)
    np.save(mano / INTERHAND_REGRESSOR, made_up_regressor())
    smplx = predictor()
    theirs = smplx(crops, SIDES)
    for file in ("", INTERHAND_REGRESSOR):
        definition = JointDefinition.load("interhand", mano, file)
        record = dataclasses.replace(smplx.record, joints=definition.record())
        save_model(tmp_path / file, smplx.net, record)
        hand = Predictor.load(tmp_path / file, mano=mano)(crops, SIDES)
        wrist = hand.joints[:, :1]
        expected = Mano.load(stand_in, definition).joints_from(hand.vertices)
        torch.testing.assert_close(hand.joints, expected - expected[:, :1] + wrist)
        apart = hand.vertices - hand.joints[:, :1] - (theirs.vertices - theirs.joints[:, :1])
        assert apart.std(dim=1).max() < 1e-6, "the same mesh"
        assert (hand.joints - theirs.joints).norm(dim=-1)[:, list(TIPS)].min() > 3e-3
    np.save(mano / INTERHAND_REGRESSOR, made_up_regressor(seed=1))
    with pytest.raises(CheckpointError, match="was trained on the joints"):
        Predictor.load(tmp_path / INTERHAND_REGRESSOR, mano=mano)
    with pytest.raises(JointError, match=f"{INTERHAND_REGRESSOR}: not found"):
        Predictor.load(tmp_path / INTERHAND_REGRESSOR, mano=stand_in)
