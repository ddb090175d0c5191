"""Scores on shifted test sets, as the stages `shift` and `score` give them to an experiment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handpose.synthetic.shifted_recipe import shifted_tests
from stages import score, shift
from stages.running.command import run_stage
from tests.stages.test_evaluate import evaluable, write_models

__all__ = ["evaluable"]


def run_score() -> int:
    return run_stage(lambda: score.main(["scratch"]), "score")


def result() -> Any:
    return json.loads(Path("results/scores/scratch.json").read_text())


def test_sets_are_added_to_a_result_and_change_nothing_else(
    evaluable: Path, set_params: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    set_params()
    write_models()
    assert run_stage(shift.main, "shift") == 0
    assert "no set: evaluate.shift.severities is empty" in capsys.readouterr().out
    assert run_score() == 0
    plain = result()
    assert "sets" not in plain

    small = {"severities": [0.5], "people": 2, "images": 4}
    set_params(evaluate={"shift": small}, synthesize={"workers": 1})
    assert run_score() == 2
    message = capsys.readouterr().err
    assert "has no test set new_people" in message and "python -m stages.shift" in message

    assert run_stage(shift.main, "shift") == 0
    assert run_score() == 0
    found = result()
    sets = found.pop("sets")
    assert found == plain, "the numbers of the test split are as without"
    assert list(sets) == [test.name for test in shifted_tests([0.5])]
    assert len({one["test"] for one in sets.values()}) == len(sets)
    for one in sets.values():
        assert set(one["people"]) == {"0", "1"}
        assert sum(person["images"] for person in one["people"].values()) == 4
        for person in one["people"].values():
            assert person["wrist_mpjpe_mm"]["images"] == person["images"]
            assert person["pa_mpjpe_mm"]["mean"] < person["wrist_mpjpe_mm"]["mean"]
            assert "coarse_accuracy" not in person, "no image has a class"
