"""What a hand estimator is given: photos, boxes, the side, intrinsics, a device.

Each is checked before anything is computed, and what cannot be taken is an `EstimatorError` that
says what was expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.crop import Square, square
from handpose.data.photo import PhotoError, read_upright
from handpose.errors import HandPoseError

Side = Literal["left", "right"]
Picture = Path | str | NDArray[np.uint8]
"""A photo's file, or (H, W, 3) uint8 RGB."""

LARGEST = 100
"""A box's longer side may be this many times that of the photo; a larger one is a mistake, and
would take too much memory."""


class EstimatorError(HandPoseError):
    """A photo, box, side, camera or device that cannot be used, or no released weights."""


def require_device(device: str) -> None:
    """Refuse a device before anything is loaded onto it.

    Raises:
        EstimatorError: torch does not know it, or this machine does not have it.
    """
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        raise EstimatorError(
            f'device is {device!r}, expected "cpu", "cuda", or another that torch knows'
        ) from None
    gpus = torch.cuda.device_count()
    if wanted.type == "cuda" and (wanted.index or 0) >= gpus:
        if not gpus:
            found = "no GPU here; set device to cpu"
        elif gpus == 1:
            found = "1 GPU, cuda:0; choose it, or cpu"
        else:
            found = f"{gpus} GPUs, cuda:0 to cuda:{gpus - 1}; choose one of them, or cpu"
        raise EstimatorError(f"device is {device}, but torch finds {found}")


def checked_side(side: object) -> Side | None:
    """The side that is given; None if the network is to predict it: for None and "auto".

    Raises:
        EstimatorError: it is none of these.
    """
    if side is None:
        return None
    if isinstance(side, str):  # an array has no truth, so nothing else is compared
        if side == "auto":
            return None
        if side in ("left", "right"):
            return "left" if side == "left" else "right"
    raise EstimatorError(
        f'side is {side!r}, expected "left", "right", or None (or "auto") to have the network '
        "predict it"
    )


def one_box_each(
    photos: Sequence[Picture], boxes: Sequence[Sequence[float] | None] | None
) -> Sequence[Sequence[float] | None]:
    """The boxes, one for each photo; without `boxes` each is None, the whole photo.

    Only their numbers are checked.

    Raises:
        EstimatorError: `photos` or `boxes` is no list, there is no photo, or there are more or
            fewer boxes than photos.
    """
    _require_several(photos, "photos")
    if boxes is None:
        boxes = [None] * len(photos)
    _require_several(boxes, "boxes")
    if not len(photos) or len(boxes) != len(photos):
        raise EstimatorError(
            f"{len(photos)} photos and {len(boxes)} boxes, expected one box for each of one or "
            "more photos"
        )
    return boxes


def _require_several(given: object, what: str) -> None:
    """Refuse one file's name, whose letters would be taken for names, and what has no length."""
    if isinstance(given, str | bytes | dict) or not hasattr(given, "__len__"):
        raise EstimatorError(
            f"{what} is of type {type(given).__name__}, expected a list; call the estimator itself "
            "for one photo"
        )


def checked_cameras(K: object, photos: int) -> NDArray[np.float64]:
    """Intrinsics of so many photos as numbers: (3, 3) or (B, 3, 3), B photos or 1, px.

    Raises:
        EstimatorError: it is not numbers, or of another shape.
    """
    try:
        found = np.asarray(K, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or found.shape not in ((3, 3), (1, 3, 3), (photos, 3, 3)):
        what = f"is {K!r}" if found is None else f"has shape {found.shape}"
        raise EstimatorError(
            f"K {what}, expected (3, 3), [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels of the "
            f"photo, or {(photos, 3, 3)}, one for each photo"
        )
    return found


def rgb(photo: Picture) -> NDArray[np.uint8]:
    """A photo as (H, W, 3) RGB: read upright if it is a file, as it is if it is an array.

    Raises:
        EstimatorError: as of `read_photo`, or it is no array of that shape and type.
    """
    if isinstance(photo, str | Path):
        return read_photo(photo)
    if not isinstance(photo, np.ndarray):
        raise EstimatorError(
            f"the photo is of type {type(photo).__name__}, expected a file's path or an array "
            'uint8 (H, W, 3) in RGB; numpy.asarray(picture.convert("RGB")) makes one of a Pillow '
            "picture"
        )
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise EstimatorError(
            f"the photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3) in RGB"
        )
    return photo


def read_photo(path: Path | str) -> NDArray[np.uint8]:
    """A photo as (H, W, 3) RGB, turned upright by its EXIF orientation.

    Raises:
        EstimatorError: there is no such file, or it is no photo, or a part is missing.
    """
    if "\0" in str(path):
        raise EstimatorError(f"{str(path)!r} holds a zero byte, expected the name of a file")
    try:
        return read_upright(Path(path))
    except PhotoError as error:
        raise EstimatorError(error.detail) from None


def seen_square(image: NDArray[np.uint8], box: Sequence[float] | None, box_scale: float) -> Square:
    """What the network sees of a photo (H, W, 3), in its pixels, centres at whole numbers.

    Args:
        image: the photo; only its size matters.
        box: (x, y, w, h) px around the hand, from the photo's corner; None is the whole photo.
        box_scale: side of the square, by the longer side of the box.

    Raises:
        EstimatorError: as of `checked_box`.
    """
    height, width = image.shape[:2]
    if box is None:
        return square((-0.5, -0.5, width, height), 1.0)
    x, y, w, h = checked_box(box, width, height)
    return square((x - 0.5, y - 0.5, w, h), box_scale)


def checked_box(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """The box (x, y, w, h) px of a photo of this size, if a hand in the photo can have it.

    Raises:
        EstimatorError: it is not four numbers, has no extent, lies outside of the photo, or its
            longer side is under 1 px or more than `LARGEST` times that of the photo.
    """
    shown: object = box
    try:
        found = np.asarray(box, np.float64)
        shown = np.asarray(box).tolist()
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != (4,) or not np.isfinite(found).all() or not (found[2:] > 0).all():
        raise EstimatorError(
            f"the box is {shown!r}, expected x, y, width and height in pixels, the last two above 0"
        )
    x, y, w, h = (float(value) for value in found)
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise EstimatorError(
            f"the box ({x:g}, {y:g}, {w:g}, {h:g}) lies outside the photo of {width} x {height} px"
        )
    if not 1 <= max(w, h) <= LARGEST * max(width, height):
        raise EstimatorError(
            f"the box ({x:g}, {y:g}, {w:g}, {h:g}) is {w:g} x {h:g} px in a photo of {width} x "
            f"{height} px, expected x, y, width and height in pixels, the longer of the last two "
            f"from 1 px to {LARGEST} times that of the photo"
        )
    return x, y, w, h
