from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from handpose.evaluation.statistics import (
    Comparison,
    Estimate,
    band,
    compare,
    estimate,
    mean,
    per_subject,
    sign_flip_p,
)

DRAWS = {"resamples": 2000, "seed": 0}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def of_subjects(
    rng: np.random.Generator, count: int, frames: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Samples that differ between subjects by 1 and within a subject by 0.1."""
    subjects = np.repeat(np.arange(count), frames)
    return rng.normal(0, 1, count)[subjects] + rng.normal(0, 0.1, len(subjects)), subjects


def test_mean_and_counts_leave_nan_out() -> None:
    values, subjects = np.array([1.0, np.nan, 4.0, 7.0]), np.array([3, 3, 3, 5])
    found = mean(values, subjects, **DRAWS)
    assert (found.value, found.samples, found.subjects) == (4.0, 3, 2)


def test_a_subject_with_nan_only_is_not_counted() -> None:
    found = mean(np.array([1.0, 3.0, np.nan]), np.array([0, 1, 2]), **DRAWS)
    assert found.subjects == 2


def test_interval_is_that_of_redrawing_whole_subjects(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 6)
    found = mean(values, subjects, **DRAWS)
    drawn = []
    for _ in range(2000):  # the definition: draw subjects, take all their frames
        chosen = rng.integers(0, 6, 6)
        drawn.append(np.concatenate([values[subjects == s] for s in chosen]).mean())
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5]), atol=0.1)


def test_more_frames_of_the_same_people_narrow_nothing(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 4)
    once = mean(values, subjects, **DRAWS)
    often = mean(np.tile(values, 50), np.tile(subjects, 50), **DRAWS)
    assert often.high - often.low == pytest.approx(once.high - once.low)
    naive = stats.sem(np.tile(values, 50)) * 2 * 1.96
    assert often.high - often.low > 10 * naive


def test_one_subject_has_a_mean_and_no_interval() -> None:
    found = mean(np.array([1.0, 2.0]), np.array([7, 7]), **DRAWS)
    assert found.value == 1.5
    assert np.isnan([found.low, found.high]).all()


def test_nothing_to_score_is_nan_and_not_zero() -> None:
    found = mean(np.array([np.nan, np.nan]), np.array([0, 1]), **DRAWS)
    assert np.isnan(found.value)
    assert (found.samples, found.subjects) == (0, 0)


def test_estimate_of_any_statistic_of_sums(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 5)
    totals = np.stack([values, values**2, np.ones_like(values)], 1)

    def variance(sums: np.ndarray) -> np.ndarray:
        first, second, count = np.moveaxis(sums, -1, 0)
        return np.asarray(second / count - (first / count) ** 2)

    found = estimate(per_subject(totals, subjects), variance, samples=len(values), **DRAWS)
    assert found.value == pytest.approx(values.var())
    assert 0 < found.low < found.high


def test_band_is_the_interval_of_each_point(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 4)
    totals = per_subject(np.stack([values, 2 * values, np.ones_like(values)], 1), subjects)

    def means(sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[..., :2] / sums[..., 2:])

    value, low, high = band(totals, means, **DRAWS)
    one = mean(values, subjects, **DRAWS)
    np.testing.assert_allclose([value[0], low[0], high[0]], [one.value, one.low, one.high])
    np.testing.assert_allclose(
        [value[1], low[1], high[1]], 2 * np.array([value[0], low[0], high[0]])
    )


def test_per_subject_adds_each_ones_samples_whatever_their_order() -> None:
    totals = np.array([[1.0, 1], [10, 1], [2, 1], [20, 1]])
    sums = per_subject(totals, np.array([7, 3, 7, 3]))
    np.testing.assert_array_equal(sums, [[30, 2], [3, 2]])


def test_the_same_seed_gives_the_same_interval(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 4)
    assert mean(values, subjects, **DRAWS) == mean(values, subjects, **DRAWS)


def test_a_difference_shared_by_all_subjects_is_found_though_they_differ(
    rng: np.random.Generator,
) -> None:
    first, subjects = of_subjects(rng, 4)
    second = first - 0.5 + rng.normal(0, 0.05, len(first))
    found = compare(first, second, subjects, **DRAWS)
    assert found.verdict == "lower"
    assert found.subjects_lower == 4
    assert found.difference.value == pytest.approx(-0.5, abs=0.05)
    assert found.p_value == found.smallest_p == 0.125, "four subjects cannot reach 0.05"
    assert compare(second, first, subjects, **DRAWS).verdict == "higher"


def test_a_difference_in_one_subject_is_inconclusive(rng: np.random.Generator) -> None:
    first, subjects = of_subjects(rng, 4)
    second = np.where(subjects == 0, first - 5, first)
    found = compare(first, second, subjects, **DRAWS)
    assert found.difference.value < -1
    assert found.verdict == "inconclusive"


def test_one_subject_is_always_inconclusive() -> None:
    found = compare(np.zeros(3), np.full(3, -9.0), np.zeros(3), **DRAWS)
    assert found.verdict == "inconclusive"
    assert (found.p_value, found.smallest_p) == (1, 1)


def test_models_that_share_no_sample_cannot_be_compared() -> None:
    nothing = np.full(2, np.nan)
    found = compare(nothing, nothing, np.arange(2), **DRAWS)
    assert np.isnan([found.difference.value, found.p_value]).all()
    assert found.verdict == "inconclusive"


def test_students_interval_is_scipys_over_subject_means(rng: np.random.Generator) -> None:
    first, subjects = of_subjects(rng, 5)
    second, _ = of_subjects(rng, 5)
    found = compare(first, second, subjects, **DRAWS)
    means = [(second - first)[subjects == s].mean() for s in range(5)]
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.by_person.low, found.by_person.high], expected)
    assert found.by_person.value == pytest.approx(np.mean(means))


def test_one_person_with_most_images_decides_one_mean_and_not_the_other() -> None:
    """Five people whose error falls, and one with twenty times their images, where it rises."""
    subjects = np.repeat(np.arange(6), [20_000, *5 * [1_000]])
    change = np.where(subjects == 0, 0.02, -0.2 - 0.001 * subjects)
    found = compare(np.zeros(len(change)), change, subjects, **DRAWS)
    assert found.difference.value == pytest.approx(np.mean(change), abs=1e-9)
    assert found.by_person.value == pytest.approx((0.02 - 5 * 0.203) / 6)
    assert found.by_person.low < found.by_person.value < found.by_person.high < 0
    assert found.verdict == "lower"
    assert (found.by_person.samples, found.by_person.subjects) == (25_000, 6)


def test_sign_flip_is_the_enumeration_of_signs(rng: np.random.Generator) -> None:
    means = rng.normal(0.5, 1, 7)
    sums = [abs(np.dot(signs, means)) for signs in product((-1, 1), repeat=7)]
    expected = np.mean(np.array(sums) >= abs(means.sum()) - 1e-9)
    assert sign_flip_p(means, seed=0) == pytest.approx(expected)


def test_sign_flip_in_single_precision_counts_the_observed_signs() -> None:
    for seed in range(50):
        means = -np.random.default_rng(seed).uniform(5, 9, 4).astype(np.float32)
        assert sign_flip_p(means, seed=0) == 0.125


def test_sign_flip_of_many_subjects_draws_patterns(rng: np.random.Generator) -> None:
    assert sign_flip_p(np.ones(30), seed=0) == pytest.approx(2 / 2**12, abs=2 / 2**12)
    assert sign_flip_p(rng.normal(0, 1, 30), seed=0) > 0.01


def test_no_change_is_no_evidence() -> None:
    found = compare(np.ones(8), np.ones(8), np.repeat([0, 1, 2, 3], 2), **DRAWS)
    assert isinstance(found, Comparison)
    assert found.p_value == 1
    assert found.verdict == "inconclusive"
    assert found.difference == Estimate(0, 0, 0, 8, 4)
