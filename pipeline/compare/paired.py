"""Two evaluations of the same samples: the change, overall and per gesture folder.

Only samples that both evaluated are compared, each with itself; intervals are over people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.evaluation import statistics
from handpose.evaluation.statistics import Comparison, Estimate
from stages.evaluation.summary import PRIMARY

IDENTITY = ("subject", "session", "sequence", "camera", "frame", "is_left")
"""Columns that identify a sample; its id is an index into a list that may have changed."""


class Measure(NamedTuple):
    """A number that every sample has."""

    name: str
    column: str  # of predictions.parquet; for an accuracy the predicted class
    truth: str = ""  # for an accuracy the column of the true class
    decimals: int = 3
    better: int = 1  # 1: more is better, -1: less is


ACCURACIES = (
    Measure("Stage 1, coarse accuracy", "stage_1_coarse", "coarse"),
    Measure("Stage 1, fine accuracy", "stage_1_fine", "fine"),
)
ERRORS = (
    Measure("full model, MPJPE", f"pretrained_{PRIMARY}", decimals=1, better=-1),
    Measure("full model, PA-MPJPE", "pretrained_pa_mpjpe_mm", decimals=1, better=-1),
)
SCRATCH = (
    Measure("without pretraining, MPJPE", f"scratch_{PRIMARY}", decimals=1, better=-1),
    Measure("without pretraining, PA-MPJPE", "scratch_pa_mpjpe_mm", decimals=1, better=-1),
)

FIRST = ERRORS[0]
"""Its verdict stands alone, as in the report; those of the other measures are Holm-adjusted."""

COLUMNS = frozenset(
    {
        *(*IDENTITY, "split", "kind"),
        *(m.column for m in (*ACCURACIES, *ERRORS, *SCRATCH)),
        *(m.truth for m in ACCURACIES),
    }
)
"""Columns of predictions.parquet that a comparison needs."""


class MeasuredChange(NamedTuple):
    """One measure before and after, on the same samples."""

    measure: Measure
    before: float
    after: float
    comparison: Comparison  # after minus before

    @property
    def by(self) -> float:
        """After minus before; NaN when no sample has both."""
        return self.comparison.difference.value


@dataclass(frozen=True)
class FolderChange:
    """One measure of a gesture folder before and after, on the same samples."""

    before: float
    after: float
    samples: int
    by_person: Estimate  # after minus before; each person counts once
    p_value: float  # Holm-adjusted over the folders; NaN with fewer than two people

    @property
    def by(self) -> float:
        """After minus before, mean over samples."""
        return self.after - self.before


@dataclass(frozen=True)
class FolderChanges:
    """One measure of every gesture folder that has samples, the largest change first."""

    by_name: Mapping[str, FolderChange]
    tested: int  # folders with samples of two people or more
    by_chance: float  # intervals that leave out 0, on average, if nothing changed
    without_zero: int  # intervals that leave out 0
    claimed: Sequence[str]  # folders that remain after Holm's adjustment


@dataclass(frozen=True)
class Pairs:
    """Test samples that both evaluations scored, in one order."""

    before: Mapping[str, NDArray[Any]]
    after: Mapping[str, NDArray[Any]]
    only_before: int
    only_after: int
    seed: int

    @classmethod
    def of(cls, before: pa.Table, after: pa.Table, *, seed: int) -> Pairs:
        """Match the test samples of two predictions.parquet.

        Args:
            before: rows of one evaluation.
            after: rows of the other.
            seed: of the random sign flips.
        """
        first, second = columns_of_test(before), columns_of_test(after)
        rows = {key: k for k, key in enumerate(identities(first))}
        found = [(rows[key], k) for k, key in enumerate(identities(second)) if key in rows]
        a, b = np.array(found, int).reshape(-1, 2).T
        return cls(
            before={name: values[a] for name, values in first.items()},
            after={name: values[b] for name, values in second.items()},
            only_before=len(first["subject"]) - len(found),
            only_after=len(second["subject"]) - len(found),
            seed=seed,
        )

    def __len__(self) -> int:
        """Samples in both."""
        return len(self.before["subject"])

    @property
    def subjects(self) -> NDArray[Any]:
        """The person of each sample."""
        return self.before["subject"]

    def change(self, measure: Measure) -> MeasuredChange:
        """The change of a measure on all samples."""
        first, second = (values_of(side, measure) for side in (self.before, self.after))
        both = ~np.isnan(first) & ~np.isnan(second)
        comparison = statistics.compare(first, second, self.subjects, seed=self.seed)
        before, after = (
            float(side[both].mean()) if both.any() else np.nan for side in (first, second)
        )
        return MeasuredChange(measure, before, after, comparison)

    def per_folder(self, measure: Measure) -> FolderChanges:
        """Each gesture folder's change, and which can be claimed among so many."""
        first, second = (values_of(side, measure) for side in (self.before, self.after))
        scored = (self.before["kind"] == "gesture") & ~np.isnan(first) & ~np.isnan(second)
        names, folder = np.unique(self.before["sequence"][scored], return_inverse=True)
        people, person = np.unique(self.subjects[scored], return_inverse=True)
        sums = np.zeros((3, len(names), len(people)))  # before, after, samples
        np.add.at(sums[0], (folder, person), first[scored])
        np.add.at(sums[1], (folder, person), second[scored])
        np.add.at(sums[2], (folder, person), 1)
        counts = np.where(sums[2] > 0, sums[2], np.nan)
        found = statistics.family((sums[1] - sums[0]) / counts)
        before, after, samples = sums.sum(2)  # (G,) each
        changes = {
            str(name): FolderChange(
                before=float(before[g] / samples[g]),
                after=float(after[g] / samples[g]),
                samples=int(samples[g]),
                by_person=Estimate(
                    float(found.value[g]),
                    float(found.low[g]),
                    float(found.high[g]),
                    int(samples[g]),
                    int((sums[2, g] > 0).sum()),
                ),
                p_value=float(found.holm[g]),
            )
            for g, name in enumerate(names)
        }
        ordered = dict(sorted(changes.items(), key=lambda item: (-abs(item[1].by), item[0])))
        claimed = set(names[found.claimed].tolist())
        return FolderChanges(
            ordered,
            found.tested,
            found.by_chance,
            found.without_zero,
            [name for name in ordered if name in claimed],
        )


def columns_of_test(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns that are compared, of the test split."""
    rows = np.array(table["split"].to_pylist()) == "test"
    return {name: np.array(table[name].to_pylist())[rows] for name in sorted(COLUMNS - {"split"})}


def identities(columns: Mapping[str, NDArray[Any]]) -> list[tuple[Any, ...]]:
    """What identifies each sample; the person first."""
    return list(zip(*(columns[name].tolist() for name in IDENTITY), strict=True))


def values_of(columns: Mapping[str, NDArray[Any]], measure: Measure) -> NDArray[np.float64]:
    """The measure of each sample; NaN where it has none."""
    values = columns[measure.column]
    if not measure.truth:
        return values.astype(float)
    truth = columns[measure.truth]
    return np.where(truth >= 0, truth == values, np.nan)  # handpose.sample.UNLABELLED is below 0
