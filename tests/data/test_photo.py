"""Photos: each kind of damage has its own name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from handpose.data.photo import Photo, PhotoError, read_photo, read_upright


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo whose upper half is red; noise below makes the file long."""
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    image[:30] = (0, 0, 250)  # OpenCV writes blue, green, red
    path = tmp_path / "image0563.jpg"
    cv2.imwrite(str(path), image)
    return path


def reason(path: Path) -> str:
    with pytest.raises(PhotoError) as raised:
        read_photo(Photo(path, 80, 60))
    assert str(path) in str(raised.value)
    return raised.value.reason


def test_colours_are_red_green_blue(photo: Path) -> None:
    image = read_photo(Photo(photo, 80, 60))
    assert image.shape == (60, 80, 3)
    np.testing.assert_allclose(image[:20].mean((0, 1)), (250, 0, 0), atol=4)


def test_a_grey_photo_has_three_equal_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.jpg"), np.full((8, 8), 90, np.uint8))
    image = read_photo(Photo(tmp_path / "grey.jpg", 8, 8))
    np.testing.assert_allclose(image, np.full((8, 8, 3), 90), atol=2)


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.05])
def test_a_truncated_photo_is_found_though_opencv_would_read_it(photo: Path, kept: float) -> None:
    content = photo.read_bytes()
    photo.write_bytes(content[: int(len(content) * kept)])
    assert reason(photo) == "image_truncated"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_a_truncated_picture_of_another_format_is_found(photo: Path, suffix: str) -> None:
    content = as_format(photo, suffix)
    photo.write_bytes(content[: len(content) // 2])
    assert reason(photo) in ("image_truncated", "image_damaged", "image_undecodable")


def test_missing_black_and_foreign_files(tmp_path: Path) -> None:
    assert reason(tmp_path / "absent.jpg") == "image_missing"
    (tmp_path / "folder.jpg").mkdir()
    assert reason(tmp_path / "folder.jpg") == "image_unreadable"
    cv2.imwrite(str(tmp_path / "black.jpg"), np.zeros((8, 8, 3), np.uint8))
    assert reason(tmp_path / "black.jpg") == "image_black"
    for name, content in {
        "text": b"no picture\xff\xd9",
        "start": b"\xff\xd8 and no more",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "page": b"<!doctype html><html><body>Log in</body></html>",
    }.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
        assert reason(tmp_path / f"{name}.jpg") in ("image_undecodable", "image_truncated"), name
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "image_empty"


# --- photos that are as they should be, whatever their bytes ------------------------------------


def as_format(photo: Path, suffix: str) -> bytes:
    picture = cv2.imread(str(photo))
    assert picture is not None
    return cv2.imencode(suffix, picture)[1].tobytes()


WHOLE: dict[str, Callable[[Path], bytes]] = {
    "bytes behind the end": lambda photo: photo.read_bytes() + b"\0" * 2000,
    "text behind the end": lambda photo: photo.read_bytes() + b"a camera's own data",
    "no end marker": lambda photo: photo.read_bytes()[:-2],
    "a PNG": lambda photo: as_format(photo, ".png"),
    "a WebP": lambda photo: as_format(photo, ".webp"),
    "a BMP": lambda photo: as_format(photo, ".bmp"),
    "progressive": lambda photo: _pillow(photo, progressive=True),
    "CMYK": lambda photo: _pillow(photo, mode="CMYK"),
    "4:2:2": lambda photo: _pillow(photo, subsampling="4:2:2"),
}


def _pillow(photo: Path, mode: str = "RGB", **how: Any) -> bytes:
    stream = BytesIO()
    with Image.open(photo) as picture:
        picture.convert(mode).save(stream, "JPEG", **{"quality": 95, **how})
    return stream.getvalue()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_used(photo: Path, kind: str) -> None:
    before = read_photo(Photo(photo, 80, 60))
    photo.write_bytes(WHOLE[kind](photo))
    image = read_photo(Photo(photo, 80, 60))
    assert np.abs(image[:20].astype(int) - before[:20]).max() < 40
    assert image.shape == before.shape


@pytest.mark.parametrize(
    "how", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"quality": 30}]
)
def test_pixels_are_those_of_opencv(photo: Path, how: dict[str, Any]) -> None:
    photo.write_bytes(_pillow(photo, **how))
    expected = cv2.imread(str(photo), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(read_photo(Photo(photo, 80, 60)), expected)


# --- damage that decoders do not mind ------------------------------------------------------------


def test_the_head_of_one_photo_and_the_tail_of_another_are_damaged(tmp_path: Path) -> None:
    """As where a part of a split archive is missing; every decoder here returns a picture."""
    rng = np.random.default_rng(0)
    path = tmp_path / "spliced.jpg"
    for share in (0.3, 0.5, 0.7):
        one, other = (
            cv2.imencode(".jpg", rng.integers(0, most, (60, 80, 3), dtype=np.uint8))[1].tobytes()
            for most in (40, 256)
        )
        path.write_bytes(one[: int(share * len(one))] + other[int(share * len(other)) :])
        assert cv2.imread(str(path)) is not None
        assert reason(path) in ("image_damaged", "image_truncated")


def test_zeros_in_the_middle_are_damage(photo: Path) -> None:
    """As a download writes that was interrupted and went on elsewhere."""
    content = bytearray(photo.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 512] = bytes(512)
    photo.write_bytes(bytes(content))
    assert reason(photo) == "image_damaged"


def test_another_size_than_annotated_is_reported(photo: Path) -> None:
    with pytest.raises(PhotoError, match="80x60 px, its annotation says 60x80") as raised:
        read_photo(Photo(photo, 60, 80))
    assert raised.value.reason == "image_size"


def test_the_error_survives_the_way_back_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(PhotoError("image_black", "a.jpg has no value above 8")))
    assert (error.reason, error.detail) == ("image_black", "a.jpg has no value above 8")


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_picture_is_turned_upright_as_pillow_turns_it(
    photo: Path, orientation: int, suffix: str
) -> None:
    exif, turned = Image.Exif(), photo.with_name(f"turned{suffix}")
    exif[274] = orientation
    with Image.open(photo) as picture:
        picture.save(turned, exif=exif)
    with Image.open(turned) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_upright(turned), expected)
    if suffix != ".tif":  # which OpenCV turns itself
        assert read_photo(Photo(turned, 80, 60)).shape == (60, 80, 3), "a data set's stay as stored"


def test_half_a_picture_is_not_turned_upright(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:-900])
    with pytest.raises(PhotoError, match="image_truncated"):
        read_upright(photo)


def test_damaged_exif_data_leave_a_whole_picture_as_it_is(photo: Path) -> None:
    content = photo.read_bytes()
    assert content[2:4] == b"\xff\xe0"  # JFIF's segment; one of nonsense comes before it
    nonsense = b"Exif\0\0II*\0nonsense"
    segment = b"\xff\xe1" + (len(nonsense) + 2).to_bytes(2, "big") + nonsense
    photo.write_bytes(content[:2] + segment + content[2:])
    assert read_upright(photo).shape == (60, 80, 3)


def test_a_users_jpeg_with_a_warning_is_taken_and_a_data_sets_is_not(photo: Path) -> None:
    content = bytearray(photo.read_bytes())
    content[-300] ^= 0x55  # all of it is there, and something is wrong
    photo.write_bytes(content)
    assert reason(photo) == "image_damaged"
    assert read_upright(photo).shape == (60, 80, 3)


def test_a_picture_of_a_telephone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(PhotoError, match="is a HEIC picture, which cannot be read: convert it"):
        read_upright(path)
