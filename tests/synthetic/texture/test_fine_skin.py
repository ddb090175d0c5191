"""Texture at two scales, both coarser or finer than the grain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.synthetic.texture.fine_skin import fade_out, fine_lines, mottling
from handpose.synthetic.texture.strokes import Grid

GRID = Grid(np.array([-0.05, -0.05]), 0.0004, (256, 240))
Maker = Callable[[int], NDArray[np.float32]]


def likeness(picture: NDArray[np.float32], shift_m: float, axis: int = 0) -> float:
    """Correlation with itself, shifted along v (0) or u (1)."""
    step = round(shift_m / GRID.texel_m)
    a, b = (np.moveaxis(picture, axis, 0)[part] for part in (np.s_[step:], np.s_[:-step]))
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def blotches(seed: int) -> NDArray[np.float32]:
    return mottling(np.random.default_rng(seed), GRID)


def lines(seed: int) -> NDArray[np.float32]:
    return fine_lines(np.random.default_rng(seed), GRID, crossing=False)


@pytest.mark.parametrize("make", [blotches, lines])
def test_standard_and_of_one_person(make: Maker) -> None:
    picture = make(0)
    assert picture.mean() == pytest.approx(0, abs=1e-4)
    assert picture.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(picture, make(0))
    assert abs(np.corrcoef(picture.ravel(), make(1).ravel())[0, 1]) < 0.15


def test_blotches_are_of_six_to_ten_millimetres() -> None:
    assert likeness(blotches(2), 0.0016) > 0.6
    assert abs(likeness(blotches(2), 0.012)) < 0.3


def test_fine_lines_are_finer_than_a_millimetre_and_run_across() -> None:
    assert likeness(lines(2), 0.0012) < 0.2
    assert likeness(lines(2), 0.0008, axis=1) > likeness(lines(2), 0.0008, axis=0) + 0.3


def test_fine_skin_ends_on_the_arm() -> None:
    shown = fade_out(GRID)
    assert shown.shape == (256, 1)
    assert (shown[0], shown[-1]) == (0, 1)
    assert (np.diff(shown[:, 0]) >= 0).all()
