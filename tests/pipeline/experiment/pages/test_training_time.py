"""How the time of the full model is stated in epochs without gestures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.experiment.grid_results import GridResults
from pipeline.experiment.pages.training_time import time_in_epochs
from tests.pipeline.experiment.pages.test_answers import grid


def grids(full: float) -> dict[str, GridResults]:
    """The full model takes 300 s, six epochs beside it 360 s."""
    epochs = {"neither": 8, "neither_equal_time": 6, "neither_fewer_steps": 3, "neither_shifted": 6}
    found = {
        "claim": grid("claim", neither=20.0, full=full),
        "equal_time": grid("equal_time", neither_equal_time=26.0, full=full),
        "equal_steps": grid("equal_steps", neither_fewer_steps=35.0),
        "equal_time_again": grid("equal_time_again", neither_shifted=26.0, full_shifted=full),
    }
    for one in found.values():
        for row in one.rows:
            for run in row.known:
                run["settings"] = {"pose_scratch": {"epochs": epochs.get(row.name, 3)}}
                if row.name == "neither_shifted":
                    run["seconds"] = {"pose": 360.0}
    return found


def test_in_epochs_and_by_the_error_on_straight_lines() -> None:
    text = time_in_epochs(grids(30.0))
    assert "takes as long as 5.0 to 5.0 epochs" in text and "after 3, " in text
    at_five = 26 + (35 - 26) / 3
    assert float(text.split("epochs give ")[1].split(" mm")[0]) == pytest.approx(at_five, abs=0.6)
    difference = float(text.split(" mm, ")[-1].split(" mm")[0])
    assert difference == pytest.approx(30 - at_five, abs=0.9)
    equal = float(text.split("as good as ")[1].split(" epochs")[0])
    assert equal == pytest.approx(3 + 3 * (35 - 30) / (35 - 26), abs=0.4)


def test_an_error_beyond_the_curve_is_as_good_as_no_number_of_epochs() -> None:
    assert "as good as" not in time_in_epochs(grids(50.0))


def test_a_missing_run_leaves_it_out() -> None:
    found = grids(30.0)
    lacking = found["equal_time_again"].rows[1]
    rows = [
        found["equal_time_again"].rows[0],
        replace(lacking, results={**lacking.results, 0: None}),
    ]
    found["equal_time_again"] = replace(found["equal_time_again"], rows=rows)
    assert time_in_epochs(found) == ""
    del found["equal_time_again"]
    assert time_in_epochs(found) == ""
