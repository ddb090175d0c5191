"""One photo of the data set, read so that damage is detected and named."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError

END_OF_IMAGE = b"\xff\xd9"
"""A JPEG's last marker; inside its picture data 0xff is always followed by 0x00."""

BLACKEST = 8
"""A picture with no value above this is black: JPEG noise around zero."""


class PhotoError(HandPoseError):
    """A photo cannot be used; `reason` is one word for tables, `detail` the explanation."""

    def __init__(self, reason: str, detail: str) -> None:
        """`reason` is image_missing, _unreadable, _truncated, _undecodable, _black or _size."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Photo(NamedTuple):
    """A photo and its annotated size."""

    path: Path
    width: int
    height: int


def read_photo(photo: Photo) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB as stored; a rotation in its EXIF data is ignored.

    Raises:
        PhotoError: the file is missing, unreadable, truncated, not a picture, black, or of another
            size.
    """
    return decoded(read_whole(photo.path), photo)


def read_whole(path: Path) -> bytes:
    """The content of a photo's file.

    OpenCV returns a half-grey picture for a truncated JPEG, so the end marker is looked for here.

    Raises:
        PhotoError: the file is missing, unreadable or truncated.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoError("image_missing", f"{path} not found") from None
    except OSError as error:  # no permission, a folder, a disk that fails
        raise PhotoError("image_unreadable", f"{path}: {error.strerror}") from None
    if END_OF_IMAGE not in content[-1024:]:
        raise PhotoError("image_truncated", f"{path} ends in the middle ({len(content)} bytes)")
    return content


def decoded(content: bytes, photo: Photo) -> NDArray[np.uint8]:
    """The picture of a photo whose file was read.

    Raises:
        PhotoError: it is not a picture, black, or of another size than annotated.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise PhotoError("image_undecodable", f"{photo.path} is not a picture that OpenCV can read")
    if image.max() <= BLACKEST:
        raise PhotoError("image_black", f"{photo.path} has no value above {BLACKEST}")
    height, width = image.shape[:2]
    if (width, height) != (photo.width, photo.height):
        annotated = f"{photo.width}x{photo.height}"
        detail = f"{photo.path} is {width}x{height} px, its annotation says {annotated}"
        raise PhotoError("image_size", detail)
    return np.asarray(image, np.uint8)
