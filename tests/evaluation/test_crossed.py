"""The interval over seeds and people: coverage, its limits, and what must not change it."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from handpose.evaluation.crossed import (
    Components,
    Part,
    crossed_difference,
    crossed_mean,
    half_width,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(
    rng: np.random.Generator,
    runs: tuple[int, int],
    people: int,
    variances: Components,
    difference: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Tables of two recipes by the module's model; people themselves differ by 3."""
    person = rng.normal(0, 3, people)
    change = rng.normal(difference, variances.people**0.5, people)

    def noise(count: int) -> np.ndarray:
        run = rng.normal(0, variances.seeds**0.5, (count, 1))
        return np.asarray(run + rng.normal(0, variances.cells**0.5, (count, people)))

    return person + noise(runs[0]), person + change + noise(runs[1])


VARIANCES = {
    "no seeds": Components(people=1, seeds=0, cells=0.5),
    "both": Components(people=1, seeds=0.2, cells=0.5),
    "seeds alone": Components(people=0, seeds=1, cells=0.001),
    "noisy cells": Components(people=0.2, seeds=0.05, cells=2),
}


@pytest.mark.parametrize(("runs", "people"), [((2, 2), 8), ((3, 3), 8), ((3, 6), 15), ((1, 4), 8)])
@pytest.mark.parametrize("kind", VARIANCES)
def test_the_interval_holds_its_coverage(runs: tuple[int, int], people: int, kind: str) -> None:
    rng = np.random.default_rng(people)
    repeats = 250
    found = [crossed_difference(*drawn(rng, runs, people, VARIANCES[kind])) for _ in range(repeats)]
    covered = sum(one.low <= 0 <= one.high for one in found)
    assert covered >= stats.binom.ppf(0.001, repeats, 0.935)


def test_an_interval_over_people_alone_would_not(rng: np.random.Generator) -> None:
    """Why there is this module: with seeds that matter, today's interval misses often."""
    repeats, covered = 300, np.zeros(2)
    for _ in range(repeats):
        first, second = drawn(rng, (3, 3), 15, Components(people=1, seeds=0.5, cells=0.5))
        alone = stats.ttest_1samp((second - first).mean(0), 0).confidence_interval()
        crossed = crossed_difference(first, second)
        covered += [alone.low <= 0 <= alone.high, crossed.low <= 0 <= crossed.high]
    assert covered[0] / repeats < 0.75
    assert covered[1] / repeats > 0.9


def test_what_runs_of_one_number_have_in_common_makes_it_too_wide_and_not_too_narrow(
    rng: np.random.Generator,
) -> None:
    """Half of the variance of a run is that of its seed number, on both sides."""
    repeats, covered = 300, 0
    for _ in range(repeats):
        shared = rng.normal(0, 0.5**0.5, (5, 1))
        first, second = drawn(rng, (5, 5), 15, Components(people=1, seeds=0.5, cells=0.5))
        found = crossed_difference(first + shared, second + shared)
        covered += found.low <= 0 <= found.high
    assert covered / repeats > 0.955


def test_few_people_and_many_seeds_are_not_too_sure(rng: np.random.Generator) -> None:
    repeats = 300
    variances = Components(people=1, seeds=0.1, cells=0.1)
    found = [crossed_difference(*drawn(rng, (10, 10), 4, variances)) for _ in range(repeats)]
    covered = sum(one.low <= 0 <= one.high for one in found)
    assert stats.binom.ppf(0.001, repeats, 0.93) <= covered <= stats.binom.ppf(0.999, repeats, 0.98)


# --- where one factor vanishes -------------------------------------------------------------------


@pytest.mark.parametrize("runs", [(3, 3), (4, 7)])
def test_without_spread_over_seeds_it_is_the_paired_t_test(
    rng: np.random.Generator, runs: tuple[int, int]
) -> None:
    first, second = rng.normal(0, 1, (2, 9))
    found = crossed_difference(np.tile(first, (runs[0], 1)), np.tile(second, (runs[1], 1)))
    expected = stats.ttest_rel(second, first)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("runs", [(3, 3), (4, 7)])
