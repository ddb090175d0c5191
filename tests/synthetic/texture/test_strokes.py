"""The brush: depth and width as asked for, whatever the size of the texels."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.texture.strokes import BRUSH_M, BRUSH_STEP, Grid, Stroke, paint, stroke

WIDTH = BRUSH_M * BRUSH_STEP**5  # one of the brushes
LINE = Stroke(np.array([[-0.03, 0.001], [0.0, 0.001], [0.03, 0.001]]), np.ones(3), WIDTH)


def grid(texel_m: float) -> Grid:
    """4 x 3 cm around the origin."""
    return Grid(
        np.array([-0.02, -0.015]), texel_m, (round(0.03 / texel_m) + 1, round(0.04 / texel_m) + 1)
    )


@pytest.mark.parametrize("texel_m", [0.0002, 0.00035, 0.0007])
def test_a_line_has_its_depth_and_width(texel_m: float) -> None:
    picture = paint([LINE], grid(texel_m))
    across = picture[:, picture.shape[1] // 2]
    v = grid(texel_m).centres()[1]
    # the integral across, whatever the texels
    area = WIDTH * np.sqrt(2 * np.pi)
    assert across.sum() * texel_m == pytest.approx(area, rel=0.01)
    middle = (across * v).sum() / across.sum()
    assert middle == pytest.approx(0.001, abs=0.05 * texel_m)
    spread = np.sqrt((across * (v - middle) ** 2).sum() / across.sum())
    assert spread == pytest.approx(WIDTH, rel=0.15)
    if texel_m < WIDTH / 2:
        assert across.max() == pytest.approx(1, abs=0.06)


def test_strokes_add_up() -> None:
    half = LINE._replace(depth=0.5 * LINE.depth)
    np.testing.assert_allclose(
        paint([half, half], grid(0.0003)), paint([LINE], grid(0.0003)), atol=1e-6
    )


def test_what_lies_outside_leaves_no_trace() -> None:
    away = LINE._replace(points=LINE.points + np.array([0, 1]))
    assert paint([away], grid(0.0005)).max() == 0
    assert paint([], grid(0.0005)).max() == 0


def test_a_stroke_follows_its_points_and_fades_at_its_ends() -> None:
    rng = np.random.default_rng(0)
    through = [np.array([0.0, 0.0]), np.array([0.01, 0.002]), np.array([0.02, 0.0])]
    line = stroke(rng, through, 0.0005, 1.0, wander=0.0)
    np.testing.assert_allclose(line.points[[0, -1]], [through[0], through[2]], atol=1e-12)
    assert np.abs(line.points - through[1]).sum(1).min() < 0.0035
    assert line.depth[[0, -1]].max() == 0
    assert 0.8 <= line.depth.max() <= 1.2
    blunt = stroke(rng, through, 0.0005, 1.0, ends=(0, 0))
    assert blunt.depth.min() >= 0.8


def test_a_stroke_wanders_by_as_much_as_asked() -> None:
    through = [np.array([0.0, 0.0]), np.array([3.0, 0.0])]
    line = stroke(np.random.default_rng(1), through, 0.0005, 1.0, wander=0.001)
    assert line.points[:, 1].std() == pytest.approx(0.001, rel=0.1)
