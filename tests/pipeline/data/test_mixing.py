from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pipeline.data.mixing import expected_distinct, mixing


@pytest.mark.parametrize("drawn", [1, 2, 4, 7])
def test_the_expectation_is_the_mean_over_all_draws(drawn: int) -> None:
    values = [0, 0, 0, 1, 1, 2, 3]
    draws = [len(set(draw)) for draw in combinations(values, drawn)]
    counts = np.array([3, 2, 1, 1])
    assert expected_distinct(counts, drawn) == pytest.approx(np.mean(draws))


def test_millions_do_not_overflow() -> None:
    counts = np.array([500_000, 187_548, 1])
    assert expected_distinct(counts, 128) == pytest.approx(2.0, abs=1e-3)


def test_shuffled_batches_are_as_mixed_as_chance_and_sorted_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    whole = np.repeat(np.arange(30), rng.integers(5, 80, 30))
    shuffled = [rng.choice(whole, 32, replace=False) for _ in range(200)]
    found = mixing(whole, shuffled)
    assert found.mean == pytest.approx(found.expected, rel=0.02)
    assert found.in_split == 30
    assert mixing(whole, [whole[:32]]).mean < 0.3 * found.expected
