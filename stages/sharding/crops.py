"""The stored crop of one sample: the network's view, and a border for augmentation.

With `shard.lossless: never` it is resampled to `shard.crop_px`. Otherwise it keeps the photo's
own pixels, so that the reader's warp is the only one, and its label gives the position of the view:
the blocks of the photo's JPEG are copied if libjpeg-turbo is installed, else encoded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.data import lossless
from handpose.data.crop import Square, affine, square, warp
from handpose.data.photo import BLACKEST, Photo, PhotoError, decoded, read_content
from handpose.data.records import FIELDS, ORIGIN, VIEW
from handpose.hand.camera import warp_intrinsics
from stages.params import ShardParams

LARGEST = 2.0
"""Times `crop_px`: a larger region would cost more to read, every epoch, than it saves."""

RIM = 2.0
"""px; this near to its edge, colours of a part may differ from the whole's, by interpolation."""


def cut(row: Mapping[str, Any], root: Path, shard: ShardParams) -> tuple[bytes, dict[str, Any]]:
    """The stored crop of one sample as JPEG, and its label with the camera of the crop.

    Args:
        row: of samples.parquet.
        root: the folder that the row's `image` is below.
        shard: the section of params.yaml.

    Raises:
        PhotoError: the photo is damaged or of another size than annotated, or the box is empty.
    """
    size = (row["width"], row["height"])
    photo = Photo(root / row["image"], *size)
    content = read_content(photo.path)
    try:
        region = square(row["bbox"], shard.box_scale * shard.crop_px / shard.view_px)
    except ValueError as error:
        raise PhotoError("empty_box", f"{photo.path}: {error}") from None
    pixels = None if shard.lossless == "never" else _pixels(region, size, shard)
    if pixels is None:
        A = affine(region, shard.crop_px)
        crop = warp(decoded(content, photo), A, shard.crop_px)
        return encoded(crop, shard.jpeg_quality), _label(row, A)
    part = lossless.crop(content, pixels, size)
    if part is not None and not _is_black(part.jpeg):
        return part.jpeg, _native_label(row, region, part.x, part.y, shard)
    # no library, or a damaged photo, for which decoding raises with the reason
    x, y, right, bottom = pixels
    jpeg = encoded(decoded(content, photo)[y:bottom, x:right], shard.jpeg_quality)
    return jpeg, _native_label(row, region, x, y, shard)


def _pixels(
    region: Square, size: tuple[int, int], shard: ShardParams
) -> tuple[int, int, int, int] | None:
    """The photo's pixels that are stored: left, top, and the first ones right and below of it.

    None if there are none, or if the region is so large that it is better resampled.
    """
    if region.side > LARGEST * shard.crop_px:
        return None
    reach = region.side / 2 + RIM
    left, top = (int(max(centre - reach, 0)) for centre in (region.x, region.y))
    right, bottom = (
        int(min(region.x + reach + 1, size[0])),
        int(min(region.y + reach + 1, size[1])),
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def _is_black(jpeg: bytes) -> bool:
    """Whether a JPEG is black at an eighth of its size, or cannot be decoded."""
    small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return small is None or small.max() <= BLACKEST


def _native_label(
    row: Mapping[str, Any], region: Square, x: int, y: int, shard: ShardParams
) -> dict[str, Any]:
    """The label of the photo's own pixels from (x, y) on, with the position of the view in them."""
    shift = np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])
    side = region.side * shard.view_px / shard.crop_px
    return _label(row, shift) | {VIEW: [region.x - x, region.y - y, side]}


def _label(row: Mapping[str, Any], A: NDArray[np.float64]) -> dict[str, Any]:
    """The label of a sample, its camera transformed by A: pixels of the photo -> of the crop."""
    label = {key: row[key] for key in ORIGIN} | {key: _array(row[key]) for key in FIELDS}
    label["K"] = warp_intrinsics(label["K"].reshape(3, 3), A)
    return label


def _array(value: Any) -> Any:
    """Lists of the parquet file as arrays: flags as bool, numbers as float32."""
    if not isinstance(value, list):
        return value
    return np.array(value, np.bool_ if isinstance(value[0], bool) else np.float32)


def encoded(image: NDArray[np.uint8], quality: int) -> bytes:
    """A baseline JPEG of an RGB image."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
