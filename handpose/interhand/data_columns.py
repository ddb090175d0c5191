"""A split's `data` file as columns: 1.4 million images and annotations in 300 MB.

Each record is decoded into a struct whose fields become columns. A record that does not fit the
struct is kept as `json` parses it, so that `hand_annotation.py` can report what is wrong with it.
Only types are checked here, not whether the values make sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta, Raw, Struct

from handpose.data.annotation_table import BOX_BYTES, NO_BOX, box_bytes
from handpose.interhand.annotations import FLAGS, Json, load_data
from handpose.interhand.raw_json import RawJson, parse, read_flags

F = TypeVar("F")
R = TypeVar("R")
S = TypeVar("S", bound=Struct)

NONE = tuple(NO_BOX.tolist())

LIMIT = 1 << 62
"""Columns hold integers nearer to 0 than this; no number of the data set comes close."""

Int = Annotated[int, Meta(gt=-LIMIT, lt=LIMIT)]
Word = Annotated[str, Meta(description="one of few texts")]
Flags = Annotated[bytes, Meta(min_length=FLAGS, max_length=FLAGS)]
Box = tuple[float, float, float, float] | None
COLUMN_TYPES = {
    Int: pa.int64(),
    str: pa.string(),
    Word: pa.dictionary(pa.int32(), pa.string()),
    Flags: pa.binary(FLAGS),
    Box: pa.binary(BOX_BYTES),
}


class ImageJson(Struct, gc=False):
    """A record of `images`."""

    id: Int
    file_name: str
    width: Int
    height: Int
    capture: Int
    subject: Int
    seq_name: Word
    camera: Word
    frame_idx: Int


class HandJson(Struct, Generic[F], gc=False):
    """A record of `annotations`, its flags as `Flags` (42 bytes 0 or 1) or not yet decoded."""

    id: Int
    image_id: Int
    joint_valid: F
    hand_type: Word
    hand_type_valid: Int
    bbox: Box = None


class RawData(Struct):
    """A `data` file with undecoded records."""

    images: Raw  # a list too, decoded after the annotations: both at once need more memory
    annotations: list[Raw]


def _schema(kind: Any) -> pa.Schema:
    return pa.schema({f.name: COLUMN_TYPES[f.type] for f in msgspec.structs.fields(kind)})


IMAGE, HAND = _schema(ImageJson), _schema(HandJson[Flags])


class Columns(NamedTuple):
    """A list of records: a table with a row for each, and by row the records that do not fit."""

    table: pa.Table  # null in every column where the record is odd
    odd: dict[int, Json]


class DataColumns(NamedTuple):
    """The two lists of a `data` file."""

    images: Columns  # as IMAGE
    hands: Columns  # as HAND


def read_data(path: Path) -> DataColumns:
    """The `data` file of a split.

    Raises:
        DatasetError: as `annotations.load_data`.
    """
    raw = RawJson.read(path, RawData)
    with suppress(ValueError):
        if raw is not None:
            return _read_raw(raw)
    content = load_data(path)
    return DataColumns(
        _columns([content["images"]], IMAGE, _convert_image, dict),
        _columns([content["annotations"]], HAND, _convert_hand, dict),
    )


def _read_raw(raw: RawJson[RawData]) -> DataColumns:
    """The content of a file; ValueError if it has another structure."""
    hands = _columns(raw.batches(raw.content.annotations), HAND, _decode_hand, parse)
    records = msgspec.json.decode(raw.content.images, type=list[Raw])
    images = _columns(raw.batches(records), IMAGE, _decode_image, parse)
    return DataColumns(images, hands)


def _columns(
    batches: Iterable[Sequence[R]],
    schema: pa.Schema,
    decode: Callable[[R], ImageJson | HandJson[bytes]],
    keep: Callable[[R], Json],
) -> Columns:
    tables, odd, first = [schema.empty_table()], {}, 0
    for batch in batches:
        try:
            tables.append(_table(list(map(decode, batch)), schema))
        except ValueError:
            rows: list[ImageJson | HandJson[bytes]] = []
            index_of: list[int | None] = []
            for number, record in enumerate(batch, first):
                try:
                    rows.append(decode(record))
                    index_of.append(len(rows) - 1)
                except ValueError:
                    odd[number] = keep(record)
                    index_of.append(None)
            tables.append(_table(rows, schema).take(pa.array(index_of, pa.int64())))
        first += len(batch)
    return Columns(pa.concat_tables(tables).unify_dictionaries().combine_chunks(), odd)


def _table(rows: Sequence[ImageJson | HandJson[bytes]], schema: pa.Schema) -> pa.Table:
    return pa.table([_column(rows, field.name, field.type) for field in schema], schema=schema)


def _column(rows: Sequence[ImageJson | HandJson[bytes]], name: str, kind: pa.DataType) -> pa.Array:
    values = map(attrgetter(name), rows)
    if kind == COLUMN_TYPES[Int]:
        return pa.array(np.fromiter(values, np.int64, len(rows)))
    if kind == COLUMN_TYPES[Word]:
        return pa.array(list(values), pa.string()).dictionary_encode()
    if kind == COLUMN_TYPES[Box]:
        boxes = [NONE if box is None else box for box in values]
        return box_bytes(np.array(boxes, np.float64).reshape(-1, 4))
    return pa.array(list(values), kind)


# --- one record; each function raises a ValueError when it does not fit ---------------------------

_decode_image = msgspec.json.Decoder(ImageJson).decode
_decode_raw_hand = msgspec.json.Decoder(HandJson[Raw]).decode


def _decode_hand(record: Raw) -> HandJson[bytes]:
    hand: HandJson[Any] = _decode_raw_hand(record)
    hand.joint_valid = read_flags(bytes(hand.joint_valid))
    if hand.joint_valid is None:
        raise ValueError(f"expected {FLAGS} flags joint_valid")
    return hand


def _convert_image(record: Json) -> ImageJson:
    return _checked(msgspec.convert(record, ImageJson))


def _convert_hand(record: Json) -> HandJson[bytes]:
    return _checked(msgspec.convert(record, HandJson[Flags], builtin_types=(bytes,)))


def _checked(row: S) -> S:
    msgspec.json.encode(row)  # refuses half a surrogate, which fits no column either
    return row
