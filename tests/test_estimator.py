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
from PIL import Image as Pillow

import handpose
from handpose.confidence.confidence_head import ConfidenceHead
from handpose.data.crop import affine, square
from handpose.estimator import EstimatorError, HandEstimator, read_photo
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


def test_a_photo_is_read_upright_and_as_rgb(tmp_path: Path) -> None:
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :, 0] = 250
    cv2.imwrite(str(tmp_path / "red.png"), image[..., ::-1])
    assert np.array_equal(read_photo(tmp_path / "red.png"), image)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 0, 10), "the last two above 0"),
        ((0, 0, float("nan"), 10), "the last two above 0"),
        ((1, 2, 3), "expected x, y, width and height"),
        ((200, 0, 10, 10), "outside the photo of 160 x 120 px"),
        ((-30, 0, 20, 10), "outside the photo of 160 x 120 px"),
        ("30,20,40,50", "the box is '30,20,40,50', expected x, y, width and height"),
        ({"x": 1, "y": 2, "w": 3, "h": 4}, "the box is {'x': 1, .*expected x, y, width and height"),
        ((0, 0, 10**400, 10), "the last two above 0"),
        ((0, 0, 1e9, 1e9), "is 1e[+]09 x 1e[+]09 px in a photo of 160 x 120 px, expected x, y"),
        ((0, 0, 16001, 10), "from 1 px to 100 times that of the photo"),
        ((-1e308, 1, 1.7e308, 10), "from 1 px to 100 times that of the photo"),
        ((1, 1, 1e-9, 0.9), "is 1e-09 x 0.9 px in a photo of 160 x 120 px"),
    ],
)
def test_a_box_that_holds_nothing_is_refused(
    box: Any, words: str, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    with pytest.raises(EstimatorError, match=words):
        HandEstimator(predictor())(photo, box)


@pytest.mark.parametrize("box", [(30, 20, 1, 0.1), (0, 0, 16000, 10), (-7000, -20, 16000, 16000)])
def test_the_smallest_and_the_largest_box_are_seen(
    box: Any, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    assert np.isfinite(HandEstimator(predictor())(photo, box).joints_px).all()


@pytest.mark.parametrize("side", ["LEFT", "", True, ["left"], np.array(["left", "right"])])
def test_a_side_that_is_none_is_refused(
    side: Any, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    for call in (lambda: estimate(photo, BOX, side=side), lambda: estimate.batch([], side=side)):
        with pytest.raises(EstimatorError) as caught:
            call()
        assert str(caught.value).startswith(f'side is {side!r}, expected "left", "right", or')


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


def test_what_are_no_photos_or_boxes_at_all_is_refused(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    wrong: list[Any] = ["photo.jpg", Path("photo.jpg"), None, (p for p in [photo])]
    for photos in wrong:
        with pytest.raises(EstimatorError, match=r"photos is of type \w+, expected a list"):
            estimate.batch(photos)
    boxes: Any = 3
    with pytest.raises(EstimatorError, match="boxes is of type int, expected a list"):
        estimate.batch([photo], boxes)


@pytest.mark.parametrize(
    ("K", "words"),
    [
        ((200, 200, 79.5, 59.5), r"K has shape \(4,\), expected \(3, 3\)"),
        (
            np.stack([np.eye(3)] * 3),
            r"K has shape \(3, 3, 3\), .*or \(2, 3, 3\), one for each photo",
        ),
        ("200,200,79.5,59.5", "K is '200,200,79.5,59.5', expected"),
    ],
)
def test_intrinsics_of_another_shape_are_refused(
    K: Any, words: str, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    with pytest.raises(EstimatorError, match=words):
        HandEstimator(predictor()).batch([photo] * 2, [BOX] * 2, K=K)


def test_each_photo_may_have_its_own_intrinsics(
    predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    one, other = estimate.batch([photo] * 2, [BOX] * 2, K=np.stack([K, K @ np.diag([2, 2, 1])]))
    np.testing.assert_allclose(one.joints, estimate(photo, BOX, K=K).joints, atol=1e-5)
    assert not np.allclose(one.joints, other.joints)


def test_what_is_no_photo_is_refused(
    tmp_path: Path, predictor: Callable[..., Predictor], photo: Photo
) -> None:
    estimate = HandEstimator(predictor())
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("a login page")
    jpeg = cv2.imencode(".jpg", photo)[1].tobytes()
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    for name, words in (
        ("empty.jpg", r"empty\.jpg has 0 bytes"),
        ("text.jpg", r"text\.jpg is not a picture"),
        ("half.jpg", r"half\.jpg ends in the middle"),
        ("missing.jpg", r"missing\.jpg not found"),
    ):
        with pytest.raises(EstimatorError, match=words):
            estimate(tmp_path / name, BOX)
    bads: list[Any] = [photo[..., 0], photo.astype(np.float32), photo[:0]]
    for bad in bads:
        with pytest.raises(EstimatorError, match=r"expected uint8 \(H, W, 3\)"):
            estimate(bad, BOX)
    others: list[Any] = [photo.tolist(), Pillow.fromarray(photo), photo.tobytes(), None]
    for bad in others:
        with pytest.raises(EstimatorError, match=rf"of type {type(bad).__name__}, .*convert"):
            estimate(bad, BOX)
    with pytest.raises(EstimatorError, match=r"'a\\x00b' holds a zero byte"):
        estimate("a\0b", BOX)


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
    ("device", "gpus", "words"),
    [
        ("cuda", 0, "device is cuda, but torch finds no GPU here; set device to cpu"),
        ("cuda:1", 1, "device is cuda:1, but torch finds 1 GPU, cuda:0; choose it, or cpu"),
        ("cuda:2", 2, "but torch finds 2 GPUs, cuda:0 to cuda:1; choose one of them, or cpu"),
        ("gpu", 0, 'device is \'gpu\', expected "cpu", "cuda"'),
    ],
)
def test_a_device_that_is_not_there_is_said(
    device: str, gpus: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(EstimatorError, match=words):
        HandEstimator.load("nowhere", device=device)
