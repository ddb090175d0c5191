"""The difference of two recipes, each trained with several seeds and measured on the same people.

A recipe's table has a row per training run (seed) and a column per person; a cell is the mean over
that person's images. Both factors are random: other seeds and other people give other numbers. The
people are the same in all rows of both tables. With v the recipe, s the run and p the person:

    y[v, s, p] = mean[v] + person[p] + change[v, p] + run[v, s] + cell[v, s, p]

The estimate is mean[2] - mean[1]. Its variance is the sum of three independent parts:

    spread over people of their own change / people             people - 1 degrees of freedom
    spread over the first's runs of their means / runs          runs - 1
    spread over the second's runs likewise                      runs - 1

and the interval is Student's with Satterthwaite's degrees of freedom. Without any spread over
seeds it is the paired t test over people, without any over people Welch's t test over seeds. The
cells' variance is in the first part and in the others; it is not subtracted, so the sum is never
negative, and the interval is too wide where cells vary and little else does.

Runs of the two tables are independent draws, also those of one seed number: it fixes the random
numbers, but two recipes use them differently, and training amplifies any difference. If runs of
one number do have something in common, their difference varies less than is assumed here and the
interval is too wide, not too narrow. To pair them would need the same seeds on both sides and halve
the degrees of freedom: with three seeds Student's quantile is then 4.3 instead of 2.8.

With fewer than three runs of a recipe their spread has one degree of freedom, and Satterthwaite's
interval covers 0.90 to 0.99. There each part gets the quantile of its own degrees of freedom
(`half_width`): conservative, and often twice as wide. If one recipe has a single run, its seeds
are taken to spread as the other's do.

Simulated coverage of the nominal 0.95 (`python -m bench.coverage`: 20,000 draws, standard error at
most 0.004; bootstrap: 1,000 draws, 0.012), all parts normal; the variance of a person's change is
1, of a cell 0.5:

    variance of a run                     0      0.03   0.1    0.3    1
    2 runs of each, 8 people              0.999  0.998  0.998  0.998  0.996
    2 runs of each, 30 people             0.999  0.998  0.997  0.996  0.995
    3 runs of each, 8 people              0.970  0.971  0.970  0.964  0.957
    3 runs of each, 30 people             0.970  0.967  0.961  0.956  0.956
    5 runs of each, 8 people              0.964  0.964  0.963  0.963  0.957
    5 runs of each, 30 people             0.967  0.961  0.959  0.957  0.953
    10 runs of each, 8 people             0.955  0.956  0.954  0.956  0.955
    10 runs of each, 30 people            0.958  0.959  0.958  0.955  0.952
    3 and 10 runs, 8 people               0.965  0.965  0.964  0.958  0.947
    3 and 10 runs, 30 people              0.967  0.963  0.956  0.945  0.935
    1 and 10 runs, 8 people               0.970  0.975  0.968  0.962  0.954
    Student over people alone, 3 runs, 8  0.950  0.940  0.913  0.840  0.672
    likewise, 30 people                   0.950  0.899  0.796  0.609  0.383
    two-way bootstrap, 3 runs, 8 people   0.950  0.932  0.929  0.885  0.880
    likewise, 30 people                   0.973  0.943  0.911  0.883  0.843

From three runs of each on, the lowest with equal variances of runs is 0.934 (runs alone vary), with
variances that differ 100 times 0.927; the highest is 0.994, where cells alone vary. Lower are
strongly skewed changes of people (log-normal, 8 people, 10 runs), 0.912 to 0.954, and above all a
single run whose seeds spread 15 times as much (in variance) as the other's: 0.55 to 0.97 by what
else varies, 0.44 where runs alone do. Correlation 0.5 between runs of one number: 0.959 to 0.989.
Four people: 0.942 to 0.971.

Sources: Satterthwaite, Biometrics Bulletin 2 (1946); Welch, Biometrika 34 (1947); Banerjee, Sankhya
23 (1961) for the quantiles of few runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from handpose.evaluation.statistics import CONFIDENCE, Floats, Verdict

ENOUGH_RUNS = 3
"""From this many runs of each recipe on, the interval is Satterthwaite's."""

