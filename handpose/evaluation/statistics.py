"""Confidence intervals and tests over subjects, never over frames.

Frames of one person share a hand, a skin and the lighting; thousands of them say little about the
next person. Everything here treats a subject as one draw.

Every interval is Student's: the deviation of a statistic is found by leaving out one subject at a
time, unbiased whatever their counts, and the degrees of freedom are the effective number of
subjects less one. For a mean over subjects with equal counts this is the textbook's interval.
Simulated coverage of a nominal 95 %, subjects normally distributed (10,000 draws; `before`, 4,000,
is the percentile bootstrap over subjects that was used here):

    subjects                        4     5     8    12    20          before
    equal counts                 0.95  0.95  0.95  0.95  0.95    0.80  0.84  0.89  0.91  0.93
    counts from 1 to 20          0.95  0.95  0.95  0.95  0.95    0.79  0.82  0.87  0.91  0.92
    log-normal counts            0.97  0.96  0.95  0.94  0.94    0.78  0.82  0.85  0.88  0.91
    one with 20 times the rest   0.99  0.99  1.00  1.00  0.98    0.79  0.83  0.88  0.90  0.92
    log-normal subjects          0.82  0.83  0.83  0.85  0.87    0.68  0.72  0.78  0.82  0.86

So few subjects give wide intervals that hold if subjects are roughly normal, and are too narrow if
subjects are strongly skewed (last row). Shares are clipped to 0 .. 1; where every subject has the
same value, as when all are at 100 %, the interval has width 0 and must not be read as certainty.

A verdict on two models is Student's test of the mean of subject means (each subject counts once).
The exact sign-flip test stands beside it as information; its smallest p-value with k subjects is
2 / 2^k: 0.125 for 4. Several verdicts together are Holm-adjusted, and so are many groups
(`Family`). Neither covers another training seed; `handpose.evaluation.crossed` does.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats: TypeAlias = NDArray[np.floating[Any]]
Statistic: TypeAlias = Callable[[Floats], Floats]
Bounds: TypeAlias = tuple[float, float]
Verdict: TypeAlias = Literal["lower", "higher", "inconclusive"]
Key = TypeVar("Key", bound=Hashable)

CONFIDENCE = 0.95
EXACT_FLIPS = 12
"""Up to this many subjects all 2^k sign patterns are tested; above, 2^12 random ones."""

ANY: Bounds = (-np.inf, np.inf)
LENGTH: Bounds = (0.0, np.inf)
SHARE: Bounds = (0.0, 1.0)
"""Possible values of a difference, of an error, of an accuracy: intervals are clipped to them."""


@dataclass(frozen=True)
class Estimate:
    """A value, its interval over subjects, and its counts. NaN: not available."""

    value: float
    low: float  # NaN with fewer than two subjects
    high: float
    samples: int
    subjects: int


@dataclass(frozen=True)
class Comparison:
    """Two models on the same samples: second minus first; negative means less error."""

    difference: Estimate  # mean over samples
    by_person: Estimate  # mean of subject means
    p_value: float  # two-sided sign-flip test over subjects
    smallest_p: float  # that this number of subjects can reach
    subjects_lower: int  # subjects whose mean error is lower with the second

    @property
    def student_p(self) -> float:
        """Two-sided p-value of `by_person` under Student's test; NaN without an interval."""
        e = self.by_person
        if not np.isfinite(e.low):
            return float("nan")
        half = np.array((e.high - e.low) / 2)
        deviation = half / _quantile(e.subjects - 1)
        return float(_student_p(np.array(e.value), deviation, np.array(e.subjects - 1)))

    @property
    def verdict(self) -> Verdict:
        """Whether the second's error is lower, by `by_person` alone; NaN is inconclusive."""
        if self.by_person.high < 0:
            return "lower"
        return "higher" if self.by_person.low > 0 else "inconclusive"


