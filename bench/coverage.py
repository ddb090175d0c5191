"""How often the interval of `handpose/evaluation/crossed.py` holds the true difference.

    python -m bench.coverage           # 20,000 draws a cell, 1,000 of the bootstrap
    python -m bench.coverage 5000 300

No benchmark of time: a simulation in which both recipes are alike, so the true difference is 0 and
an interval of nominal 0.95 should hold it in 0.95 of the draws. Every number stands with its
standard error over draws; cells have seeds of their own, so a row stays as it is when another is
added. The first command gives the figures that `crossed.py` states. Letters: N draws, S and T runs
of the two recipes, K people.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from handpose.evaluation.crossed import half_width, variance_parts
from handpose.evaluation.statistics import CONFIDENCE, Floats

RUN_VARIANCES = (0, 0.03, 0.1, 0.3, 1)
"""Of a run's mean over people; the variance of a person's change is 1."""

RESAMPLINGS = 999
"""Of a two-way bootstrap."""

Covers = Callable[[Floats, Floats], Floats]
"""Tables (N, S, K) and (N, T, K) -> which intervals hold 0, (N,) bool."""


@dataclass(frozen=True)
class World:
    """What measures are drawn from; variances in their squared unit."""

    runs: tuple[int, int]  # S, T
    people: int  # K
    run: tuple[float, float] = (0.0, 0.0)  # variance of a run, of either recipe
    change: float = 1.0  # of a person's change from the first recipe to the second
    cell: float = 0.5  # of a run on one person
    in_common: float = 0.0  # correlation of the runs of one number
    people_are: Literal["normal", "log-normal"] = "normal"

    def draw(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """Tables (N, S, K) and (N, T, K) of two recipes that are alike.

        What a person adds to both is left out: it cancels.
        """
        shape = (draws, 1, self.people)
        change = rng.normal(size=shape)
        if self.people_are == "log-normal":
            change = (np.exp(change) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
        common = rng.normal(size=(draws, max(self.runs), 1))
        tables = []
        for count, variance in zip(self.runs, self.run, strict=True):
            own = rng.normal(size=(draws, count, 1))
            run = np.sqrt(self.in_common) * common[:, :count] + np.sqrt(1 - self.in_common) * own
            cell = rng.normal(size=(draws, count, self.people))
            tables.append(np.sqrt(variance) * run + np.sqrt(self.cell) * cell)
        return tables[0], tables[1] + np.sqrt(self.change) * change


class Share(NamedTuple):
    """A measured coverage."""

    value: float
    error: float  # standard error over draws

    def __str__(self) -> str:
        """Three decimals of both."""
        return f"{self.value:.3f} +-{self.error:.3f}"


def crossed(first: Floats, second: Floats) -> Floats:
    """By the interval over seeds and people: (N, S, K), (N, T, K) -> (N,) bool."""
    return np.asarray(
        np.abs(_difference(first, second)) <= half_width(variance_parts(first, second))
    )


def satterthwaite(first: Floats, second: Floats) -> Floats:
    """By the interval that is used from three runs of each on, whatever their number."""
    parts = variance_parts(first, second)
    total = np.asarray(sum(part.variance for part in parts))
    freedom = total**2 / np.asarray(sum(part.variance**2 / part.freedom for part in parts))
    half = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(total)
    return np.asarray(np.abs(_difference(first, second)) <= half)


def people_alone(first: Floats, second: Floats) -> Floats:
    """By Student's paired interval over people, of means over runs."""
    change = second.mean(1) - first.mean(1)  # (N, K)
    people = change.shape[-1]
    quantile = special.stdtrit(people - 1, (1 + CONFIDENCE) / 2)
    half = quantile * np.sqrt(change.var(-1, ddof=1) / people)
    return np.asarray(np.abs(change.mean(-1)) <= half)


def two_way_bootstrap(first: Floats, second: Floats) -> Floats:
    """By percentiles where runs of each recipe, and people, are drawn again with replacement."""
    rng = np.random.default_rng(0)
    tail = (1 - CONFIDENCE) / 2
    found = []
    for tables in zip(first, second, strict=True):
        people = _weights(rng, first.shape[-1])  # (R, K)
        one, other = (
            ((_weights(rng, len(table)) @ table) * people).sum(-1)  # (R,)
            for table in tables
        )
        low, high = np.quantile(other - one, (tail, 1 - tail))
        found.append(low <= 0 <= high)
    return np.asarray(found)


def _weights(rng: np.random.Generator, count: int) -> Floats:
    """Shares (R, count) of what is drawn with replacement."""
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLINGS) / count


