"""What a data set must offer to be ingested: its splits, and their annotations in a neutral form.

One package per data set implements `DatasetReader`; `stages/ingestion/formats.py`
chooses one by `data.format`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from handpose.data.annotation_table import AnnotationTable


class SourceSplit(NamedTuple):
    """A split as the data set has it."""

    name: str  # stands in samples.parquet as `source_split`
    title: str  # what messages call it
    evaluated_as: str = ""
    """Our name of the split when it is evaluated whole; '' for the training data, which is divided
    by subject. Lower-case letters, digits and underscores."""


class SplitAnnotations(NamedTuple):
    """Every annotation of a split: usable so far, or rejected with a reason."""

    usable: AnnotationTable
    rejected: pa.Table  # columns of `annotation_table.REJECT`


class DatasetReader(Protocol):
    """Reads one data set from a folder. Errors that a user can fix are HandPoseErrors."""

    def files(self) -> Sequence[Path]:
        """Every file that `read` depends on, by names of their own; what else lies there is not.

        Their digest marks the samples. Errors are those of `splits`.
        """

    def splits(self) -> Sequence[SourceSplit]:
        """The splits that are there; the training data, of which there is one, comes first."""

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a split in any order; no photo is opened."""

    def no_fits(self, split: SourceSplit) -> str:
        """Why a split may have no MANO fit at all, and what to do: the end of a sentence."""
