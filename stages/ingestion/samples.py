"""samples.parquet: one row per sample, written while the next ones are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.data.annotation_table import AnnotationTable, BoolArray, of_words
from handpose.data.camera_frame import HandsInCamera, OtherHands
from handpose.data.reader import SourceSplit
from handpose.data.splits import HELD_OUT_GESTURES, TEST, TRAIN, VALIDATION, of_two_hands
from handpose.files import atomic_file
from stages.ingestion.made_fits import MADE
from stages.params import IngestParams

ROWS_PER_GROUP = 1 << 16
"""Rows that are written at a time: 40 MB. A smaller table is one group, however it was made."""

ORIGIN = (
    "annotation_id",
    "source_split",
    "session",
    "subject",
    "sequence",
    "camera",
    "frame",
    "image",
)


def of_held_out_gestures(sequences: pa.ChunkedArray, ingest: IngestParams) -> BoolArray:
    """Which of these sequences' names (N,) `ingest.held_out_gestures` lists."""
    names = set(ingest.held_out_gestures)
    if not names:
        return np.zeros(len(sequences), np.bool_)
    if not pa.types.is_dictionary(sequences.type):
        sequences = sequences.dictionary_encode()
    listed = of_words(sequences, lambda name: not names.isdisjoint((name, without_number(name))))
    return np.asarray(listed, np.bool_)


def without_number(folder: str) -> str:
    """The name of a gesture folder without the number in front, if it has one."""
    return re.sub(r"^\d+_(?=.)", "", folder)


def split_of(
    source: SourceSplit,
    subjects: NDArray[np.int64],
    held_out: BoolArray,
    interacting: BoolArray,
    ingest: IngestParams,
) -> NDArray[np.object_]:
    """Split of each annotation (N,): training data are divided by subject, others stay whole.

    Of the test people's, those that are `held_out` (N,) by their gesture are a split of their own.
    So are, of each evaluated split, hands that are `interacting` (N,) with another annotated one.
    """
    if source.evaluated_as:
        splits = np.full(len(subjects), source.evaluated_as, object)
        splits[interacting] = of_two_hands(source.evaluated_as)
        return splits
    splits = np.full(len(subjects), TRAIN, object)
    splits[np.isin(subjects, ingest.validation_subjects)] = VALIDATION
    splits[np.isin(subjects, ingest.test_subjects)] = TEST
    splits[held_out & ~interacting & (splits == TEST)] = HELD_OUT_GESTURES
    splits[interacting & (splits == TEST)] = of_two_hands(TEST)
    return splits


def samples_table(
    rows: AnnotationTable,
    hands: HandsInCamera,
    splits: NDArray[np.object_],
    others: OtherHands | None = None,
) -> pa.Table:
    """Rows of samples.parquet without `sample_id`; float32, vectors as lists of fixed length.

    Columns on the other hand of the photo, and on fits that were made, are there only if these are
    asked for.
    """
    columns: dict[str, Any] = {}
    source = pa.repeat(pa.scalar(rows.source_split), len(rows))
    columns |= {name: source if name == "source_split" else rows.plain(name) for name in ORIGIN}
    columns["split"] = pa.array(splits, pa.string())
    columns["kind"] = rows.plain("kind")
    columns |= {name: rows.plain(name) for name in ("width", "height")}
    columns["is_left"] = rows.is_left()
    columns |= {name: _column(field) for name, field in hands._asdict().items()}
    if others is not None:
        columns |= {"other_hand": others.is_known, "in_other_box": _column(others.in_other_box)}
    if MADE in rows.table.column_names:
        columns[MADE] = rows.table[MADE]
    return pa.table(columns)


def _column(field: NDArray[Any]) -> pa.Array:
    """A column of scalars (N,), or of flat lists (N, ...)."""
    flat = pa.array(field.ravel(), pa.bool_() if field.dtype == np.bool_ else pa.float32())
    if field.ndim == 1:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(field.shape[1:])))


class SamplesFile:
    """Writes samples.parquet; a context manager that must be given at least one sample.

    The same rows give the same bytes, however they are divided into parts.
    """

    def __init__(self, path: Path, metadata: Callable[[], dict[str, str]]) -> None:
        """`metadata` is asked for when there are rows to write, and kept beside the schema."""
        self.count = 0
        self._path, self._metadata = path, metadata
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._pool = ThreadPoolExecutor(1)  # pyarrow compresses without holding the GIL
        self._written: Future[None] | None = None

    def __enter__(self) -> SamplesFile:
        """Nothing is opened before the first row."""
        return self

    def write(self, table: pa.Table) -> None:
        """Add rows; they are numbered here."""
        numbers = pa.array(np.arange(self.count, self.count + len(table)))
        self._waiting.append(table.add_column(0, "sample_id", numbers))
        self.count += len(table)
        while sum(map(len, self._waiting)) >= ROWS_PER_GROUP:
            whole = pa.concat_tables(self._waiting)
            self._submit(whole.slice(0, ROWS_PER_GROUP))
            self._waiting = [whole.slice(ROWS_PER_GROUP)]

    def _submit(self, table: pa.Table) -> None:
        """Write a group in the background, after the one before it."""
        if self._written is not None:
            self._written.result()
        self._written = self._pool.submit(self._write_group, table)

    def _write_group(self, table: pa.Table) -> None:
        table = table.combine_chunks().replace_schema_metadata(self._metadata())
        if self._writer is None:
            repeating = _repeating(table.schema)
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", use_dictionary=repeating
            )
        self._writer.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType) -> None:
        """Write the remaining rows, unless there was an exception, and close."""
        rest = [table for table in self._waiting if len(table)]
        with self._pool:
            if kind is None and rest:
                self._submit(pa.concat_tables(rest))
        if kind is None and self._written is not None:
            self._written.result()  # a full disk raises here
        if self._writer is not None:
            self._writer.close()


def _repeating(schema: pa.Schema) -> list[str]:
    """The columns of texts and whole numbers.

    A dictionary of measured numbers costs a third of the time and makes the file a fifth larger.
    """
    kinds = (pa.types.is_string, pa.types.is_integer)
    return [column.name for column in schema if any(kind(column.type) for kind in kinds)]


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file atomically; the same rows give the same bytes."""
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")