@dataclass(frozen=True)
class Family:
    """The change of each of G groups of samples, and which changes can be claimed together.

    All arrays are (G,), NaN where a group has fewer than two subjects (`value`: none).
    """

    value: Floats  # mean of subject means
    low: Floats  # Student's interval of this group alone
    high: Floats
    p_value: Floats  # that of the interval
    holm: Floats  # p-value adjusted for the number of groups

    @property
    def tested(self) -> int:
        """Number of groups that have an interval."""
        return int(np.isfinite(self.p_value).sum())

    @property
    def by_chance(self) -> float:
        """How many intervals leave out 0, on average, if nothing changed in any group."""
        return (1 - CONFIDENCE) * self.tested

    @property
    def without_zero(self) -> int:
        """How many intervals leave out 0."""
        return int((self.p_value < 1 - CONFIDENCE).sum())

    @property
    def claimed(self) -> NDArray[np.bool_]:
        """(G,) groups whose change remains after Holm's adjustment."""
        return np.asarray(self.holm < 1 - CONFIDENCE)


# --- estimates -----------------------------------------------------------------------------------


def mean(values: Floats, subjects: NDArray[Any], *, bounds: Bounds = ANY) -> Estimate:
    """Mean over samples with its interval; NaN values are excluded and not counted.

    Args:
        values: (N,) one number per sample.
        subjects: (N,) subject of each sample.
        bounds: possible values; the interval is clipped to them.
    """
    scored = ~np.isnan(values)
    totals = np.stack([values[scored], np.ones(scored.sum())], 1)  # (N, 2)
    samples = len(totals)
    totals = per_subject(totals, subjects[scored])
    return estimate(totals, totals[:, 1], _ratio, samples=samples, bounds=bounds)


def _ratio(totals: Floats) -> Floats:
    """Sum over count: (..., 2) -> (...)."""
    ratio: Floats = totals[..., 0] / totals[..., 1]
    return ratio


def per_subject(totals: Floats, subjects: NDArray[Any]) -> Floats:
    """Sum over the samples of each subject: (N, T), (N,) -> (K, T), subjects in ascending order."""
    names, member = np.unique(subjects, return_inverse=True)
    columns = [np.bincount(member, column, len(names)) for column in totals.T]
    return np.array(columns, np.float64).reshape(totals.shape[1], len(names)).T


def estimate(
    totals: Floats,
    counts: Floats,
    statistic: Statistic,
    *,
    samples: int,
    bounds: Bounds = ANY,
) -> Estimate:
    """Any statistic of sums over samples, with its interval.

    Args:
        totals: (K, T) sums per subject: for a mean the sum and count, for F1 the confusion matrix.
        counts: (K,) how much each subject counts in the statistic, above 0; only their ratio
            matters.
        statistic: of summed totals, (..., T) -> (...).
        samples: number of samples in the totals.
        bounds: possible values; the interval is clipped to them.
    """
    if len(totals) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    value, low, high = band(totals, counts, statistic, bounds=bounds)
    return Estimate(float(value), float(low), float(high), samples, len(totals))


def band(
    totals: Floats, counts: Floats, statistic: Statistic, *, bounds: Bounds = ANY
) -> tuple[Floats, Floats, Floats]:
    """A value or a curve of such sums, with its interval at each point.

    The variance is the jackknife's with leverages: for a mean of independent subjects of equal
    variance it is unbiased, whatever their shares w of the samples. Student's quantile has
    1 / sum w^2 - 1 degrees of freedom (Kish's effective number, less one), at least 1.

    Args:
        totals: (K, T) sums per subject; at least one subject.
        counts: (K,) how much each subject counts, above 0.
        statistic: of summed totals, (..., T) -> (...) or (..., P).
        bounds: possible values; the interval is clipped to them.

    Returns:
        Value, low and high, each () or (P,); low and high are NaN with a single subject.

    Source: Bell and McCaffrey, Survey Methodology 28 (2002), for the variance (CR2).
    """
    whole = totals.sum(0)
    value = np.asarray(statistic(whole))
    if len(totals) < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    share = counts / counts.sum()  # (K,)
    squares = (share**2).sum()
    moved = np.asarray(statistic(whole - totals)) - value  # (K,) or (K, P), one subject left out
    leverage = (1 - share) ** 2 / (1 - 2 * share + squares)  # (K,)
    deviation = np.sqrt(np.tensordot(leverage, moved**2, 1))
    half = deviation * _quantile(max(1.0, 1 / squares - 1))
    return value, np.clip(value - half, *bounds), np.clip(value + half, *bounds)


# --- two models ----------------------------------------------------------------------------------


