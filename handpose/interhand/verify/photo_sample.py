"""Opens photos to check whether a download is intact: a few of every camera folder, or all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from handpose.cores import usable_cores
from handpose.data.photo import START_OF_IMAGE, Photo, PhotoError, format_name, read_photo
from handpose.interhand.verify.jpeg_header import JpegHeader, read_header

HEAD = 1 << 16
"""First bytes of a JPEG, which are searched for its header."""
GREYEST = 4
"""Channels of a grey image differ by no more than this: rounding of a JPEG's colours."""
PHOTOS_AT_A_TIME = 500


class PhotoCheck(NamedTuple):
    """The condition of one photo."""

    reason: str  # why it cannot be used, as in rejects.parquet; '' if it can
    detail: str
    header: JpegHeader | None  # of a usable photo
    is_grey: bool
    other_format: str = ""  # of a usable photo that is no JPEG, such as PNG


@dataclass
class PhotoTally:
    """Counts over many photos; missing ones are not counted."""

    photos: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # by reason
    examples: dict[str, str] = field(default_factory=dict)  # the first detail, by reason
    progressive: int = 0
    grey: int = 0
    other_formats: Counter[str] = field(default_factory=Counter)  # of sound photos

    def add(self, check: PhotoCheck) -> None:
        """Count one photo."""
        if check.reason == "image_missing":
            return
        self.photos += 1
        if check.reason:
            self.faults[check.reason] += 1
            self.examples.setdefault(check.reason, check.detail)
        self.progressive += check.header is not None and check.header.progressive
        self.grey += check.is_grey
        if check.other_format:
            self.other_formats[check.other_format] += 1


def sample_rows(file_names: pa.ChunkedArray, each: int, seed: int) -> NDArray[np.int64]:
    """Rows of up to `each` random photos of every folder, in the order of the rows."""
    folders = pc.replace_substring_regex(file_names, r"/[^/]*$", "")
    indices = folders.combine_chunks().dictionary_encode().indices
    code = np.asarray(indices.to_numpy(zero_copy_only=False))
    shuffled = np.random.default_rng(seed).permutation(len(code))
    order = shuffled[np.argsort(code[shuffled], kind="stable")]  # folder by folder
    first = np.flatnonzero(np.diff(code[order], prepend=-1))
    position = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return np.sort(order[position < each])


def open_photos(
    photos: Sequence[Photo],
    step: Callable[[int], None] = lambda _: None,
    fault: Callable[[Photo, PhotoCheck], None] = lambda _, __: None,
) -> PhotoTally:
    """Open all of these photos; `step` is called with the number just opened.

    `fault` is called with each photo that cannot be used.
    """
    tally = PhotoTally()
    with ThreadPoolExecutor(usable_cores()) as pool:  # OpenCV decodes without holding the GIL
        for begin in range(0, len(photos), PHOTOS_AT_A_TIME):
            some = photos[begin : begin + PHOTOS_AT_A_TIME]
            for photo, check in zip(some, pool.map(check_photo, some), strict=True):
                tally.add(check)
                if check.reason:
                    fault(photo, check)
            step(len(some))
    return tally


def check_photo(photo: Photo) -> PhotoCheck:
    """Open one photo."""
    try:
        image = read_photo(photo)
    except PhotoError as error:
        return PhotoCheck(error.reason, error.detail, None, False)
    with photo.path.open("rb") as stream:
        head = stream.read(HEAD)
    few = image[::8, ::8].astype(np.int16)
    is_grey = bool((few.max(2) - few.min(2)).max() <= GREYEST)
    if head.startswith(START_OF_IMAGE):
        return PhotoCheck("", "", read_header(head), is_grey)
    return PhotoCheck("", "", None, is_grey, format_name(photo.path))
