"""The results of a grid's runs, and how its variants differ over seeds and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.evaluation.crossed import (
    CrossedDifference,
    CrossedMean,
    crossed_difference,
    crossed_mean,
)
from handpose.evaluation.statistics import CONFIDENCE, Verdict, holm
from pipeline.experiment.grid import GridFile, SameImages, SeedGrid
from pipeline.experiment.runs import ExperimentRun, runs_of

PRIMARY, SECONDARY = "wrist_mpjpe_mm", "pa_mpjpe_mm"
MEASURES = {PRIMARY: "wrist-relative MPJPE, mm", SECONDARY: "PA-MPJPE, mm"}


class ComparisonError(HandPoseError):
    """Results that cannot be compared."""


@dataclass(frozen=True)
class Row:
    """A variant's results by seed; a missing seed has None."""

    name: str
    what: str
    results: dict[int, dict[str, Any] | None]

    @property
    def known(self) -> list[dict[str, Any]]:
        """The results that are there, in the order of the seeds."""
        return [result for result in self.results.values() if result is not None]

    @property
    def complete(self) -> bool:
        """Whether every seed has a result."""
        return all(result is not None for result in self.results.values())

    def table(self, measure: str, people: Sequence[str]) -> NDArray[np.float64]:
        """(seeds, people): means over each person's images."""
        rows = [[result["people"][one][measure]["mean"] for one in people] for result in self.known]
        return np.array(rows, np.float64).reshape(len(rows), len(people))

    def measured(self, measure: str) -> list[str]:
        """People with a value of this measure in every run that is there."""
        if not self.known:
            return []
        return [
            one
            for one in sorted(self.known[0]["people"], key=int)
            if all(measure in result["people"].get(one, {}) for result in self.known)
        ]

    def of_images(self, test: str) -> Row:
        """The runs whose test images have this digest; the others' results count as missing."""
        return replace(
            self,
            results={
                seed: one if one is not None and one["test"] == test else None
                for seed, one in self.results.items()
            },
        )

    def of_seeds(self, seeds: Sequence[int]) -> Row:
        """The runs of these seeds alone."""
        return replace(self, results={seed: self.results[seed] for seed in seeds})

    def on(self, test: str) -> Row:
        """The same runs on another test set than the test split.

        Raises:
            ComparisonError: a result has no such set.
        """
        found: dict[int, dict[str, Any] | None] = {}
        for seed, result in self.results.items():
            sets = (result or {}).get("sets", {})
            if result is not None and test not in sets:
                raise ComparisonError(
                    f"{self.name}, seed {seed}: its result has no test set {test!r}, but "
                    f"{', '.join(sets) or 'none'}; delete its file to run it again"
                )
            found[seed] = None if result is None else result | sets[test]
        return replace(self, results=found)

    def mean(self, measure: str) -> CrossedMean | None:
        """With its interval over seeds and people; None with fewer than two of either."""
        table = self.table(measure, self.measured(measure))
        return crossed_mean(table) if min(table.shape) > 1 else None


@dataclass(frozen=True)
class GridResults:
    """A grid with the results that are there, all of the same test images."""

    name: str
    grid: SeedGrid
    rows: Sequence[Row]
    same_images: Sequence[SameImages] = ()

    @classmethod
    def read(cls, root: Path, grids: GridFile, name: str) -> GridResults:
        """Of `experiments/results/`.

        Raises:
            GridError: there is no such grid.
            RunsError: see `ExperimentRun.result`.
            ComparisonError: results are of other images or people, on any test set of all.
        """
        grid = grids.grid(name)
        runs = runs_of(root, grids, grid)
        rows = [_row(root, variant, runs) for variant in grid.variants]
        found = cls(name, grid, rows, grids.same_images)
        check_same_images(found.rows, grids.same_images)
        check_same_people(found.rows)
        for test in found.tests:
            found.on(test)  # refuses what cannot be compared, before any page is written
        return found.on(grid.test_set) if grid.test_set else found

    def on(self, test: str) -> GridResults:
        """The same runs on another test set than the test split.

        Raises:
            ComparisonError: a result has no such set, or its images or people are other ones.
        """
        found = replace(self, rows=[row.on(test) for row in self.rows])
        check_same_images(found.rows, self.same_images)
        check_same_people(found.rows, test)
        return found

    @property
    def tests(self) -> list[str]:
        """The test sets beside the test split that every result has, in order."""
        first = self.known[0].get("sets", {}) if self.known else {}
        return [one for one in first if all(one in r.get("sets", {}) for r in self.known)]

    @property
    def known(self) -> list[dict[str, Any]]:
        """The results of all variants that are there."""
        return [result for row in self.rows for result in row.known]

    @property
    def missing(self) -> int:
        """Runs without a result."""
        return sum(result is None for row in self.rows for result in row.results.values())

    @property
    def against(self) -> Row:
        """What the others are compared with."""
        return self.row(self.grid.against)

    def row(self, name: str) -> Row:
        """A variant's."""
        return next(row for row in self.rows if row.name == name)

    @cached_property
    def people(self) -> list[str]:
        """All people of the test split."""
        return sorted({one for result in self.known for one in result["people"]}, key=int)

    def measured(self, measure: str) -> list[str]:
        """People with a value of this measure in every run that is there."""
        return [
            one
            for one in self.people
            if all(measure in result["people"].get(one, {}) for result in self.known)
        ]

    def differences(self, measure: str) -> dict[str, CrossedDifference]:
        """Of each other variant with enough seeds: itself minus `against`."""
        return differences(self.rows, self.against, measure, self.measured(measure))

    def tested(self, measure: str) -> dict[str, CrossedDifference]:
        """What the p-values are of: `differences`, from `against` less the grid's margin."""
        share = 1 - self.grid.margin_percent / 100
        return differences(self.rows, self.against, measure, self.measured(measure), share)

    def p_values(self, measure: str) -> dict[str, float]:
        """Of `tested`, adjusted for all variants that the grid compares."""
        return adjusted(self.tested(measure), len(self.rows) - 1)

    def outcome(self, name: str, measure: str = PRIMARY) -> Verdict:
        """Whether a variant's error is lower or higher; with a margin, whether it is low enough."""
        if self.p_values(measure)[name] >= 1 - CONFIDENCE:
            return "inconclusive"
        if self.tested(measure)[name].value < 0:
            return "lower"
        return "inconclusive" if self.grid.margin_percent else "higher"

    def of_pairs(self, name: str, measure: str = PRIMARY) -> CrossedMean | None:
        """A variant minus `against`, seeds of one number paired; None with fewer than two pairs."""
        own, base = self.row(name), self.against
        shared = [seed for seed, one in own.results.items() if one and base.results.get(seed)]
        people = self.measured(measure)
        if min(len(shared), len(people)) < 2:
            return None
        tables = [row.of_seeds(shared).table(measure, people) for row in (own, base)]
        return crossed_mean(tables[0] - tables[1])

    def seconds(self, name: str) -> dict[int, float]:
        """Of the training of both stages, by seed."""
        results = self.row(name).results
        return {seed: sum(one["seconds"].values()) for seed, one in results.items() if one}


