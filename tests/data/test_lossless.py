"""Lossless crops: the very pixels of the photo, on its grid; what is odd is left to others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.data import lossless

WIDTH, HEIGHT = 150, 101  # no whole number of blocks
BOX = (37, 21, 118, 90)
RIM = 2  # px from a cut: colours of subsampled JPEGs are interpolated across it
SAMPLINGS = {
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444: (8, 8),
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422: (16, 8),
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420: (16, 16),
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440: (8, 16),
}

needs_library = pytest.mark.skipif(
    not lossless.available(), reason="needs apt install libturbojpeg0"
)


def photo(channels: int = 3) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.uint8)


def encode(image: NDArray[np.uint8], *options: int) -> bytes:
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@needs_library
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_crop_has_the_pixels_of_the_whole(sampling: int, progressive: int) -> None:
    jpeg = encode(
        photo(),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling),
        *(cv2.IMWRITE_JPEG_PROGRESSIVE, progressive),
    )
    part = lossless.crop(jpeg, BOX, (WIDTH, HEIGHT))
    assert part is not None
    left, top, right, bottom = BOX
    block = SAMPLINGS[sampling]
    assert (part.x, part.y) == (left // block[0] * block[0], top // block[1] * block[1])
    expected, found = decode(jpeg)[part.y : bottom, part.x : right], decode(part.jpeg)
    assert found.shape == expected.shape
    rim = 0 if block == (8, 8) else RIM
    inner = (slice(rim, bottom - part.y - rim), slice(rim, right - part.x - rim))
    np.testing.assert_array_equal(found[inner], expected[inner])
    assert (b"\xff\xc2" in jpeg, b"\xff\xc0" in part.jpeg) == (bool(progressive), True)


@needs_library
def test_a_grey_photo_stays_grey() -> None:
    jpeg = encode(photo(1))
    part = lossless.crop(jpeg, BOX, (WIDTH, HEIGHT))
    assert part is not None and (part.x, part.y) == (32, 16)
    expected = decode(jpeg)[part.y : BOX[3], part.x : BOX[2]]
    np.testing.assert_array_equal(decode(part.jpeg), expected)
    stored = cv2.imdecode(np.frombuffer(part.jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored is not None and stored.ndim == 2


@needs_library
def test_the_whole_photo_may_be_taken() -> None:
    jpeg = encode(photo())
    part = lossless.crop(jpeg, (0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT))
    assert part is not None and part[1:] == (0, 0)
    np.testing.assert_array_equal(decode(part.jpeg), decode(jpeg))


@needs_library
def test_what_is_odd_is_left_to_who_decodes() -> None:
    jpeg = encode(photo())
    assert lossless.crop(jpeg, BOX, (WIDTH + 1, HEIGHT)) is None  # of another size
    assert lossless.crop(b"no picture", BOX, (WIDTH, HEIGHT)) is None
    assert lossless.crop(jpeg[: len(jpeg) // 2], BOX, (WIDTH, HEIGHT)) is None
    middle = len(jpeg) // 2
    damaged = jpeg[:middle] + b"\xff\xc4" * 10 + jpeg[middle + 20 :]
    assert lossless.crop(damaged, BOX, (WIDTH, HEIGHT)) is None


def test_without_the_library_nothing_is_cropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossless, "_library", lambda: None)
    assert not lossless.available()
    assert lossless.crop(encode(photo()), BOX, (WIDTH, HEIGHT)) is None
