from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import stats

from handpose.evaluation.statistics import (
    LENGTH,
    SHARE,
    Comparison,
    Estimate,
    band,
    compare,
    estimate,
    family,
    holm,
    mean,
    per_subject,
    sign_flip_p,
    verdicts,
)


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
    found = mean(values, subjects)
    assert (found.value, found.samples, found.subjects) == (4.0, 3, 2)


def test_a_subject_with_nan_only_is_not_counted() -> None:
    found = mean(np.array([1.0, 3.0, np.nan]), np.array([0, 1, 2]))
    assert found.subjects == 2


def test_equal_counts_give_the_interval_of_the_textbook(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 6)
    found = mean(values, subjects)
    means = values.reshape(6, -1).mean(1)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], expected)


def test_the_variance_of_unequal_counts_is_unbiased(rng: np.random.Generator) -> None:
    """Over many draws it is the variance of the mean: sum w^2 for subjects of variance 1."""
    counts = np.array([1.0, 2, 5, 20])
    share = counts / counts.sum()
    freedom = max(1, 1 / (share**2).sum() - 1)
    halves = []
    for drawn in rng.normal(0, 1, (2000, 4)):
        value, low, _ = band(np.stack([drawn * counts, counts], 1), counts, ratio)
        halves.append(float(value - low) / stats.t.ppf(0.975, freedom))
    assert np.mean(np.square(halves)) == pytest.approx((share**2).sum(), rel=0.1)


COUNTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "equal": lambda rng, shape: np.ones(shape),
    "1 to 20": lambda rng, shape: rng.integers(1, 21, shape).astype(float),
    "log-normal": lambda rng, shape: np.exp(rng.normal(0, 1, shape)),
    "one with 20 times the rest": lambda rng, shape: np.eye(*shape)[0] * 19.0 + np.ones(shape),
}


@pytest.mark.parametrize("people", [2, 4, 5, 8, 12, 20])
@pytest.mark.parametrize("kind", COUNTS)
def test_intervals_hold_their_coverage_with_few_people(kind: str, people: int) -> None:
    """Nominal 95 % of intervals contain the true value 0 of normally distributed people."""
    rng = np.random.default_rng(people)
    repeats = 1000
    counts = COUNTS[kind](rng, (repeats, people))
    drawn = rng.normal(0, 1, (repeats, people))
    covered = 0
    for row, count in zip(drawn, counts, strict=True):
        _, low, high = band(np.stack([row * count, count], 1), count, ratio)
        covered += bool(low <= 0 <= high)
    assert covered / repeats >= 0.92
    assert covered >= stats.binom.ppf(0.001, repeats, 0.94)


def test_a_curve_holds_its_coverage_too() -> None:
    """PCK of four people whose thresholds differ, as `summary` draws it."""
    rng = np.random.default_rng(0)
    repeats, joints, at = 1000, 400, np.array([0.4, 0.6])
    covered = np.zeros(2)
    for _ in range(repeats):
        chance = np.clip(at + rng.normal(0, 0.1, (4, 1)), 0, 1)
        totals = np.column_stack([rng.binomial(joints, chance), np.full(4, joints)]).astype(float)
        _, low, high = band(totals, totals[:, -1], curve, bounds=SHARE)
        covered += (low <= at) & (at <= high)
    assert (covered >= stats.binom.ppf(0.001, repeats, 0.94)).all()


def ratio(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def curve(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., :-1] / sums[..., -1:])


def test_intervals_stay_among_possible_values() -> None:
    values, subjects = np.array([1.0, 1, 0, 1]), np.array([0, 0, 1, 1])
    free, share = mean(values, subjects), mean(values, subjects, bounds=SHARE)
    assert free.low < 0
    assert free.high > 1
    assert (share.low, share.value, share.high) == (0, 0.75, 1)
    assert mean(values, subjects, bounds=LENGTH).low == 0


def test_more_frames_of_the_same_people_narrow_nothing(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 4)
    once = mean(values, subjects)
    often = mean(np.tile(values, 50), np.tile(subjects, 50))
    assert often.high - often.low == pytest.approx(once.high - once.low)
    naive = stats.sem(np.tile(values, 50)) * 2 * 1.96
    assert often.high - often.low > 10 * naive