def _row(root: Path, variant: str, runs: Sequence[ExperimentRun]) -> Row:
    own = [run for run in runs if run.resolved.name == variant]
    results = {run.seed: run.result(root) for run in own}
    return Row(variant, own[0].resolved.variant.what, results)


def check_same_images(rows: Sequence[Row], same_images: Sequence[SameImages] = ()) -> None:
    """Refuse to compare results of other images.

    Raises:
        ComparisonError: it names a run whose test split is another.
    """
    first_of = {digest: group.digests[0] for group in same_images for digest in group.digests}
    first: tuple[str, str] | None = None
    for row in rows:
        for seed, result in row.results.items():
            if result is None:
                continue
            run, test = f"{row.name}, seed {seed}", result["test"]
            if first is None:
                first = run, test
            elif first_of.get(test, test) != first_of.get(first[1], first[1]):
                raise ComparisonError(
                    f"{run} was tested on other images (digest {test[:12]}) than "
                    f"{first[0]} ({first[1][:12]}): their errors cannot be compared. Put variants "
                    "with other data into a grid of their own. If only the processor that rendered "
                    "them is another, name both digests under same_images of "
                    "experiments/grid.yaml, and how you know"
                )


def check_same_people(rows: Sequence[Row], test: str = "test split") -> None:
    """Refuse to compare results of other people: those of one run alone would not count.

    Raises:
        ComparisonError: it names a person, a run without that person, and one with.
    """
    known = [
        (f"{row.name}, seed {seed}", result["people"])
        for row in rows
        for seed, result in row.results.items()
        if result is not None
    ]
    first_with = {one: run for run, people in reversed(known) for one in people}
    for run, people in known:
        for one in sorted(first_with.keys() - people.keys(), key=int):
            raise ComparisonError(
                f"{run}: its result has no person {one} on {test}, but {first_with[one]} has; the "
                "people of all runs of a grid are the same. Delete the file of the run that is "
                "wrong to run it again"
            )


def same_images_notes(
    results: Sequence[Mapping[str, Any]], same_images: Sequence[SameImages]
) -> Iterator[str]:
    """A sentence for each group of digests of which these results have several."""
    found = {result["test"] for result in results}
    for group in same_images:
        if len(found.intersection(group.digests)) > 1:
            shown = ", ".join(digest[:12] for digest in group.digests)
            yield f"Images of the digests {shown} count as the same: {group.what}."


def differences(
    rows: Sequence[Row], against: Row, measure: str, people: Sequence[str], share: float = 1.0
) -> dict[str, CrossedDifference]:
    """Of each other variant with enough seeds: itself minus this share of `against`."""
    base = share * against.table(measure, people)
    found = {}
    for row in rows:
        own = row.table(measure, people)
        if row.name == against.name or not len(own) or not len(base):
            continue
        if len(people) > 1 and max(len(own), len(base)) > 1:
            found[row.name] = crossed_difference(base, own)
    return found


def adjusted(found: Mapping[str, CrossedDifference], planned: int) -> dict[str, float]:
    """p-values adjusted for the number of variants that the grid compares (Holm), by variant.

    Args:
        found: those that have results.
        planned: how many there will be; those that are missing count as 1, the least evidence.
    """
    values = [one.p_value for one in found.values()]
    every = holm(np.array(values + [1.0] * (planned - len(values))))
    return dict(zip(found, map(float, every), strict=False))
