"""Imported predictions beside this clone's models, on the same images: a table and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.data.merged.interval_units import Units
from handpose.evaluation import statistics
from handpose.evaluation.protocols import COLUMNS
from handpose.evaluation.statistics import LENGTH, SHARE, Comparison, Verdict
from pipeline.compare.paired import IDENTITY
from pipeline.imported.held_out import HeldOut
from pipeline.imported.imported_scores import ImportedScores
from stages.evaluation.report import ALL_COLUMNS, CURVES, aligned, digits, format_estimate
from stages.evaluation.summary import (
    COMPARED,
    MODELS,
    PRIMARY,
    RUNS,
    Estimates,
    Intervals,
    model_estimates,
    to_json,
)
from stages.paths import METRICS, PREDICTIONS

SCHEMA = 2
"""Of the JSON file; it grows when a field goes, or means another thing."""

MEANS = {column.key: column for column in COLUMNS}
"""Protocols that are means over samples, which can be paired."""

MM_DECIMALS, SHARE_DECIMALS = 3, 6
"""To which errors are rounded before they are compared: the results are float32, whose rounding
would else be a difference, and one with a verdict."""

VOLUME = "volume_mpjpe_mm"
"""Of our network's own volume; no file can have it."""


@dataclass(frozen=True)
class Against:
    """One of this clone's models, and the predictions minus it, on images that both have."""

    estimates: Estimates
    differences: Mapping[str, Comparison]  # by key of a protocol that both have
    images: int

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Whether the predictions' error is lower or higher than the model's, by protocol."""
        compared = {key: self.differences[key] for key in COMPARED if key in self.differences}
        return statistics.verdicts(compared, PRIMARY)


@dataclass(frozen=True)
class SideBySide:
    """Everything that is printed and written."""

    estimates: Estimates
    against: Mapping[str, Against]  # by run of this clone, those whose results are there
    images: int
    of: int  # in the split
    subjects: int
    units: Units  # what they are

    @classmethod
    def of_scores(cls, scores: ImportedScores, held_out: HeldOut, seed: int) -> SideBySide:
        """Estimates of the predictions, and their differences from this clone's results.

        `seed` is of the random sign flips.
        """
        intervals, subjects = Intervals(seed), held_out.subjects
        estimates = model_estimates(
            scores.found,
            held_out.fields["joint_valid"],
            subjects,
            held_out.is_left,
            intervals,
        )
        ours = _our_errors(held_out)
        return cls(
            estimates,
            {run: _against(run, ours[run], scores, held_out, intervals) for run in ours},
            images=len(scores),
            of=len(held_out),
            subjects=len(np.unique(subjects[scores.scored])),
            units=held_out.units,
        )

    def lines(self, model: str) -> Iterator[str]:
        """A table for each of this clone's models, or one of the predictions alone."""
        for run, against in self.against.items():
            head = ("", model, MODELS[run], f"difference by {self.units.one}", "error")
            yield from aligned(head, list(self._rows(against)))
            yield ""
        if not self.against:
            yield from aligned(("", model), [row[:2] for row in self._rows(None)])
            yield ""

    def _rows(self, against: Against | None) -> Iterator[Sequence[str]]:
        verdicts = against.verdicts if against else {}
        for key, name in _names().items():
            if key not in self.estimates:
                continue
            ours = against.estimates.get(key) if against else None
            change = against.differences.get(key) if against else None
            decimals = digits(key)
            yield (
                name + " (primary)" * (key == PRIMARY and against is not None),
                format_estimate(self.estimates[key], decimals),
                format_estimate(ours, decimals),
                format_estimate(change.by_person if change else None, decimals),
                verdicts.get(key, "") if ours and math.isfinite(ours.value) else "",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values, NaN as null."""
        found: dict[str, Any] = to_json(
            {
                "images": self.images,
                "images_of_the_split": self.of,
                "intervals_over": self.units.to_json(self.subjects),
                "estimates": self.estimates,
                "against": {
                    run: {
                        "images": a.images,
                        "estimates": a.estimates,
                        "predictions_minus_model": a.differences,
                        "verdicts": a.verdicts,
                    }
                    for run, a in self.against.items()
                },
                "protocols": {c.key: c.protocol for c in ALL_COLUMNS if c.key in self.estimates},
            }
        )
        return {"schema": SCHEMA, **found}


def _names() -> dict[str, str]:
    units = {c.key: f"{c.name}, {c.unit}" if c.unit else c.name for c in ALL_COLUMNS}
    return units | CURVES


def _our_errors(held_out: HeldOut) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Errors of this clone's models on the samples (N,), NaN where they were not evaluated.

    By run, then by protocol; empty without results.
    """
    if not PREDICTIONS.is_file():
        return {}
    schema = pq.read_schema(PREDICTIONS).names
    if not {*IDENTITY, "split"} <= set(schema):
        return {}
    columns = {
        run: {key: f"{run}_{key}" for key in MEANS if f"{run}_{key}" in schema and key != VOLUME}
        for run in RUNS
    }
    names = [name for own in columns.values() for name in own.values()]
    table = pq.read_table(
        PREDICTIONS, columns=[*IDENTITY, *names], filters=[("split", "=", held_out.split)]
    )
    theirs = zip(*(table[name].to_pylist() for name in IDENTITY), strict=True)
    row = {key: k for k, key in enumerate(theirs)}
    ours = zip(*(held_out.origin[name].tolist() for name in IDENTITY), strict=True)
    index = np.array([row.get(key, -1) for key in ours])
    if not (index >= 0).any():
        return {}

    def values(name: str) -> NDArray[np.float64]:
        column = table[name].to_numpy().astype(np.float64)
        return np.where(index >= 0, column[index], np.nan)

    return {
        run: {key: values(name) for key, name in own.items()} for run, own in columns.items() if own
    }


def _against(
    run: str,
    ours: Mapping[str, NDArray[np.float64]],
    scores: ImportedScores,
    held_out: HeldOut,
    intervals: Intervals,
) -> Against:
    subjects = held_out.subjects
    estimates: Estimates = {}
    differences = {}
    for key, values in ours.items():
        bounds = LENGTH if MEANS[key].unit else SHARE
        estimates[key] = intervals.mean(np.where(scores.scored, values, np.nan), subjects, bounds)
        if key in scores.found:
            decimals = MM_DECIMALS if MEANS[key].unit else SHARE_DECIMALS
            first, second = (np.round(v, decimals) for v in (values, scores.found[key]))
            differences[key] = intervals.compare(first, second, subjects)
    both = scores.scored & ~np.isnan(ours[PRIMARY])
    if int(both.sum()) == len(held_out) and METRICS.is_file():
        recorded = json.loads(METRICS.read_text("utf-8"))["pose"]
        own = recorded.get(held_out.split, {}).get(run, {})
        for key in _names():
            if key not in estimates and key in own and key != VOLUME:
                estimates[key] = estimate(own[key])
    return Against(estimates, differences, int(both.sum()))


def estimate(recorded: Mapping[str, Any]) -> statistics.Estimate:
    """An estimate of metrics.json, in which null stands for NaN."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in recorded.items()}
    return statistics.Estimate(**values)


def written_to(out: Path, file: Path) -> Path:
    """Where the numbers of a file of predictions go; of `theirs.parquet` in theirs.parquet.json."""
    return out / f"{file.name}.json"