def test_one_subject_has_a_mean_and_no_interval() -> None:
    found = mean(np.array([1.0, 2.0]), np.array([7, 7]))
    assert found.value == 1.5
    assert np.isnan([found.low, found.high]).all()


def test_nothing_to_score_is_nan_and_not_zero() -> None:
    found = mean(np.array([np.nan, np.nan]), np.array([0, 1]))
    assert np.isnan(found.value)
    assert (found.samples, found.subjects) == (0, 0)


def test_estimate_of_any_statistic_of_sums(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 5)
    totals = np.stack([values, values**2, np.ones_like(values)], 1)

    def variance(sums: np.ndarray) -> np.ndarray:
        first, second, count = np.moveaxis(sums, -1, 0)
        return np.asarray(second / count - (first / count) ** 2)

    sums = per_subject(totals, subjects)
    found = estimate(sums, sums[:, 2], variance, samples=len(values), bounds=LENGTH)
    assert found.value == pytest.approx(values.var())
    assert 0 <= found.low < found.value < found.high


def test_band_is_the_interval_of_each_point(rng: np.random.Generator) -> None:
    values, subjects = of_subjects(rng, 4)
    totals = per_subject(np.stack([values, 2 * values, np.ones_like(values)], 1), subjects)
    value, low, high = band(totals, totals[:, -1], curve)
    one = mean(values, subjects)
    np.testing.assert_allclose([value[0], low[0], high[0]], [one.value, one.low, one.high])
    np.testing.assert_allclose(
        [value[1], low[1], high[1]], 2 * np.array([value[0], low[0], high[0]])
    )


def test_per_subject_adds_each_ones_samples_whatever_their_order() -> None:
    totals = np.array([[1.0, 1], [10, 1], [2, 1], [20, 1]])
    sums = per_subject(totals, np.array([7, 3, 7, 3]))
    np.testing.assert_array_equal(sums, [[30, 2], [3, 2]])


def test_a_difference_shared_by_all_subjects_is_found_though_they_differ(
    rng: np.random.Generator,
) -> None:
    first, subjects = of_subjects(rng, 4)
    second = first - 0.5 + rng.normal(0, 0.05, len(first))
    found = compare(first, second, subjects, seed=0)
    assert found.verdict == "lower"
    assert found.subjects_lower == 4
    assert found.difference.value == pytest.approx(-0.5, abs=0.05)
    assert found.p_value == found.smallest_p == 0.125, "four subjects cannot reach 0.05"
    assert compare(second, first, subjects, seed=0).verdict == "higher"


def test_a_difference_in_one_subject_is_inconclusive(rng: np.random.Generator) -> None:
    first, subjects = of_subjects(rng, 4)
    second = np.where(subjects == 0, first - 5, first)
    found = compare(first, second, subjects, seed=0)
    assert found.difference.value < -1
    assert found.verdict == "inconclusive"


def test_one_subject_is_always_inconclusive() -> None:
    found = compare(np.zeros(3), np.full(3, -9.0), np.zeros(3), seed=0)
    assert found.verdict == "inconclusive"
    assert (found.p_value, found.smallest_p) == (1, 1)


def test_models_that_share_no_sample_cannot_be_compared() -> None:
    nothing = np.full(2, np.nan)
    found = compare(nothing, nothing, np.arange(2), seed=0)
    assert np.isnan([found.difference.value, found.p_value]).all()
    assert found.verdict == "inconclusive"


def test_students_interval_is_scipys_over_subject_means(rng: np.random.Generator) -> None:
    first, subjects = of_subjects(rng, 5)
    second, _ = of_subjects(rng, 5)
    found = compare(first, second, subjects, seed=0)
    means = [(second - first)[subjects == s].mean() for s in range(5)]
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.by_person.low, found.by_person.high], expected)
    assert found.by_person.value == pytest.approx(np.mean(means))


def test_one_person_with_most_images_decides_one_mean_and_not_the_other() -> None:
    """Five people whose error falls, and one with twenty times their images, where it rises."""
    subjects = np.repeat(np.arange(6), [20_000, *5 * [1_000]])
    change = np.where(subjects == 0, 0.02, -0.2 - 0.001 * subjects)
    found = compare(np.zeros(len(change)), change, subjects, seed=0)
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
    found = compare(np.ones(8), np.ones(8), np.repeat([0, 1, 2, 3], 2), seed=0)
    assert isinstance(found, Comparison)
    assert found.p_value == 1
    assert found.verdict == "inconclusive"
    assert found.difference == Estimate(0, 0, 0, 8, 4)


