"""Crops a JPEG without decoding it: blocks are copied, pixels unchanged, four times faster.

libjpeg-turbo's C library does it (Debian and Ubuntu: libturbojpeg0), called through the interface
of its version 2, which version 3 still has. PyTurboJPEG's releases need one or the other, and
ignore the library's warnings of damaged data.
"""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from functools import cache
from typing import Any, NamedTuple

BLOCKS = {0: (8, 8), 1: (16, 8), 2: (16, 16), 3: (8, 8), 4: (8, 16), 5: (32, 8)}
"""Width and height of the units a JPEG can be cut between.

By TJSAMP: 444, 422, 420, grey, 440, 411.
"""
_COLOUR_SPACES = (1, 2)  # TJCS: YCbCr and grey
_CROP, _NO_MARKERS = 4, 64  # TJXOPT
_STOP_ON_WARNING = 8192  # TJFLAG: damaged data are an error


class JpegRegion(NamedTuple):
    """A part of a JPEG, as a JPEG (baseline, whatever the whole one is)."""

    jpeg: bytes
    x: int  # of its first pixel in the whole
    y: int


class _Transform(ctypes.Structure):
    """tjtransform of turbojpeg.h."""

    _fields_ = (
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("w", ctypes.c_int),
        ("h", ctypes.c_int),
        ("op", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("filter", ctypes.c_void_p),
    )


def available() -> bool:
    """Whether the C library is there."""
    return _library() is not None


@cache
def _library() -> Any:
    """The C library with the types of what is called here; None where it is not installed."""
    name = find_library("turbojpeg")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    handle, content, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)
    size, sizes = ctypes.c_ulong, ctypes.POINTER(ctypes.c_ulong)
    library.tjInitTransform.restype = handle
    library.tjDestroy.argtypes = (handle,)
    library.tjFree.argtypes = (ctypes.c_void_p,)
    library.tjDecompressHeader3.argtypes = (handle, content, size, *(4 * (integer,)))
    library.tjTransform.argtypes = (
        *(handle, content, size, ctypes.c_int),
        *(ctypes.POINTER(ctypes.c_void_p), sizes),
        *(ctypes.POINTER(_Transform), ctypes.c_int),
    )
    return library


def crop(jpeg: bytes, box: tuple[int, int, int, int], size: tuple[int, int]) -> JpegRegion | None:
    """The smallest part of a JPEG that contains a box and ends with it.

    Args:
        jpeg: the whole.
        box: first column and row, and those behind the last, within the photo.
        size: width and height that the whole must have.

    Returns:
        The part; None if the photo is damaged, of another size or kind, or the library is missing:
        the caller then decodes the photo, which reports which.
    """
    library = _library()
    if library is None:
        return None
    handle = library.tjInitTransform()
    try:
        blocks = _blocks(library, handle, jpeg, size)
        return None if blocks is None else _transform(library, handle, jpeg, box, blocks)
    finally:
        library.tjDestroy(handle)


def _blocks(
    library: Any, handle: int, jpeg: bytes, size: tuple[int, int]
) -> tuple[int, int] | None:
    """Width and height of the blocks of a JPEG of this size; None if it is not one."""
    width, height, sampling, colours = (ctypes.c_int() for _ in range(4))
    failed = library.tjDecompressHeader3(handle, jpeg, len(jpeg), width, height, sampling, colours)
    if failed or (width.value, height.value) != size or colours.value not in _COLOUR_SPACES:
        return None
    return BLOCKS.get(sampling.value)


def _transform(
    library: Any, handle: int, jpeg: bytes, box: tuple[int, int, int, int], blocks: tuple[int, int]
) -> JpegRegion | None:
    """The box, from the corner of a block, as a JPEG of its own without EXIF and comments."""
    left, top, right, bottom = box
    x, y = left // blocks[0] * blocks[0], top // blocks[1] * blocks[1]
    region = (x, y, right - x, bottom - y)
    how = _Transform(*region, 0, _CROP | _NO_MARKERS, None, None)
    content, size = ctypes.c_void_p(), ctypes.c_ulong()
    try:
        failed = library.tjTransform(
            handle, jpeg, len(jpeg), 1, content, size, how, _STOP_ON_WARNING
        )
        if failed or content.value is None:
            return None
        return JpegRegion(ctypes.string_at(content.value, size.value), x, y)
    finally:
        library.tjFree(content)
