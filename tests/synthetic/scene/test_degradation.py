"""Degradation: none at severity 0, more with severity, within its limits."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.scene.degradation import (
    BLUR_PX,
    CLEAN_SHARE,
    MOTION_PX,
    MOTION_SHARE,
    NOISE,
    SHRINKING,
    SHRINKING_SHARE,
    WORST_QUALITY,
    Degradation,
    sample_degradation,
    smear,
)

SIZE = (200, 160)


def drawn(severity: float, count: int = 1500, best: int = 90) -> list[Degradation]:
    return [
        sample_degradation(np.random.default_rng(seed), severity, SIZE, best)
        for seed in range(count)
    ]


def test_without_severity_nothing_is_changed() -> None:
    assert set(drawn(0.0, 50)) == {Degradation(90)}


def test_many_images_stay_clean_at_any_severity() -> None:
    for severity in (0.1, 1.0):
        clean = np.mean(
            [one == Degradation(90) for one in drawn(severity, 500) if one.gain is None]
        )
        share = np.mean([one.gain is None for one in drawn(severity, 500)])
        assert clean == 1
        assert share == pytest.approx(CLEAN_SHARE, abs=0.07)


def test_everything_stays_within_its_limits_and_reaches_near_them() -> None:
    images = drawn(1.0)
    ways = [float(np.hypot(*one.motion_px)) for one in images if one.motion_px is not None]
    factors = [SIZE[0] / one.size[0] for one in images if one.size is not None]
    for found, greatest in (
        ([one.blur_px for one in images], BLUR_PX),
        (ways, MOTION_PX),
        ([one.noise for one in images], 1 + NOISE),
        (factors, SHRINKING),
        ([90 - one.quality for one in images], 90 - WORST_QUALITY),
    ):
        assert 0.85 * greatest < max(found) <= greatest * 1.01
    bad = (1 - CLEAN_SHARE) * len(images)
    assert len(ways) / bad == pytest.approx(MOTION_SHARE, abs=0.05)
    assert len(factors) / bad == pytest.approx(SHRINKING_SHARE, abs=0.05)


def test_half_the_severity_is_half_as_bad() -> None:
    for mild, bad in zip(drawn(0.5, 200), drawn(1.0, 200), strict=True):
        assert mild.blur_px == pytest.approx(bad.blur_px / 2)
        assert mild.noise - 1 == pytest.approx((bad.noise - 1) / 2)
        assert 90 - mild.quality == pytest.approx((90 - bad.quality) / 2, abs=1)
        if mild.gain is not None and bad.gain is not None:
            np.testing.assert_allclose(np.log(mild.gain), np.log(bad.gain) / 2, atol=1e-6)


@pytest.mark.parametrize("best", [1, 39, 41, 75, 100])
def test_quality_lies_between_the_worst_and_that_of_clean_images(best: int) -> None:
    qualities = {one.quality for one in drawn(1.0, 400, best)}
    assert max(qualities) == best
    assert min(qualities) >= min(best, WORST_QUALITY)


def test_lengths_grow_with_the_image() -> None:
    for seed in range(100):
        small, large = (
            sample_degradation(np.random.default_rng(seed), 1.0, size, 90)
            for size in (SIZE, (400, 320))
        )
        assert large.blur_px == pytest.approx(2 * small.blur_px)
        if small.motion_px is not None and large.motion_px is not None:
            np.testing.assert_allclose(large.motion_px, 2 * small.motion_px)


@pytest.mark.parametrize("way", [(0.0, 0.0), (0.4, 0.0), (3.0, 0.0), (-4.2, 5.1), (0.3, -7.0)])
def test_motion_spreads_a_point_evenly_along_its_way(way: tuple[float, float]) -> None:
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 1
    spread = smear(point, np.array(way))
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    y, x = np.mgrid[:41, :41] - 20
    assert (spread * x).sum() == pytest.approx(0, abs=0.02)  # nothing is shifted
    assert (spread * y).sum() == pytest.approx(0, abs=0.02)
    along = np.array(way) / max(float(np.hypot(*way)), 1e-9)
    variance = float((spread * np.square(along[0] * x + along[1] * y)).sum())
    assert variance == pytest.approx(np.hypot(*way) ** 2 / 12, abs=0.6)
    across = float((spread * np.square(along[0] * y - along[1] * x)).sum())
    assert across < 0.3


def test_motion_keeps_an_even_picture_even() -> None:
    flat = np.full((20, 30, 3), 0.3, np.float32)
    np.testing.assert_allclose(smear(flat, np.array([5.0, 2.0])), flat, atol=1e-6)