# --- several verdicts ----------------------------------------------------------------------------


def test_students_p_and_interval_agree(rng: np.random.Generator) -> None:
    first, subjects = of_subjects(rng, 5)
    for shift in (0.0, 1.0, 2.0):
        change = of_subjects(rng, 5)[0] + shift
        found = compare(first, first + change, subjects, seed=0)
        means = change.reshape(5, -1).mean(1)
        assert found.student_p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
        assert (found.student_p < 0.05) == (found.verdict != "inconclusive")


def test_holm_is_the_definition() -> None:
    p = np.array([0.03, 0.001, np.nan, 0.04, 0.02])
    np.testing.assert_allclose(holm(p), [0.06, 0.004, np.nan, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.empty(0)).shape == (0,)


def test_the_primary_verdict_is_its_own_and_the_others_are_adjusted() -> None:
    def with_p(p: float) -> Comparison:
        half = stats.t.ppf(0.975, 7) / stats.t.isf(p / 2, 7)
        by_person = Estimate(-1.0, -1 - half, -1 + half, 80, 8)
        return Comparison(by_person, by_person, 0.01, 0.01, 8)

    family = {"a": with_p(0.04), "b": with_p(0.03), "c": with_p(0.01), "d": with_p(0.2)}
    assert [c.verdict for c in family.values()] == ["lower"] * 3 + ["inconclusive"]
    expected = {"a": "lower", "b": "inconclusive", "c": "lower", "d": "inconclusive"}
    assert verdicts(family, "a") == expected
    assert family["b"].student_p == pytest.approx(0.03)


def test_a_family_is_students_test_of_each_group(rng: np.random.Generator) -> None:
    means = rng.normal(0.3, 1, (7, 5))
    means[2, 1:] = np.nan
    means[3, 4] = np.nan
    found = family(means)
    for g in (0, 3, 6):
        own = means[g][~np.isnan(means[g])]
        one = stats.ttest_1samp(own, 0)
        assert found.p_value[g] == pytest.approx(one.pvalue)
        np.testing.assert_allclose([found.low[g], found.high[g]], one.confidence_interval(0.95))
    assert found.tested == 6
    assert found.by_chance == pytest.approx(0.3)
    assert np.isnan([found.low[2], found.p_value[2], found.holm[2]]).all()
    assert found.value[2] == means[2, 0]


def test_people_who_agree_by_luck_are_no_evidence() -> None:
    """All four lost one image of three in one of 90 folders; elsewhere they differ as usual."""
    rng = np.random.default_rng(0)
    means = rng.integers(-1, 2, (90, 4)) / 3
    means[7] = -1 / 3
    found = family(means)
    assert found.p_value[7] < 1e-6
    assert not found.claimed.any()


def test_a_large_change_of_one_group_is_found(rng: np.random.Generator) -> None:
    means = rng.normal(0, 1, (90, 8))
    means[40] -= 5
    assert np.flatnonzero(family(means).claimed).tolist() == [40]


MODELS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, k: rng.normal(0, 1, (90, k)),
    "people differ": lambda rng, k: rng.normal(0, 1, (90, k)) + rng.normal(0, 1, k),
    "unequal spread": lambda rng, k: rng.normal(0, 1, (90, k)) * np.exp(rng.normal(0, 1, (90, 1))),
    "three images, right or wrong": lambda rng, k: (
        (rng.binomial(3, 0.4, (90, k)) - rng.binomial(3, 0.4, (90, k))) / 3
    ),
    "three images that are one": lambda rng, k: (
        1.0 * rng.binomial(1, 0.4, (90, k)) - rng.binomial(1, 0.4, (90, k))
    ),
}


@pytest.mark.parametrize("people", [4, 8])
@pytest.mark.parametrize("kind", MODELS)
def test_no_change_of_any_group_is_seldom_claimed(kind: str, people: int) -> None:
    rng = np.random.default_rng(people)
    repeats = 400
    alarms = sum(family(MODELS[kind](rng, people)).claimed.any() for _ in range(repeats))
    assert alarms <= stats.binom.ppf(0.999, repeats, 0.05)
