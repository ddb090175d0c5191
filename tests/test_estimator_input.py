"""What is no photo, box, side, camera or device is refused, and what is one is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from handpose.estimator_input import (
    EstimatorError,
    checked_cameras,
    checked_side,
    one_box_each,
    read_photo,
    require_device,
    rgb,
    seen_square,
)

PHOTO: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def test_a_photo_is_read_upright_and_as_rgb(tmp_path: Path) -> None:
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :, 0] = 250
    cv2.imwrite(str(tmp_path / "red.png"), image[..., ::-1])
    assert np.array_equal(read_photo(tmp_path / "red.png"), image)


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("a login page")
    jpeg = cv2.imencode(".jpg", PHOTO)[1].tobytes()
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    for name, words in (
        ("empty.jpg", r"empty\.jpg has 0 bytes"),
        ("text.jpg", r"text\.jpg is not a picture"),
        ("half.jpg", r"half\.jpg ends in the middle"),
        ("missing.jpg", r"missing\.jpg not found"),
    ):
        with pytest.raises(EstimatorError, match=words):
            rgb(tmp_path / name)
    bads: list[Any] = [PHOTO[..., 0], PHOTO.astype(np.float32), PHOTO[:0]]
    for bad in bads:
        with pytest.raises(EstimatorError, match=r"expected uint8 \(H, W, 3\)"):
            rgb(bad)
    others: list[Any] = [PHOTO.tolist(), Pillow.fromarray(PHOTO), PHOTO.tobytes(), None]
    for bad in others:
        with pytest.raises(EstimatorError, match=rf"of type {type(bad).__name__}, .*convert"):
            rgb(bad)
    with pytest.raises(EstimatorError, match=r"'a\\x00b' holds a zero byte"):
        rgb("a\0b")


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
def test_a_box_that_holds_nothing_is_refused(box: Any, words: str) -> None:
    with pytest.raises(EstimatorError, match=words):
        seen_square(PHOTO, box, 1.25)


def test_what_is_seen_has_the_middle_of_the_box() -> None:
    """A photo's corner is at (-0.5, -0.5): the centres of its pixels are whole numbers."""
    assert seen_square(PHOTO, (30, 20, 40, 50), 1.5) == (49.5, 44.5, 75)
    assert seen_square(PHOTO, None, 1.5) == (79.5, 59.5, 160)


@pytest.mark.parametrize("side", ["LEFT", "", True, ["left"], np.array(["left", "right"])])
def test_a_side_that_is_none_is_refused(side: Any) -> None:
    with pytest.raises(EstimatorError) as caught:
        checked_side(side)
    assert str(caught.value).startswith(f'side is {side!r}, expected "left", "right", or')


def test_what_are_no_photos_or_boxes_at_all_is_refused() -> None:
    wrong: list[Any] = ["photo.jpg", Path("photo.jpg"), None, (p for p in [PHOTO])]
    for photos in wrong:
        with pytest.raises(EstimatorError, match=r"photos is of type \w+, expected a list"):
            one_box_each(photos, None)
    boxes: Any = 3
    with pytest.raises(EstimatorError, match="boxes is of type int, expected a list"):
        one_box_each([PHOTO], boxes)


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
def test_intrinsics_of_another_shape_are_refused(K: Any, words: str) -> None:
    with pytest.raises(EstimatorError, match=words):
        checked_cameras(K, 2)


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
        require_device(device)