def test_without_spread_over_people_it_is_welchs_t_test(
    rng: np.random.Generator, runs: tuple[int, int]
) -> None:
    first, second = rng.normal(0, 1, runs[0]), rng.normal(0, 3, runs[1])
    person = rng.normal(0, 5, 6)
    found = crossed_difference(first[:, None] + person, second[:, None] + person)
    expected = stats.ttest_ind(second, first, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_two_runs_get_the_quantile_of_one_degree_of_freedom(rng: np.random.Generator) -> None:
    first, second = rng.normal(0, 1, (2, 8)), rng.normal(0, 1, (5, 8))
    found = crossed_difference(first, second)
    squares = (
        stats.t.ppf(0.975, 7) ** 2 * (second.mean(0) - first.mean(0)).var(ddof=1) / 8
        + stats.t.ppf(0.975, 1) ** 2 * first.mean(1).var(ddof=1) / 2
        + stats.t.ppf(0.975, 4) ** 2 * second.mean(1).var(ddof=1) / 5
    )
    assert found.high - found.value == pytest.approx(math.sqrt(squares))


def test_a_single_run_borrows_the_spread_of_the_other_side(rng: np.random.Generator) -> None:
    """Without spread over people: a new value against k others, as in a prediction interval."""
    seeds, person = rng.normal(0, 1, 5), rng.normal(0, 4, 6)
    found = crossed_difference(person[None], seeds[:, None] + person)
    half = stats.t.ppf(0.975, 4) * seeds.std(ddof=1) * math.sqrt(1 + 1 / 5)
    assert found.high - found.low == pytest.approx(2 * half)
    assert found.runs == (1, 5)


def test_nothing_that_varies_gives_no_width() -> None:
    table = np.tile([1.0, 2.0, 4.0], (3, 1))
    same, moved = crossed_difference(table, table), crossed_difference(table, table + 0.5)
    assert (same.low, same.high, same.p_value, same.verdict) == (0, 0, 1, "inconclusive")
    assert (moved.low, moved.high, moved.p_value, moved.verdict) == (0.5, 0.5, 0, "higher")


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [(2, 3), (3, 4), (1, 4)])
def test_the_p_value_is_the_error_rate_whose_interval_reaches_0(
    rng: np.random.Generator, runs: tuple[int, int]
) -> None:
    first, second = drawn(rng, runs, 8, VARIANCES["both"], difference=2.0)
    found = crossed_difference(first, second)
    reaches = crossed_difference(first, second - found.low)
    assert (reaches.low, reaches.p_value) == pytest.approx((0, 0.05), abs=1e-9)
    assert reaches.value == pytest.approx(found.value - found.low)
    assert crossed_difference(first, second - found.low + 0.01).verdict == "higher"
    assert crossed_difference(first, second - found.high - 0.01).verdict == "lower"
    assert crossed_difference(first, second - found.value).verdict == "inconclusive"


@pytest.mark.parametrize("runs", [(2, 3), (3, 4), (1, 4)])
def test_swapping_the_recipes_changes_the_sign_alone(
    rng: np.random.Generator, runs: tuple[int, int]
) -> None:
    first, second = drawn(rng, runs, 8, VARIANCES["both"], difference=2.0)
    one, other = crossed_difference(first, second), crossed_difference(second, first)
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert other.p_value == pytest.approx(one.p_value)
    assert astuple(other.components) == pytest.approx(astuple(one.components))


@pytest.mark.parametrize("runs", [(2, 3), (3, 4), (1, 4)])
def test_the_unit_and_the_order_do_not_matter(
    rng: np.random.Generator, runs: tuple[int, int]
) -> None:
    first, second = drawn(rng, runs, 8, VARIANCES["both"], difference=1.0)
    one = crossed_difference(first, second)
    metres = crossed_difference(first / 1000, second / 1000)
    assert (metres.value, metres.low, metres.high) == pytest.approx(
        (one.value / 1000, one.low / 1000, one.high / 1000)
    )
    assert (metres.p_value, metres.effect, metres.percent) == pytest.approx(
        (one.p_value, one.effect, one.percent)
    )
    people = rng.permutation(8)
    mixed = crossed_difference(
        rng.permutation(first)[:, people], rng.permutation(second)[:, people]
    )
    assert astuple(mixed.components) == pytest.approx(astuple(one.components))
    assert (mixed.low, mixed.high, mixed.p_value) == pytest.approx((one.low, one.high, one.p_value))


