"""A split's `data` file as columns: 1.4 million images and annotations in 300 MB.

Records that are as they should be, which is to say all, become columns by pyarrow. Those of a
window in which one is not are looked at one by one, and what does not fit a column is kept as it
stands in the file, so that `hand_view.py` can say what is wrong with it. Whether the *values* make
sense is not asked here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from handpose.interhand.annotations import FLAGS, Json, compact, load_data
from handpose.interhand.json_windows import NotCut, Window, record_windows, table

INT, TEXT = pa.int64(), pa.string()
IMAGE = pa.schema(
    {
        "id": INT,
        "file_name": TEXT,
        "width": INT,
        "height": INT,
        "capture": INT,
        "subject": INT,
        "seq_name": TEXT,
        "camera": TEXT,
        "frame_idx": INT,
    }
)
HAND = pa.schema(
    {"id": INT, "image_id": INT, "joint_valid": TEXT, "hand_type": TEXT, "hand_type_valid": INT}
)
STORED_HAND = HAND.set(2, pa.field("joint_valid", pa.binary(FLAGS)))

REPEATING = ("seq_name", "camera", "hand_type")
"""Texts of which there are few: kept once each."""

LONGEST = 1 << 62
"""Whole numbers beyond are no column of 64 bits; nothing honest is near."""


class Columns(NamedTuple):
    """A list of records: a table with a row each, and those rows' records that do not fit."""

    table: pa.Table  # null in every column where the record is odd
    odd: dict[int, Json]  # by row


class DataColumns(NamedTuple):
    """The two lists of a `data` file."""

    images: Columns  # as IMAGE
    hands: Columns  # as HAND, but joint_valid as 42 bytes 0 or 1 (fixed_size_binary)


def read_data(path: Path) -> DataColumns:
    """The `data` file of a split.

    Raises:
        DatasetError: as `interhand.load_data`.
    """
    try:
        return _in_windows(path)
    except NotCut:
        content = load_data(path)
        images = _of_records(content["images"], IMAGE, _image_row)
        return DataColumns(images, _of_records(content["annotations"], STORED_HAND, _hand_row))


def _in_windows(path: Path) -> DataColumns:
    parts: dict[str, list[Columns]] = {"images": [], "annotations": []}
    finished: list[str] = []  # lists in their order: one that comes twice counts only once in JSON
    for window in record_windows(path):
        if window.name not in parts:
            raise NotCut
        if finished[-1:] != [window.name]:
            finished.append(window.name)
        read = _images if window.name == "images" else _hands
        parts[window.name].append(read(window))
    if sorted(finished) != sorted(parts):
        raise NotCut
    return DataColumns(_joined(parts["images"]), _joined(parts["annotations"]))


def _images(window: Window) -> Columns:
    found = table(window.lines(window.text), IMAGE)
    if found is None or _has_null(found):
        return _of_records(_records(window), IMAGE, _image_row)
    return _compressed(found)


def _hands(window: Window) -> Columns:
    text = _flags_as_text(window.text)
    found = None if text is None else table(window.lines(text), HAND)
    flags = None if found is None or _has_null(found) else _flags(found["joint_valid"])
    if found is None or flags is None:
        return _of_records(_records(window), STORED_HAND, _hand_row)
    return _compressed(found.set_column(2, "joint_valid", flags))


def _flags_as_text(text: bytes) -> bytes | None:
    """The same annotations with `[[1], [0], ...]` as `"10..."` and spaces; None if one is not so.

    Forty-two lists for each of a million annotations would take pyarrow twice as long.
    """
    gap = b"," if b"],[" in text[:10_000] else b", "
    empty = np.frombuffer(b"[" + gap.join([b"[0]"] * FLAGS) + b"]", np.uint8)
    digits = slice(2, -2, len(b"[0]" + gap))
    content = np.frombuffer(bytearray(text), np.uint8)
    starts = np.flatnonzero((content[:-1] == ord("[")) & (content[1:] == ord("[")))
    if not len(starts) or starts[-1] + len(empty) > len(content):
        return None
    places = sliding_window_view(content, len(empty), writeable=True)
    found = places[starts]  # (N, bytes of 42 flags)
    flags = found[:, digits].copy()  # (N, 42)
    found[:, digits] = ord("0")
    if not (found == empty).all():
        return None
    found[:] = ord(" ")
    found[:, 1 : FLAGS + 1] = flags
    found[:, [0, FLAGS + 1]] = ord('"')
    places[starts] = found
    return content.tobytes()


def _flags(texts: pa.ChunkedArray) -> pa.Array | None:
    """Texts of 42 digits 0 or 1 as 42 bytes each; None when there is any other."""
    whole = texts.combine_chunks()
    lengths = np.diff(np.frombuffer(whole.buffers()[1], np.int32, len(whole) + 1, 4 * whole.offset))
    if not (lengths == FLAGS).all():
        return None
    start = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset]
    digits = np.frombuffer(whole.buffers()[2], np.uint8, FLAGS * len(whole), start)
    values: NDArray[np.uint8] = digits - ord("0")
    if not (values <= 1).all():
        return None
    return pa.Array.from_buffers(pa.binary(FLAGS), len(whole), [None, pa.py_buffer(values)])


# --- one by one ----------------------------------------------------------------------------------


def _records(window: Window) -> list[Json]:
    try:
        records = json.loads(b"[" + window.text + b"]", object_hook=compact)
    except ValueError:  # the whole file is read again, to tell the place
        raise NotCut from None
    if not all(isinstance(record, dict) for record in records):
        raise NotCut
    return list(records)


Row = Callable[[Json], bool]


def _of_records(records: Iterable[Json], schema: pa.Schema, fits: Row) -> Columns:
    rows, odd = [], {}
    for number, record in enumerate(records):
        if fits(record):
            rows.append({name: record[name] for name in schema.names})
        else:
            rows.append(dict.fromkeys(schema.names))
            odd[number] = record
    found = pa.Table.from_pylist(rows, schema)
    return Columns(_compressed(found).table, odd)


def _image_row(record: Json) -> bool:
    return all(_fits(record.get(field.name), field.type) for field in IMAGE)


def _hand_row(record: Json) -> bool:
    others = (field for field in HAND if field.name != "joint_valid")
    flags = record.get("joint_valid")
    return (
        isinstance(flags, bytes)
        and len(flags) == FLAGS
        and all(_fits(record.get(field.name), field.type) for field in others)
    )


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a column of this type gives this very value back; True is no number here."""
    if kind == INT:
        return type(value) is int and abs(value) < LONGEST
    return isinstance(value, str) and value.isprintable()  # half a surrogate is no UTF-8


# --- tables --------------------------------------------------------------------------------------


def _has_null(found: pa.Table) -> bool:
    return any(column.null_count for column in found.columns)


def _compressed(found: pa.Table) -> Columns:
    for place, name in enumerate(found.column_names):
        if name in REPEATING:
            found = found.set_column(place, name, found[name].dictionary_encode())
    return Columns(found, {})


def _joined(parts: list[Columns]) -> Columns:
    """All windows as one, with one dictionary for each column of repeating texts."""
    odd: dict[int, Json] = {}
    before = 0
    for part in parts:
        odd |= {before + row: record for row, record in part.odd.items()}
        before += len(part.table)
    whole = pa.concat_tables([part.table for part in parts])
    return Columns(whole.unify_dictionaries().combine_chunks(), odd)
