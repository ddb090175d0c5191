"""The simulation of `bench.coverage`: its worlds, its intervals, and what its table must show."""

from __future__ import annotations

import numpy as np
import pytest

from bench.coverage import (
    Row,
    Share,
    World,
    cases,
    coverage,
    crossed,
    main,
    people_alone,
    satterthwaite,
    two_way_bootstrap,
)
from handpose.evaluation.crossed import crossed_difference

WORLD = World((3, 4), 6, (0.5, 0.2))


@pytest.mark.parametrize("runs", [(2, 2), (3, 4), (1, 5)])
def test_it_asks_the_interval_that_the_project_uses(runs: tuple[int, int]) -> None:
    first, second = World(runs, 5, (0.3, 0.3)).draw(np.random.default_rng(0), 40)
    found = [crossed_difference(one, other) for one, other in zip(first, second, strict=True)]
    expected = [one.low <= 0 <= one.high for one in found]
    assert 0 < sum(expected) <= 40
    assert crossed(first, second).tolist() == expected
    far = second + 2.0
    found = [crossed_difference(one, other) for one, other in zip(first, far, strict=True)]
    assert crossed(first, far).tolist() == [one.low <= 0 <= one.high for one in found]


def test_satterthwaites_interval_is_the_projects_from_three_runs_on_and_shorter_below() -> None:
    first, second = World((3, 5), 5, (0.3, 0.3)).draw(np.random.default_rng(0), 300)
    assert satterthwaite(first, second).tolist() == crossed(first, second).tolist()
    first, second = World((2, 5), 5, (0.3, 0.3)).draw(np.random.default_rng(0), 300)
    assert satterthwaite(first, second).sum() < crossed(first, second).sum()


@pytest.mark.parametrize("people_are", ["normal", "log-normal"])
def test_draws_have_the_variances_of_their_world(people_are: str) -> None:
    world = World((2, 3), 4, (0.5, 2.0), 1.5, 0.8, 0.3, people_are)  # type: ignore[arg-type]
    first, second = world.draw(np.random.default_rng(1), 100_000)
    assert first.shape == (100_000, 2, 4) and second.shape == (100_000, 3, 4)
    assert abs(second.mean()) < 0.02, "the recipes are alike"
    assert np.var(first) == pytest.approx(0.5 + 0.8, rel=0.02)
    assert np.var(second) == pytest.approx(2.0 + 1.5 + 0.8, rel=0.05)
    common = np.cov(first[:, 1, 0], second[:, 1, 2])[0, 1]
    assert common == pytest.approx(0.3 * np.sqrt(0.5 * 2.0), abs=0.03)
    other = np.cov(first[:, 0, 0], second[:, 1, 2])[0, 1]
    assert abs(other) < 0.03, "only runs of one number have something in common"


def test_intervals_over_people_alone_miss_where_runs_vary_and_the_crossed_one_does_not() -> None:
    world = World((3, 3), 30, (1.0, 1.0))
    assert coverage(world, 300, people_alone).value < 0.5
    assert coverage(world, 300).value > 0.9
    without = World((3, 3), 8, cell=0)
    assert coverage(without, 2000, people_alone).value == pytest.approx(0.95, abs=0.02)


def test_a_bootstrap_of_what_does_not_vary_has_no_width() -> None:
    flat = np.ones((2, 3, 8))
    assert two_way_bootstrap(flat, flat).tolist() == [True, True]
    assert two_way_bootstrap(flat, flat + 1e-6).tolist() == [False, False]


def test_the_same_world_has_the_same_draws_and_the_error_is_binomial() -> None:
    share = coverage(WORLD, 200)
    assert share == coverage(WORLD, 200)
    assert share.error == pytest.approx(np.sqrt(share.value * (1 - share.value) / 200))
    assert str(Share(0.95, 0.0031)) == "0.950 +-0.003"


def test_it_prints_a_line_for_each_row_and_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (Row("few", (2, 2), 4), Row("again", (2, 2), 4, two_way_bootstrap))
    monkeypatch.setattr("bench.coverage.ROWS", rows)
    monkeypatch.setattr("sys.argv", ["coverage", "40", "2"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "coverage of the nominal 0.95, 40 draws; bootstrap: 2"
    assert [line.split()[0] for line in lines[3:5]] == ["few", "again"]
    assert lines[3].count("+-") == 5
    assert [line.split(":")[0] for line in lines[6:]] == [title for title, _ in cases()]
