"""Photos: each kind of damage has its own name."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from handpose.data.photo import Photo, PhotoError, read_photo


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo whose upper half is red; noise below makes the file long."""
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    image[:30] = (0, 0, 250)  # OpenCV writes blue, green, red
    path = tmp_path / "image0563.jpg"
    cv2.imwrite(str(path), image)
    return path


def reason(path: Path) -> str:
    with pytest.raises(PhotoError) as told:
        read_photo(Photo(path, 80, 60))
    assert str(path) in str(told.value)
    return told.value.reason


def test_colours_are_red_green_blue(photo: Path) -> None:
    image = read_photo(Photo(photo, 80, 60))
    assert image.shape == (60, 80, 3)
    np.testing.assert_allclose(image[:20].mean((0, 1)), (250, 0, 0), atol=4)


def test_a_grey_photo_has_three_equal_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.jpg"), np.full((8, 8), 90, np.uint8))
    image = read_photo(Photo(tmp_path / "grey.jpg", 8, 8))
    np.testing.assert_allclose(image, np.full((8, 8, 3), 90), atol=2)


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.05])
def test_a_truncated_photo_is_told_though_opencv_would_read_it(photo: Path, kept: float) -> None:
    content = photo.read_bytes()
    photo.write_bytes(content[: int(len(content) * kept)])
    assert reason(photo) == "image_truncated"


def test_missing_black_and_foreign_files(tmp_path: Path) -> None:
    assert reason(tmp_path / "absent.jpg") == "image_missing"
    (tmp_path / "folder.jpg").mkdir()
    assert reason(tmp_path / "folder.jpg") == "image_unreadable"
    cv2.imwrite(str(tmp_path / "black.jpg"), np.zeros((8, 8, 3), np.uint8))
    assert reason(tmp_path / "black.jpg") == "image_black"
    (tmp_path / "text.jpg").write_bytes(b"no picture\xff\xd9")
    assert reason(tmp_path / "text.jpg") == "image_undecodable"


def test_another_size_than_annotated_is_told(photo: Path) -> None:
    with pytest.raises(PhotoError, match="80x60 px, its annotation says 60x80") as told:
        read_photo(Photo(photo, 60, 80))
    assert told.value.reason == "image_size"


def test_the_error_survives_the_way_back_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(PhotoError("image_black", "a.jpg has no value above 8")))
    assert (error.reason, error.detail) == ("image_black", "a.jpg has no value above 8")