HALVINGS = 80
"""Of the range of exponents in which a p-value is sought; after that it is exact to all digits."""


@dataclass(frozen=True)
class Components:
    """What makes a measured difference vary: variances, in the squared unit of the measure."""

    people: float  # of a person's own difference between the recipes
    seeds: float  # of a training run, in its mean over all people
    cells: float  # of a run on one person, beyond the other two


@dataclass(frozen=True)
class CrossedDifference:
    """Second recipe minus first; less is negative. Numbers have the unit of the measure."""

    first: float  # mean over runs and people
    second: float
    low: float  # 95 % interval of the difference, for other seeds and other people
    high: float
    p_value: float  # two-sided
    runs: tuple[int, int]
    people: int
    people_deviation: float  # over people, of the first's mean over its runs
    components: Components

    @property
    def value(self) -> float:
        """The difference."""
        return self.second - self.first

    @property
    def effect(self) -> float:
        """The difference in deviations of people: how much it is beside what people differ by.

        NaN where people do not differ.
        """
        return self.value / self.people_deviation if self.people_deviation else float("nan")

    @property
    def percent(self) -> float:
        """The difference in percent of the first recipe; NaN where that is 0."""
        return 100 * self.value / self.first if self.first else float("nan")

    @property
    def verdict(self) -> Verdict:
        """Whether the second is lower, by this interval alone."""
        if self.p_value >= 1 - CONFIDENCE:
            return "inconclusive"
        return "lower" if self.value < 0 else "higher"


class CrossedMean(NamedTuple):
    """The mean of one recipe, or of what an intervention changes in it, in its own unit."""

    value: float  # over runs and people
    low: float  # 95 % interval, for other seeds and other people
    high: float


class Part(NamedTuple):
    """An independent part of the variance of an estimate."""

    variance: Floats  # any shape: of several differences at once
    freedom: int


def crossed_difference(first: Floats, second: Floats) -> CrossedDifference:
    """The difference of two recipes with its interval over seeds and people.

    Args:
        first: (S, K) a row per training run, a column per person.
        second: (T, K) of the other recipe, the same people in the same order.

    Raises:
        ValueError: the tables have other people, a cell has no number, there are fewer than two
            people, or fewer than two runs of both recipes.
    """
    tables = [np.asarray(table, np.float64) for table in (first, second)]
    _check(tables)
    one, other = (table.mean(0) for table in tables)  # (K,) each
    change = other - one
    parts = variance_parts(*tables)
    means = [float(table.mean()) for table in tables]
    value = means[1] - means[0]
    half = float(half_width(parts))
    return CrossedDifference(
        first=means[0],
        second=means[1],
        low=value - half,
        high=value + half,
        p_value=_p_value(parts, value),
        runs=(len(first), len(second)),
        people=len(change),
        people_deviation=float(one.std(ddof=1)),
        components=_components(tables, change),
    )


