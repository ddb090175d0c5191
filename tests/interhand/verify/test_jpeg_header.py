from __future__ import annotations

import cv2
import numpy as np
import pytest

from handpose.interhand.verify.jpeg_header import JpegHeader, read_header

PICTURE = np.random.default_rng(0).integers(0, 255, (33, 50, 3), np.uint8)


def jpeg(picture: np.ndarray, progressive: bool) -> bytes:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


@pytest.mark.parametrize("progressive", [False, True])
def test_size_channels_and_kind(progressive: bool) -> None:
    assert read_header(jpeg(PICTURE, progressive)) == JpegHeader(50, 33, 3, progressive)
    assert read_header(jpeg(PICTURE[..., 0], progressive)) == JpegHeader(50, 33, 1, progressive)


def test_fill_bytes_and_long_segments_are_passed_over() -> None:
    content = jpeg(PICTURE, False)
    exif = b"\xff\xe1" + (20_002).to_bytes(2) + bytes(20_000)
    assert read_header(content[:2] + b"\xff\xff" + exif[1:] + content[2:]) == read_header(content)


@pytest.mark.parametrize("end", [0, 2, 11, 100])
def test_less_than_a_header_is_none(end: int) -> None:
    assert read_header(jpeg(PICTURE, False)[:end]) is None
    assert read_header(b"\x89PNG" + bytes(end)) is None
