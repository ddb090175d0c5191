"""Measures of a confidence, on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.evaluation.confidence_scores import inside, is_kept, lower_by, ranking_auc

RNG = np.random.default_rng(0)


def test_the_share_of_joints_within_their_radii() -> None:
    errors = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    radii = np.array([[1.0, 1.0, 5.0], [0.0, 0.0, 0.0]])
    known = np.array([[True, True, True], [False, False, False]])
    found = inside(errors, radii, known)
    assert found[0] == pytest.approx(2 / 3) and np.isnan(found[1])
    assert inside(errors, radii, known & [True, False, True])[0] == 1


def test_the_least_sure_go_first() -> None:
    unsure = np.array([3.0, 1.0, 5.0, 4.0, 2.0])
    assert is_kept(unsure, 0.2).tolist() == [True, True, False, True, True]
    assert is_kept(unsure, 0.6).tolist() == [False, True, False, False, True]
    assert is_kept(np.zeros(5), 0.2).tolist() == [True] * 4 + [False]


def test_the_error_falls_with_every_fifth_that_a_perfect_confidence_drops() -> None:
    errors = RNG.exponential(30.0, 500)
    means = [errors[is_kept(errors, share)].mean() for share in (0.0, 0.2, 0.4, 0.6, 0.8)]
    assert means == sorted(means, reverse=True) and means[0] > means[-1]


def test_dropping_by_the_error_itself_gains_most_by_its_opposite_loses_and_by_chance_neither() -> (
    None
):
    errors, people = RNG.exponential(30.0, 2000), np.arange(2000) % 10
    noisy = errors * np.exp(RNG.normal(0, 1, 2000))
    best, good, chance, worst = (
        lower_by(errors, unsure, people)
        for unsure in (errors, noisy, RNG.uniform(size=2000), -errors)
    )
    exact = 1 - np.sort(errors)[:1600].mean() / errors.mean()
    assert best.value == pytest.approx(exact)
    assert best.value > good.value > chance.value > worst.value
    assert chance.low < 0 < chance.high and good.low > 0
    assert (best.samples, best.subjects) == (2000, 10)


def test_the_auc_is_the_share_of_pairs_in_order() -> None:
    positive, negative = RNG.normal(1, 1, 40), RNG.normal(0, 1, 30)
    pairs = (positive[:, None] > negative).mean()
    assert ranking_auc(positive, negative) == pytest.approx(pairs)
    assert ranking_auc(negative, positive) == pytest.approx(1 - pairs)
    assert ranking_auc(np.ones(3), np.ones(5)) == 0.5
    assert np.isnan(ranking_auc(positive, negative[:0]))
