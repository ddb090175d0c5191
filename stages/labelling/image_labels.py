"""labels.parquet where each image has classes of its own (`handpose/data/labels.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.gesture_row import LEVELS, Level

NONE = -1
"""Class id of an image without a class, as `handpose.sample.UNLABELLED`."""


@dataclass(frozen=True)
class Codes:
    """Fine and coarse classes of N images of either hand, by what is seen of the pose."""

    number: NDArray[np.int64]  # (N,) fine class of one hand, or NONE
    names: Mapping[Level, Sequence[str]]  # of the classes of one hand, by their number
    parent: NDArray[np.int64]  # coarse class of each fine one


def read_images(samples: Path, folders: Iterable[str], columns: Iterable[str]) -> pa.Table:
    """These columns of the images in these gesture folders, by sample_id."""
    wanted = dict.fromkeys(("sample_id", "sequence", "is_left", "kind", *columns))
    table = pq.read_table(samples, columns=list(wanted))
    inside = pc.is_in(table["sequence"], pa.array(sorted(folders), pa.string()))
    used = pc.and_(inside, pc.equal(table["kind"], "gesture"))
    return table.filter(used).sort_by("sample_id").combine_chunks()


def of_donors(folders: pa.Table, images: pa.Table, donors: Sequence[str]) -> pa.Table:
    """Each image with the classes of its donor folder, after the folders with their own.

    Args:
        folders: labels.parquet of folders.
        images: their `sample_id` and `sequence`.
        donors: a folder of the same hand for each image.
    """
    place = {folder: row for row, folder in enumerate(folders["folder"].to_pylist())}
    gesture = folders["gesture"].take(pa.array([place[f] for f in images["sequence"].to_pylist()]))
    own = folders.take(pa.array([place[donor] for donor in donors]))
    own = own.set_column(own.column_names.index("folder"), "folder", images["sequence"])
    own = own.set_column(own.column_names.index("gesture"), "gesture", gesture)
    named = folders.append_column("sample_id", pa.nulls(len(folders), pa.int64()))
    return pa.concat_tables([named, own.append_column("sample_id", images["sample_id"])])


def of_codes(images: pa.Table, codes: Codes, *, canonical: bool) -> pa.Table:
    """Each image with the classes of its code, after a row for each class, which names it.

    A class has an id for each hand, and its twin is the same class of the other; with `canonical`
    both are one.
    """
    counts = {level: len(codes.names[level]) for level in LEVELS}
    left = np.array(images["is_left"].to_pylist(), np.bool_)
    hands = [False] if canonical else [False, True]
    every = np.tile(np.arange(counts["fine"]), len(hands))
    sides = np.repeat(hands, counts["fine"])
    number, side = np.concatenate([every, codes.number]), np.concatenate([sides, left])
    fine = {"coarse": codes.parent[number], "fine": number}
    known = number != NONE
    columns: dict[str, pa.Array] = {
        "folder": pa.array([""] * len(every) + images["sequence"].to_pylist()),
        "hand": pa.array(np.where(side, "left", "right").tolist()),
        "gesture": pa.array([""] * len(number)),
    }
    for level in LEVELS:
        names = np.array([*codes.names[level], ""], object)
        columns[level] = pa.array(names[np.where(known, fine[level], NONE)].tolist(), pa.string())
    for level in LEVELS:
        for name, other in ((level, side), (f"twin_{level}", ~side)):
            ids = fine[level] + (0 if canonical else counts[level] * other)
            columns[f"{name}_id"] = pa.array(np.where(known, ids, NONE))
    nulls = pa.nulls(len(every), pa.int64())
    numbers = images["sample_id"].combine_chunks().cast(pa.int64())
    columns["sample_id"] = pa.concat_arrays([nulls, numbers])
    return pa.table(columns)
