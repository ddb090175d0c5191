"""Opens every photo, to find those that are missing, truncated, black or of another size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from handpose.data.annotation_table import AnnotationTable, Unusable
from handpose.data.photo import Photo, PhotoError, read_photo

PHOTOS_AT_A_TIME = 2000


def check_photos(rows: AnnotationTable, root: Path) -> tuple[AnnotationTable, pa.Table]:
    """The rows whose photo is intact and of the annotated size, and the others as rejects."""
    good: list[int] = []
    damaged: list[Unusable] = []
    for row, fault in enumerate(_faults(rows, root)):
        if fault is None:
            good.append(row)
        else:
            damaged.append(Unusable(row, fault.reason, fault.detail))
    return (rows.take(good) if damaged else rows), rows.rejects(damaged)


def _faults(rows: AnnotationTable, root: Path) -> Iterator[PhotoError | None]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without holding the GIL
        for start in range(0, len(rows), PHOTOS_AT_A_TIME):
            some = rows.slice(start, min(start + PHOTOS_AT_A_TIME, len(rows)))
            columns = (some.table[name].to_pylist() for name in ("image", "width", "height"))
            photos = (Photo(root / name, w, h) for name, w, h in zip(*columns, strict=True))
            yield from pool.map(photo_fault, photos)


def photo_fault(photo: Photo) -> PhotoError | None:
    """What is wrong with a photo, if anything."""
    try:
        read_photo(photo)
    except PhotoError as error:
        return error
    return None
