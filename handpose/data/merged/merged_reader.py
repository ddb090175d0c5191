"""A data set with others beside it: benchmarks that are evaluated whole, or trained on as well."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.reader import DatasetReader, SourceSplit, SplitAnnotations

PEOPLE_FROM = 1_000_000
"""Numbers of people, and of sessions, in the data sets beside the main one begin at multiples of
this, so that none is one of another data set."""


class Beside(NamedTuple):
    """A data set beside the main one."""

    root: Path
    reader: DatasetReader


class ReaderWithOthers:
    """Reads several data sets as one: the main one's splits, then those of the others.

    Photos of the others are named by their paths from the main one's folder.
    """

    def __init__(self, root: Path, main: DatasetReader, others: Mapping[str, Beside]) -> None:
        """Nothing is read yet; `root` is the main data set's folder."""
        self._root, self._main, self._others = root, main, others

    def files(self) -> Sequence[Path]:
        """The files of all."""
        beside = (file for other in self._others.values() for file in other.reader.files())
        return [*self._main.files(), *beside]

    def splits(self) -> Sequence[SourceSplit]:
        """The splits of all, the main one's first."""
        beside = (split for other in self._others.values() for split in other.reader.splits())
        return [*self._main.splits(), *beside]

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a split, by the reader that has it."""
        for number, other in enumerate(self._others.values(), start=1):
            if split in other.reader.splits():
                found = other.reader.read(split)
                folder = os.path.relpath(other.root.resolve(), self._root.resolve())
                rows = _apart(found.usable.table, number, folder)
                rejected = _apart(found.rejected, number, folder)
                return SplitAnnotations(replace(found.usable, table=rows), rejected)
        return self._main.read(split)

    def no_fits(self, split: SourceSplit) -> str:
        """Of the main data set, whose training data are meant."""
        return self._main.no_fits(split)


def _apart(table: pa.Table, number: int, folder: str) -> pa.Table:
    """Rows of the data set with this number in this folder, seen from the main one's folder."""
    for name in ("subject", "session"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pc.add(table[name], pa.scalar(number * PEOPLE_FROM)))
    at = table.schema.get_field_index("image")
    images = pc.binary_join_element_wise(pa.scalar(Path(folder).as_posix()), table["image"], "/")
    return table.set_column(at, "image", images)


def names_of(files: Sequence[Path], root: Path) -> dict[str, Path]:
    """Files by a name of their own: that of the file, or its path from `root` if others have it."""
    names, counts = np.unique([file.name for file in files], return_counts=True)
    shared = set(names[counts > 1].tolist())
    return {
        Path(os.path.relpath(file, root)).as_posix() if file.name in shared else file.name: file
        for file in files
    }