def _difference(first: Floats, second: Floats) -> Floats:
    return np.asarray(second.mean((1, 2)) - first.mean((1, 2)))


def coverage(world: World, draws: int, covers: Covers = crossed) -> Share:
    """The share of draws whose interval holds 0; the same world has the same draws."""
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    value = float(covers(*world.draw(rng, draws)).mean())
    return Share(value, float(np.sqrt(value * (1 - value) / draws)))


class Row(NamedTuple):
    """A line of the table: coverage by the variance of a run."""

    title: str
    runs: tuple[int, int]
    people: int
    covers: Covers = crossed


ROWS = (
    *(
        Row(f"{title}, {people} people", runs, people)
        for title, runs in (
            ("2 runs of each", (2, 2)),
            ("3 runs of each", (3, 3)),
            ("5 runs of each", (5, 5)),
            ("10 runs of each", (10, 10)),
            ("3 and 10 runs", (3, 10)),
        )
        for people in (8, 30)
    ),
    Row("1 and 10 runs, 8 people", (1, 10), 8),
    *(
        Row(f"{title}, 3 runs, {people} people", (3, 3), people, covers)
        for title, covers in (
            ("Student over people alone", people_alone),
            ("two-way bootstrap", two_way_bootstrap),
        )
        for people in (8, 30)
    ),
)

FEW_RUNS = "2 runs of one recipe or both, by Satterthwaite"
"""The case whose intervals are not the project's."""

ENOUGH = ((3, 3), (5, 5), (10, 10), (3, 10))
"""Numbers of runs from which on the interval is Satterthwaite's."""


def cases() -> Iterator[tuple[str, list[World]]]:
    """What is outside the table: a title, and the worlds whose lowest and highest are printed."""
    people = (8, 30)
    yield (
        FEW_RUNS,
        [
            World(runs, k, (v, v), change, cell)
            for runs in ((2, 2), (2, 3), (2, 10))
            for k in people
            for v, change, cell in ((0, 1, 0.5), (0.1, 1, 0.5), (1, 1, 0.5), (1, 0, 0), (0, 0, 0.5))
        ],
    )
    yield (
        "runs alone vary, equally",
        [World(runs, k, (1, 1), 0, 0) for runs in ENOUGH for k in people],
    )
    yield (
        "cells alone vary",
        [World(runs, k, (0, 0), 0) for runs in ENOUGH for k in people],
    )
    yield (
        "variances of runs differ 100 times",
        [
            World(runs, k, variances, change)
            for runs in (*ENOUGH, (10, 3))
            for k in people
            for variances in ((1, 0.01), (0.1, 0.001))
            for change in (0, 1)
        ],
    )
    yield (
        "changes of people log-normal, 8 people, 10 runs",
        [World((10, 10), 8, (v, v), people_are="log-normal") for v in RUN_VARIANCES],
    )
    yield (
        "1 and 10 runs, the single one's variance 15 times the others'",
        [World((1, 10), k, (v, v / 15)) for k in people for v in RUN_VARIANCES[1:]],
    )
    yield (
        "likewise, runs alone vary",
        [World((1, 10), k, (1, 1 / 15), 0, 0) for k in people],
    )
    yield (
        "correlation 0.5 between runs of one number",
        [
            World(runs, k, (v, v), in_common=0.5)
            for runs in ENOUGH
            for k in people
            for v in RUN_VARIANCES[1:]
        ],
    )
    yield (
        "4 people",
        [World(runs, 4, (v, v)) for runs in ENOUGH for v in RUN_VARIANCES],
    )


def main() -> None:
    """Print the table, then the lowest and the highest coverage of the other cases."""
    sizes = [int(word) for word in sys.argv[1:]]
    draws, bootstraps = (sizes + [20_000, 1000][len(sizes) :])[:2]
    width = max(len(row.title) for row in ROWS)
    print(f"coverage of the nominal {CONFIDENCE}, {draws} draws; bootstrap: {bootstraps}\n")
    print(f"{'variance of a run':{width}}" + "".join(f"  {v:<13}" for v in RUN_VARIANCES).rstrip())
    for row in ROWS:
        number = bootstraps if row.covers is two_way_bootstrap else draws
        worlds = [World(row.runs, row.people, (v, v)) for v in RUN_VARIANCES]
        shares = [coverage(world, number, row.covers) for world in worlds]
        print(f"{row.title:{width}}" + "".join(f"  {share}" for share in shares), flush=True)
    print()
    for title, worlds in cases():
        covers = satterthwaite if title == FEW_RUNS else crossed
        shares = [coverage(world, draws, covers) for world in worlds]
        print(f"{title}: {min(shares)} to {max(shares)}", flush=True)


if __name__ == "__main__":
    main()
