"""Two evaluations of the same samples: the change, overall and per gesture folder.

Only samples that both evaluated are compared, each with itself; intervals resample people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.evaluation import statistics
from handpose.evaluation.statistics import Comparison

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
    Measure("full model, MPJPE", "pretrained_wrist_mpjpe_mm", decimals=1, better=-1),
    Measure("full model, PA-MPJPE", "pretrained_pa_mpjpe_mm", decimals=1, better=-1),
)
SCRATCH = (
    Measure("without pretraining, MPJPE", "scratch_wrist_mpjpe_mm", decimals=1, better=-1),
    Measure("without pretraining, PA-MPJPE", "scratch_pa_mpjpe_mm", decimals=1, better=-1),
)


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
class Pairs:
    """Test samples that both evaluations scored, in one order."""

    before: Mapping[str, NDArray[Any]]
    after: Mapping[str, NDArray[Any]]
    only_before: int
    only_after: int
    resamples: int
    seed: int

    @classmethod
    def of(cls, before: pa.Table, after: pa.Table, *, resamples: int, seed: int) -> Pairs:
        """Match the test samples of two predictions.parquet.

        Args:
            before: rows of one evaluation.
            after: rows of the other.
            resamples: draws of people for each interval.
            seed: of those draws.
        """
        first, second = _test(before), _test(after)
        rows = {key: k for k, key in enumerate(_keys(first))}
        found = [(rows[key], k) for k, key in enumerate(_keys(second)) if key in rows]
        a, b = np.array(found, int).reshape(-1, 2).T
        return cls(
            before={name: values[a] for name, values in first.items()},
            after={name: values[b] for name, values in second.items()},
            only_before=len(first["subject"]) - len(found),
            only_after=len(second["subject"]) - len(found),
            resamples=resamples,
            seed=seed,
        )

    def __len__(self) -> int:
        """Samples in both."""
        return len(self.before["subject"])

    @property
    def subjects(self) -> NDArray[Any]:
        """The person of each sample."""
        return self.before["subject"]

    def change(self, measure: Measure, chosen: NDArray[np.bool_] | None = None) -> MeasuredChange:
        """The change of a measure, on the chosen samples or on all."""
        rows = np.ones(len(self), bool) if chosen is None else chosen
        first, second = (_values(side, measure)[rows] for side in (self.before, self.after))
        both = ~np.isnan(first) & ~np.isnan(second)
        comparison = statistics.compare(
            first, second, self.subjects[rows], resamples=self.resamples, seed=self.seed
        )
        before, after = (
            float(side[both].mean()) if both.any() else np.nan for side in (first, second)
        )
        return MeasuredChange(measure, before, after, comparison)

    def per_folder(self, measure: Measure) -> dict[str, MeasuredChange]:
        """Each gesture folder's change, the largest first."""
        folders = self.before["sequence"]
        changes = {
            str(name): self.change(measure, folders == name)
            for name in np.unique(folders[self.before["kind"] == "gesture"])
        }
        scored = {name: c for name, c in changes.items() if c.comparison.difference.samples}
        return dict(sorted(scored.items(), key=lambda item: (-abs(item[1].by), item[0])))


def _test(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns that are compared, of the test split."""
    rows = np.array(table["split"].to_pylist()) == "test"
    return {name: np.array(table[name].to_pylist())[rows] for name in sorted(COLUMNS - {"split"})}


def _keys(columns: Mapping[str, NDArray[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[name].tolist() for name in IDENTITY), strict=True))


def _values(columns: Mapping[str, NDArray[Any]], measure: Measure) -> NDArray[np.float64]:
    """The measure of each sample; NaN where it has none."""
    values = columns[measure.column]
    if not measure.truth:
        return values.astype(float)
    truth = columns[measure.truth]
    return np.where(truth >= 0, truth == values, np.nan)  # handpose.sample.UNLABELLED is below 0
