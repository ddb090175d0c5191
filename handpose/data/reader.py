"""What a data set must offer to be ingested: its splits, and their annotations in a neutral form.

One package per data set implements `DatasetReader`; `stages/ingestion/formats.py`
chooses one by `data.format`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.data.annotation_table import AnnotationTable, FloatArray
from handpose.data.merged.interval_units import PEOPLE, Units


class SourceSplit(NamedTuple):
    """A split as the data set has it."""

    name: str  # stands in samples.parquet as `source_split`
    title: str  # what messages call it
    evaluated_as: str = ""
    """Our name of the split that it is as a whole: lower-case letters, digits and underscores. ''
    for the training data, which is divided by subject; `train` for what is only trained on."""
    units: Units = PEOPLE
    """What `subject` counts and intervals resample; not people where the data set names none."""


class SplitAnnotations(NamedTuple):
    """Every annotation of a split: usable so far, or rejected with a reason."""

    usable: AnnotationTable
    rejected: pa.Table  # columns of `annotation_table.REJECT`


class BenchmarkTruth(NamedTuple):
    """The truth of a benchmark's evaluation set, in the order of its own evaluator.

    In metres, our axes of the camera and our order of joints.
    """

    official: NDArray[np.int64]  # (N,) its number there, the `annotation_id`, rising
    joints: FloatArray  # (N, 21, 3)
    vertices: FloatArray | None  # (N, 778, 3); None: the data set publishes none
    unit: NDArray[np.int64]  # (N,) what intervals resample: a person or a recording

    @property
    def sha256(self) -> str:
        """Of numbers and joints: whether two scores are of the same hands."""
        found = hashlib.sha256(self.official.astype("<i8").tobytes())
        found.update(self.joints.astype("<f8").tobytes())
        return found.hexdigest()


class DatasetReader(Protocol):
    """Reads one data set from a folder. Errors that a user can fix are HandPoseErrors."""

    def files(self) -> Sequence[Path]:
        """Every file that `read` depends on, by names of their own; what else lies there is not.

        Their digest marks the samples. Errors are those of `splits`.
        """

    def splits(self) -> Sequence[SourceSplit]:
        """The splits that are there; the training data, of which there is one, comes first.

        Of a data set beside another one (`data/merged/merged_reader.py`) every split is whole.
        """

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a split in any order; no photo is opened."""

    def no_fits(self, split: SourceSplit) -> str:
        """Why a split may have no MANO fit at all, and what to do: the end of a sentence."""


class BenchmarkReader(DatasetReader, Protocol):
    """Reads a benchmark, whose evaluation set comes first and, if asked for, its training set."""

    units: Units
    """What `BenchmarkTruth.unit` counts, and `subject` of its splits."""
    wrist_is_given: bool
    """Whether a model is given the evaluation's wrists."""

    def truth(self) -> BenchmarkTruth:
        """The truth of the evaluation set."""
