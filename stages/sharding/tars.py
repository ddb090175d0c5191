"""One tar of crops: a worker's task, its work, its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from handpose.data import lossless
from handpose.data.photo import PhotoError
from handpose.data.shards import ShardError, Tar, write_tar
from stages.params import ShardParams
from stages.sharding.crops import cut


class UncutSample(NamedTuple):
    """A sample that could not be cut."""

    sample_id: int
    split: str
    image: str
    reason: str
    detail: str


@dataclass(frozen=True)
class TarTask:
    """One tar to write."""

    path: Path
    rows: pa.Table  # of samples.parquet, in the order of the tar
    root: Path  # data.root
    shard: ShardParams


@dataclass(frozen=True)
class Written:
    """One tar written, and the samples that are not in it."""

    tar: Tar
    rejects: list[UncutSample]


def check_library(shard: ShardParams) -> None:
    """ShardError if shard.lossless is always, but libjpeg-turbo is not installed."""
    if shard.lossless == "always" and not lossless.available():
        raise ShardError(
            "shard.lossless is always, but libjpeg-turbo's library was not found: install it "
            "(Debian: apt install libturbojpeg0, Ubuntu: apt install libturbojpeg), or set "
            "shard.lossless to auto or never"
        )


def write(task: TarTask) -> Written:
    """Cut the samples of one tar and write it."""
    rejects: list[UncutSample] = []
    return Written(write_tar(task.path, _cut_all(task, rejects)), rejects)


def _cut_all(task: TarTask, rejects: list[UncutSample]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The stored samples of a tar; those that cannot be cut go to `rejects`."""
    for row in _rows(task.rows):
        try:
            yield cut(row, task.root, task.shard)
        except PhotoError as error:
            origin = (row["sample_id"], row["split"], row["image"])
            rejects.append(UncutSample(*origin, error.reason, error.detail))


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table; lists of one length, which are most of it, as arrays."""
    columns = [_values(column.combine_chunks()) for column in table.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(table.column_names, values, strict=True))


def _values(column: Any) -> Iterable[Any]:
    if not isinstance(column, pa.FixedSizeListArray):
        return list(column.to_pylist())
    return np.reshape(column.flatten().to_numpy(zero_copy_only=False), (len(column), -1))
