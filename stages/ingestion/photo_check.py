"""Every photo is opened before it is relied on: missing, truncated, black or of another size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.interhand.hand_annotation import Reject
from handpose.interhand.hand_rows import HandRows

PHOTOS_AT_A_TIME = 2000


def check_photos(rows: HandRows, images: Path) -> tuple[HandRows, list[Reject]]:
    """The rows whose photo is whole and of the annotated size, and the others as rejects."""
    good: list[int] = []
    rejects: list[Reject] = []
    for row, fault in enumerate(_faults(rows, images)):
        if fault is None:
            good.append(row)
        else:
            rejects.append(Reject(rows.origin(row), fault.reason, fault.detail))
    return (rows.take(good) if rejects else rows), rejects


def _faults(rows: HandRows, images: Path) -> Iterator[PhotoError | None]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without holding the GIL
        for start in range(0, len(rows), PHOTOS_AT_A_TIME):
            some = rows.slice(start, min(start + PHOTOS_AT_A_TIME, len(rows)))
            columns = (some.table[name].to_pylist() for name in ("file_name", "width", "height"))
            photos = (Photo(images / name, w, h) for name, w, h in zip(*columns, strict=True))
            yield from pool.map(photo_fault, photos)


def photo_fault(photo: Photo) -> PhotoError | None:
    """What is wrong with a photo, if anything."""
    try:
        read_photo(photo)
    except PhotoError as error:
        return error
    return None