def crossed_mean(table: Floats) -> CrossedMean:
    """The mean of one recipe with its interval over seeds and people.

    By the same model: the variance is people's spread of their means over the runs, divided by the
    people, plus the runs' spread of their means over the people, divided by the runs. The cells'
    variance is in both, so the interval is rather too wide than too narrow.

    Args:
        table: (S, K) a row per training run, a column per person.

    Raises:
        ValueError: a cell has no number, or there are fewer than two runs or people.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(f"a table of {table.shape}: expected two runs and two people or more")
    if not np.isfinite(table).all():
        raise ValueError("a cell has no number: leave that person, or that run, out of the table")
    runs, people = table.shape
    parts = [
        Part(table.mean(0).var(ddof=1) / people, people - 1),
        Part(table.mean(1).var(ddof=1) / runs, runs - 1),
    ]
    value, half = float(table.mean()), float(half_width(parts))
    return CrossedMean(value, value - half, value + half)


def _check(tables: Sequence[Floats]) -> None:
    shapes = [table.shape for table in tables]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"tables of {shapes}: expected (runs, people), with the same people")
    if not all(np.isfinite(table).all() for table in tables):
        raise ValueError("a cell has no number: leave that person, or that run, out of the table")
    if shapes[0][1] < 2 or max(shape[0] for shape in shapes) < 2 or min(map(min, shapes)) < 1:
        raise ValueError(
            f"tables of {shapes}: expected two people or more, and two runs or more of a recipe"
        )


def variance_parts(first: Floats, second: Floats) -> list[Part]:
    """The parts of the variance of a difference: of people first, then of the runs.

    Args:
        first: (..., S, K) a row per training run, a column per person.
        second: (..., T, K) of the other recipe, the same people in the same order.

    Returns:
        Two parts if a recipe has a single run, else three; their variances have the leading shape.
    """
    change = second.mean(-2) - first.mean(-2)  # (..., K)
    people = change.shape[-1]
    of_people = Part(change.var(-1, ddof=1) / people, people - 1)
    runs = [table.mean(-1) for table in (first, second)]  # (..., S) and (..., T)
    counts = [means.shape[-1] for means in runs]
    spread = [means.var(-1, ddof=1) for means in runs if means.shape[-1] > 1]
    if len(spread) == 2:
        return [of_people, *(Part(v / n, n - 1) for v, n in zip(spread, counts, strict=True))]
    known = max(counts)
    return [of_people, Part(spread[0] * (1 + 1 / known), known - 1)]  # one draw of both's seeds


def _p_value(parts: Sequence[Part], value: float) -> float:
    """Of no difference: the error rate whose interval just reaches 0."""
    total = float(sum(part.variance for part in parts))
    if value == 0 or total == 0:
        return float(value == 0)
    if not _few_runs(parts):
        return float(2 * special.stdtr(_freedom(parts), -abs(value) / np.sqrt(total)))
    low, high = -300.0, 0.0  # exponents of 10
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if half_width(parts, 10**middle) > abs(value):
            low = middle
        else:
            high = middle
    return float(10**high)


def half_width(parts: Sequence[Part], error_rate: float = 1 - CONFIDENCE) -> Floats:
    """Of the interval that leaves out the true difference at this rate.

    With few runs it is the root of the sum of variance times squared quantile, which covers at
    least the nominal share whatever the true variances are (Banerjee).

    Args:
        parts: of people first, then of the runs.
        error_rate: two-sided.

    Returns:
        The shape of the variances.
    """
    if _few_runs(parts):
        squares = (_quantile(part.freedom, error_rate) ** 2 * part.variance for part in parts)
        return np.asarray(np.sqrt(sum(squares)))
    total = np.asarray(sum(part.variance for part in parts))
    return np.asarray(_quantile(_freedom(parts), error_rate) * np.sqrt(total))


def _few_runs(parts: Sequence[Part]) -> bool:
    return min(part.freedom for part in parts[1:]) < ENOUGH_RUNS - 1


def _freedom(parts: Sequence[Part]) -> Floats:
    """Satterthwaite's degrees of freedom of the sum; 1 where nothing varies."""
    squares = np.asarray(sum(part.variance**2 / part.freedom for part in parts))
    total = np.asarray(sum(part.variance for part in parts))
    with np.errstate(invalid="ignore"):
        return np.where(squares > 0, total**2 / squares, 1.0)


def _quantile(freedom: Floats | int, error_rate: float) -> Floats:
    return np.asarray(-special.stdtrit(freedom, error_rate / 2))


def _components(tables: Sequence[Floats], change: Floats) -> Components:
    """Analysis of variance; below 0 is 0.

    Args:
        tables: (S, K) and (T, K).
        change: (K,) of each person, second minus first.
    """
    people = len(change)
    runs = cells = 0.0  # sums of squares
    freedom = 0
    for table in tables:
        means = table.mean(1) - table.mean()
        runs += float((means**2).sum())
        cells += float(((table - table.mean(0) - means[:, None]) ** 2).sum())
        freedom += len(table) - 1
    cells /= freedom * (people - 1)
    shares = sum(1 / len(table) for table in tables)
    return Components(
        people=max(0.0, float(change.var(ddof=1)) - shares * cells),
        seeds=max(0.0, runs / freedom - cells / people),
        cells=cells,
    )