def test_what_people_differ_by_themselves_does_not_widen_it(rng: np.random.Generator) -> None:
    first, second = drawn(rng, (3, 3), 8, VARIANCES["both"])
    person = rng.normal(0, 100, 8)
    one, other = (crossed_difference(first + p, second + p) for p in (0, person))
    assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_the_size_by_hand() -> None:
    first = np.array([[10.0, 14.0, 18.0], [12.0, 16.0, 20.0], [11.0, 15.0, 19.0]])
    found = crossed_difference(first, first - 3)
    assert (found.first, found.second, found.value) == (15, 12, -3)
    assert found.people_deviation == pytest.approx(4)
    assert found.effect == pytest.approx(-0.75)
    assert found.percent == pytest.approx(-20)
    assert (found.components.people, found.components.cells) == pytest.approx((0, 0), abs=1e-12)
    assert found.components.seeds == pytest.approx(1)


def test_sizes_without_a_measure_are_nan() -> None:
    same = np.zeros((3, 4))
    found = crossed_difference(same, same + 1)
    assert math.isnan(found.effect)
    assert math.isnan(found.percent)


def test_components_are_those_of_the_draws(rng: np.random.Generator) -> None:
    """On average; with enough of everything none is cut off at 0."""
    true = Components(people=2.0, seeds=1.0, cells=0.5)
    found = [crossed_difference(*drawn(rng, (6, 6), 12, true)).components for _ in range(250)]
    assert np.mean([astuple(one) for one in found], axis=0) == pytest.approx(
        np.array(astuple(true)), rel=0.12
    )


def test_half_widths_of_many_differences_are_each_ones(rng: np.random.Generator) -> None:
    variances = rng.chisquare(3, (3, 5))
    for freedom in ((7, 1, 2), (7, 2, 4)):
        parts = [Part(v, f) for v, f in zip(variances, freedom, strict=True)]
        each = [half_width([Part(p.variance[k], p.freedom) for p in parts]) for k in range(5)]
        np.testing.assert_allclose(half_width(parts), each)


# --- the mean of one recipe ----------------------------------------------------------------------


@pytest.mark.parametrize(("runs", "people"), [(2, 8), (3, 8), (5, 8), (5, 30)])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_the_mean_of_one_recipe_is_covered(runs: int, people: int, spread: float) -> None:
    rng = np.random.default_rng(runs)
    repeats, covered = 250, 0
    for _ in range(repeats):
        person, run = rng.normal(7, 2, people), rng.normal(0, spread, (runs, 1))
        found = crossed_mean(person + run + rng.normal(0, 0.5, (runs, people)))
        covered += found.low <= 7 <= found.high
    assert covered >= stats.binom.ppf(0.001, repeats, 0.935)


def test_the_mean_of_one_recipe_is_students_where_one_factor_vanishes(
    rng: np.random.Generator,
) -> None:
    person, run = rng.normal(0, 1, 9), rng.normal(0, 1, 5)
    for table, sample in (
        (np.tile(person, (4, 1)), person),
        (np.tile(run[:, None], (1, 6)), run),
    ):
        expected = stats.ttest_1samp(sample, 0).confidence_interval()
        found = crossed_mean(table)
        assert found == pytest.approx((sample.mean(), expected.low, expected.high))


def test_a_mean_without_spread_to_measure_is_refused() -> None:
    for shape in ((1, 4), (4, 1), (4,)):
        with pytest.raises(ValueError, match="two runs and two people or more"):
            crossed_mean(np.zeros(shape))
    with pytest.raises(ValueError, match="a cell has no number"):
        crossed_mean(np.full((3, 3), np.nan))


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((3, 4), (3, 5), "with the same people"),
        ((4,), (3, 4), "with the same people"),
        ((3, 1), (3, 1), "two people or more"),
        ((1, 4), (1, 4), "two runs or more"),
        ((0, 4), (3, 4), "two runs or more of a recipe"),
    ],
)
def test_tables_that_say_nothing_are_refused(
    first: tuple[int, ...], second: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        crossed_difference(np.zeros(first), np.zeros(second))


def test_a_cell_without_a_number_is_refused_and_never_averaged_away() -> None:
    table = np.ones((3, 4))
    table[1, 2] = np.nan
    with pytest.raises(ValueError, match="leave that person, or that run, out"):
        crossed_difference(np.ones((3, 4)), table)
