"""Seeds and people that a comparison needs, against simulated comparisons."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from handpose.evaluation.crossed import Components, crossed_difference
from handpose.evaluation.power import MOST, POWER, fewest_people, fewest_seeds, power
from tests.evaluation.test_crossed import drawn

BOTH = Components(people=0.5, seeds=0.3, cells=0.3)


@pytest.mark.parametrize(
    ("components", "difference", "seeds", "people"),
    [
        (BOTH, 1.5, 3, 8),
        (BOTH, 1.0, 6, 15),
        (BOTH, -3.0, 2, 8),
        (Components(people=1.0, seeds=0.0, cells=0.5), 1.0, 3, 10),
        (Components(people=0.0, seeds=1.0, cells=1e-9), 2.0, 4, 10),
        (Components(people=0.1, seeds=0.1, cells=3.0), 1.5, 3, 10),
    ],
)
def test_it_is_the_share_of_comparisons_that_see_the_difference(
    components: Components, difference: float, seeds: int, people: int
) -> None:
    rng = np.random.default_rng(seeds)
    repeats = 400
    seen = sum(
        crossed_difference(
            *drawn(rng, (seeds, seeds), people, components, difference=difference)
        ).p_value
        < 0.05
        for _ in range(repeats)
    )
    expected = power(components, difference, seeds=seeds, people=people)
    low, high = stats.binom.ppf([0.001, 0.999], repeats, [expected - 0.02, expected + 0.02])
    assert 0.1 < expected < 0.95, "a case that can tell"
    assert low <= seen <= high


def test_without_seeds_and_noise_it_is_that_of_the_t_test() -> None:
    found = power(Components(people=1, seeds=0, cells=0), 0.9, seeds=3, people=12)
    freedom, limit = 11, stats.t.ppf(0.975, 11)
    shift = 0.9 * np.sqrt(12)
    expected = stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift)
    assert found == pytest.approx(expected, abs=0.005)


def test_no_difference_is_seen_as_often_as_the_interval_is_wrong() -> None:
    assert 0.03 < power(BOTH, 0.0, seeds=6, people=12) < 0.06


def test_sign_and_unit_do_not_matter() -> None:
    one = power(BOTH, 1.0, seeds=4, people=10)
    assert power(BOTH, -1.0, seeds=4, people=10) == pytest.approx(one)
    micrometres = Components(*(1e6 * variance for variance in astuple(BOTH)))
    assert power(micrometres, 1000.0, seeds=4, people=10) == pytest.approx(one)


def test_more_of_either_and_a_larger_difference_help() -> None:
    one = power(BOTH, 1.0, seeds=4, people=10)
    assert power(BOTH, 1.0, seeds=8, people=10) > one
    assert power(BOTH, 1.0, seeds=4, people=20) > one
    assert power(BOTH, 1.5, seeds=4, people=10) > one


def test_the_fewest_are_enough_and_one_fewer_is_not() -> None:
    seeds = fewest_seeds(BOTH, 1.0, people=15)
    assert seeds is not None
    assert seeds > 3
    assert power(BOTH, 1.0, seeds=seeds, people=15) >= POWER
    assert power(BOTH, 1.0, seeds=seeds - 1, people=15) < POWER
    people = fewest_people(BOTH, 1.0, seeds=10)
    assert people is not None
    assert power(BOTH, 1.0, seeds=10, people=people) >= POWER
    assert power(BOTH, 1.0, seeds=10, people=people - 1) < POWER


def test_seeds_do_not_replace_people_nor_people_seeds() -> None:
    assert fewest_seeds(BOTH, 0.1, people=8) is None
    assert fewest_people(BOTH, 0.1, seeds=3) is None
    assert power(BOTH, 0.1, seeds=MOST, people=8) < 0.2


def test_a_huge_difference_takes_two_of_both() -> None:
    assert fewest_seeds(BOTH, 1e4, people=8) == 2
    assert fewest_people(BOTH, 1e4, seeds=4) == 2


def test_without_any_spread_every_difference_is_seen() -> None:
    still = Components(people=0, seeds=0, cells=0)
    assert power(still, 1e-9, seeds=2, people=2) == 1
    assert power(still, 0.0, seeds=2, people=2) == 0


@pytest.mark.parametrize(("seeds", "people"), [(1, 8), (3, 1)])
def test_one_of_either_is_refused(seeds: int, people: int) -> None:
    with pytest.raises(ValueError, match="expected two or more of both"):
        power(BOTH, 1.0, seeds=seeds, people=people)
