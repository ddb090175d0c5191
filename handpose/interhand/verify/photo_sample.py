"""Photos opened to see whether a download is whole: a few of every camera folder, or all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.interhand.verify.jpeg_header import JpegHeader, read_header

HEAD = 1 << 16
"""Bytes in which a JPEG's header is looked for."""
GREYEST = 4
"""Channels of a grey picture differ by no more than this: rounding of a JPEG's colours."""
PHOTOS_AT_A_TIME = 500


class Seen(NamedTuple):
    """A photo as it is."""

    reason: str  # why it cannot be used, as in rejects.parquet; '' if it can
    detail: str
    header: JpegHeader | None  # of one that can
    is_grey: bool


@dataclass
class Tally:
    """What was seen of many photos; those that are not there do not count."""

    photos: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # by reason
    examples: dict[str, str] = field(default_factory=dict)  # the first detail, by reason
    progressive: int = 0
    grey: int = 0

    def add(self, seen: Seen) -> None:
        """Count one photo."""
        if seen.reason == "image_missing":
            return
        self.photos += 1
        if seen.reason:
            self.faults[seen.reason] += 1
            self.examples.setdefault(seen.reason, seen.detail)
        self.progressive += seen.header is not None and seen.header.progressive
        self.grey += seen.is_grey


def chosen(file_names: pa.ChunkedArray, each: int, seed: int) -> NDArray[np.int64]:
    """Rows of up to `each` photos of every folder, by chance, in the order of the rows."""
    folders = pc.replace_substring_regex(file_names, r"/[^/]*$", "")
    indices = folders.combine_chunks().dictionary_encode().indices
    code = np.asarray(indices.to_numpy(zero_copy_only=False))
    shuffled = np.random.default_rng(seed).permutation(len(code))
    order = shuffled[np.argsort(code[shuffled], kind="stable")]  # folder by folder
    first = np.flatnonzero(np.diff(code[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return np.sort(order[place < each])


def look(photos: Sequence[Photo], step: Callable[[int], None] = lambda _: None) -> Tally:
    """Open every one of these photos; `step` is told how many were opened, as it goes on."""
    tally = Tally()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without holding the GIL
        for begin in range(0, len(photos), PHOTOS_AT_A_TIME):
            some = photos[begin : begin + PHOTOS_AT_A_TIME]
            for seen in pool.map(look_at, some):
                tally.add(seen)
            step(len(some))
    return tally


def look_at(photo: Photo) -> Seen:
    """Open one photo."""
    try:
        image = read_photo(photo)
    except PhotoError as error:
        return Seen(error.reason, error.detail, None, False)
    with photo.path.open("rb") as stream:
        header = read_header(stream.read(HEAD))
    few = image[::8, ::8].astype(np.int16)
    is_grey = bool((few.max(2) - few.min(2)).max() <= GREYEST)
    return Seen("", "", header, is_grey)