def compare(first: Floats, second: Floats, subjects: NDArray[Any], *, seed: int) -> Comparison:
    """Paired difference, second model minus first, on the samples scored for both.

    It covers the variation between subjects, not between training seeds.

    Args:
        first: (N,) error of each sample; NaN where it has none.
        second: (N,) error of the same samples.
        subjects: (N,).
        seed: of the random sign flips.
    """
    change = second - first
    scored = ~np.isnan(change)
    sums = per_subject(np.stack([change, np.ones(len(change))], 1)[scored], subjects[scored])
    means = _ratio(sums)  # (K,)
    each = np.ones(len(means))
    by_person = estimate(np.stack([means, each], 1), each, _ratio, samples=int(scored.sum()))
    return Comparison(
        mean(change, subjects),
        by_person,
        p_value=sign_flip_p(means, seed=seed),
        smallest_p=min(1.0, 2.0 ** (1 - min(len(means), EXACT_FLIPS))),
        subjects_lower=int((means < 0).sum()),
    )


def sign_flip_p(means: Floats, *, seed: int) -> float:
    """Two-sided p-value of the mean of subject means under random sign flips.

    Args:
        means: (K,) mean change of each subject.
        seed: of the random patterns above `EXACT_FLIPS` subjects.
    """
    count = len(means)
    if count == 0:
        return float("nan")
    if count <= EXACT_FLIPS:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1  # (2^K, K)
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (2**EXACT_FLIPS, count))
        bits[0] = 0  # include the observed signs
    flipped = np.abs(
        (1 - 2 * bits) @ means.astype(np.float64)
    )  # the first pattern is the observed one
    return float((flipped >= flipped[0] * (1 - 1e-12)).mean())


# --- several verdicts ----------------------------------------------------------------------------


def verdicts(comparisons: Mapping[Key, Comparison], primary: Key) -> dict[Key, Verdict]:
    """The verdict of each comparison: the primary's by itself, the others' Holm-adjusted.

    Under no true difference, with normally distributed people, the primary's is wrong in at most
    5 % of comparisons, and any of the others in at most 5 %.
    """
    others = [key for key in comparisons if key != primary]
    adjusted = holm(np.array([comparisons[key].student_p for key in others]))
    kept = dict(zip(others, adjusted < 1 - CONFIDENCE, strict=True))
    return {
        key: c.verdict if kept.get(key, True) else "inconclusive" for key, c in comparisons.items()
    }


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values: (G,) -> (G,); NaN remains and is not counted.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    order = np.argsort(p_values)  # NaN last
    count = int((~np.isnan(p_values)).sum())
    steps = p_values[order] * np.maximum(count - np.arange(len(order)), 1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def family(means: Floats) -> Family:
    """Student's test in each group of samples, and Holm's adjustment over the groups.

    The adjusted p-values take no group's variance below the mean over all groups. Otherwise a few
    subjects who happen to agree, as they often do in an accuracy of three images each, have no
    spread and pass any threshold: with 90 groups of 4 subjects in 20 to 47 % of comparisons
    without a true difference (simulated), and at most 1 % so.

    Args:
        means: (G, K) mean change of each subject in each group, NaN where it has no sample.
    """
    count = (~np.isnan(means)).sum(1)  # (G,)
    freedom = np.where(count > 1, count - 1, np.nan)
    value = np.where(count > 0, np.nansum(means, 1) / np.maximum(count, 1), np.nan)
    squares = np.nansum((means - value[:, None]) ** 2, 1)  # (G,)
    pooled = squares.sum() / max(np.nansum(freedom), 1)
    own = np.sqrt(squares / freedom / count)
    floored = np.sqrt(np.maximum(squares / freedom, pooled) / count)
    half = own * _quantile(freedom)
    return Family(
        value,
        value - half,
        value + half,
        p_value=_student_p(value, own, freedom),
        holm=holm(_student_p(value, floored, freedom)),
    )


def _student_p(value: Floats, deviation: Floats, freedom: Floats) -> Floats:
    """Two-sided p-values; 1 for no change, even without any spread."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(value == 0, 0.0, np.abs(value) / deviation)
    p: Floats = np.where(np.isnan(deviation), np.nan, 2 * special.stdtr(freedom, -t))
    return p


def _quantile(freedom: Any) -> Any:
    """Student's t of the two-sided confidence; a fiftieth of the time of `scipy.stats`."""
    return special.stdtrit(freedom, (1 + CONFIDENCE) / 2)
