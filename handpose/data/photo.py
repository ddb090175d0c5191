"""One photo of the data set, read so that damage is detected and named.

A decoder makes a picture of nearly anything that begins like one: OpenCV, Pillow and torchvision
return a half grey picture for half a file, and the head of one photo above the tail of another
where their files were spliced. So a JPEG is used only if libjpeg-turbo decodes it without a
warning. A splice at which both files were equally many blocks along gives no warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from handpose.errors import HandPoseError

START_OF_IMAGE = b"\xff\xd8"
END_OF_IMAGE = b"\xff\xd9"
"""A JPEG's last marker; inside its picture data 0xff is always followed by 0x00."""

ENDS_EARLY = "Premature end"
"""libjpeg's words for a file without its last marker."""

HEIF, HEIC = b"ftyp", (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
"""What bytes 4 to 12 of a telephone's picture say (ISO/IEC 23008-12)."""

BLACKEST = 8
"""A picture with no value above this is black: JPEG noise around zero."""


UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What turns a stored picture upright, by its EXIF orientation (Exif 2.32, tag 0x0112)."""


class PhotoError(HandPoseError):
    """A photo cannot be used; `reason` is one word for tables, `detail` the explanation."""

    def __init__(self, reason: str, detail: str) -> None:
        """`reason` is one word for tables, such as image_missing; `detail` the explanation."""
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
    """The image (H, W, 3) RGB as stored; a rotation in its EXIF data is ignored, but of a TIFF.

    Raises:
        PhotoError: the file is missing (`reason` image_missing), or image_unreadable, _empty,
            _truncated, _damaged, _undecodable (no picture), _black, or _size (another one).
    """
    return decoded(read_content(photo.path), photo)


def read_content(path: Path) -> bytes:
    """The content of a photo's file.

    Raises:
        PhotoError: the file is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoError("image_missing", f"{path} not found") from None
    except OSError as error:  # no permission, a folder, a disk that fails
        raise PhotoError("image_unreadable", f"{path}: {error.strerror}") from None
    if not content:
        raise PhotoError("image_empty", f"{path} has 0 bytes")
    return content


def decoded(content: bytes, photo: Photo) -> NDArray[np.uint8]:
    """The picture of a photo whose file was read: a JPEG, or anything else that OpenCV decodes.

    Raises:
        PhotoError: it is truncated, damaged, not a picture, black, or of another size than
            annotated.
    """
    image = _not_black(_decode(content, photo.path), photo.path)
    height, width = image.shape[:2]
    if (width, height) != (photo.width, photo.height):
        annotated = f"{photo.width}x{photo.height}"
        detail = f"{photo.path} is {width}x{height} px, its annotation says {annotated}"
        raise PhotoError("image_size", detail)
    return image


def read_stored(path: Path) -> NDArray[np.uint8]:
    """A picture (H, W, 3) RGB of any size, as stored: a rotation in its EXIF data is ignored.

    Raises:
        PhotoError: as `read_photo`, but of any size.
    """
    return _not_black(_decode(read_content(path), path), path)


def read_upright(path: Path) -> NDArray[np.uint8]:
    """Anybody's picture (H, W, 3) RGB of any size, turned as its EXIF orientation says.

    A JPEG of which the decoder complains is taken as it decodes it, unless a part is missing: it is
    seen by whoever asks, which a data set's photos are not.

    Raises:
        PhotoError: image_missing, image_unreadable, image_empty, image_truncated,
            image_undecodable, or image_damaged, of a picture that is no JPEG.
    """
    content = read_content(path)
    try:
        image = _decode(content, path)
    except PhotoError as error:
        if error.reason != "image_damaged" or not content.startswith(START_OF_IMAGE):
            raise
        image = _strict(content, strict=False)
    turn = UPRIGHT.get(_orientation(content))
    return image if turn is None else np.ascontiguousarray(turn(image))


def _orientation(content: bytes) -> int:
    """The value of the EXIF tag, 1 where there is none, or none that can be read."""
    try:
        is_jpeg = content.startswith(START_OF_IMAGE)
        opened = JpegImageFile if is_jpeg else Image.open  # the latter has a limit of pixels
        with warnings.catch_warnings(), opened(BytesIO(content)) as picture:
            warnings.simplefilter("ignore")  # of damaged EXIF data, which is no damage
            if picture.format == "TIFF":  # OpenCV has turned it
                return 1
            return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (
        Exception
    ):  # Pillow's readers raise whatever they come across; the picture itself is whole
        return 1


def _not_black(image: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if image.max() <= BLACKEST:
        raise PhotoError("image_black", f"{path} has no value above {BLACKEST}")
    return image


def _decode(content: bytes, path: Path) -> NDArray[np.uint8]:
    is_jpeg = content.startswith(START_OF_IMAGE)
    return (_decode_jpeg if is_jpeg else _decode_other)(content, path)


def _decode_jpeg(content: bytes, path: Path) -> NDArray[np.uint8]:
    """A JPEG that its decoder has no complaint about.

    Bytes behind the last marker do not matter, nor does that marker if nothing else is missing.
    """
    try:
        return _strict(content)
    except ValueError as error:
        complaint = str(error)
    if complaint.startswith(ENDS_EARLY):
        try:
            return _strict(content + END_OF_IMAGE)
        except ValueError:
            size = f"{len(content):,} bytes"
            raise PhotoError("image_truncated", f"{path} ends in the middle ({size})") from None
    try:
        _strict(content, strict=False)
    except ValueError:  # of a kind that it does not know, or no JPEG at all
        return _decode_other(content, path)
    raise PhotoError("image_damaged", f"{path}: {complaint}")


def _strict(jpeg: bytes, strict: bool = True) -> NDArray[np.uint8]:
    """What simplejpeg makes of a JPEG, the same pixels as OpenCV's.

    Raises:
        ValueError: libjpeg-turbo warns, if `strict`, or fails.
    """
    image: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, strict=strict)
    return image


def _decode_other(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Any other picture: Pillow finds out whether it is whole, OpenCV decodes it."""
    try:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
    except UnidentifiedImageError:
        what = "is not a picture"
        if content[4:8] == HEIF and content[8:12] in HEIC:
            what = "is a HEIC picture, which cannot be read: convert it to JPEG"
        raise PhotoError("image_undecodable", f"{path} {what}") from None
    except Exception as error:  # Pillow's readers raise whatever they come across
        is_cut = "truncated" in str(error).lower()
        reason = "image_truncated" if is_cut else "image_damaged"
        raise PhotoError(reason, f"{path}: {error}") from None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise PhotoError(
            "image_undecodable", f"{path} is a {picture.format} picture, which OpenCV cannot read"
        )
    return np.asarray(image, np.uint8)


def format_name(path: Path) -> str:
    """The format of a picture by its content, such as PNG.

    Raises:
        OSError: it cannot be read, or is no picture.
    """
    with Image.open(path) as picture:
        return picture.format or "unknown"
