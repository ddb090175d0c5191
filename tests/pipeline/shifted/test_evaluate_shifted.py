"""`handpose evaluate shifted`: both models on the same sets, which are made once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from handpose.synthetic.shifted_recipe import shifted_tests
from pipeline.__main__ import main
from pipeline.shifted import evaluate_shifted as module
from stages import score
from stages.running.command import run_stage
from tests.stages.conftest import set_params
from tests.stages.test_evaluate import evaluable, write_models

__all__ = ["evaluable", "set_params"]

OUT = Path("results/imported/shifted/severity-0.5.json")


@pytest.fixture
def trainable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_params: Any) -> Path:
    """As that of the stages' tests."""
    from tests.stages.conftest import write_labels, write_shards

    monkeypatch.chdir(tmp_path)
    write_shards(train=12, validation=6)
    write_labels()
    set_params(
        evaluate={"shift": {"severities": [0.5], "people": 2, "images": 4}},
        synthesize={"workers": 1},
    )
    return tmp_path


@pytest.fixture
def shards_of() -> Any:
    from tests.stages.conftest import write_shards

    return write_shards


def test_numbers_are_those_of_the_experiments_and_a_second_call_renders_nothing(
    evaluable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models()
    assert main(["evaluate", "shifted", "0.5"]) == 0
    output = capsys.readouterr().out
    assert "rendering the test sets of severity 0.5" in output
    assert "4 images of 2 new people" in output and "everything_0.5 is the primary set" in output
    content = json.loads(OUT.read_text())
    assert content["primary"] == "everything_0.5"
    assert list(content["sets"]) == [test.name for test in shifted_tests([0.5])]

    (made,) = Path("work/shifted").iterdir()  # as `stages.shift` makes them, by the same function
    shutil.copytree(made, "data/shifted/shards")
    assert run_stage(lambda: score.main(["pretrained"]), "score") == 0
    scored = json.loads(Path("results/scores/pretrained.json").read_text())["sets"]
    for name, one in content["sets"].items():
        assert (one["images"], one["people"]) == (4, 2)
        for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm"):
            people = scored[name]["people"].values()
            sums = sum(person[key]["mean"] * person[key]["images"] for person in people)
            found = one["estimates"]["pretrained"][key]
            assert found["value"] == pytest.approx(sums / 4, rel=1e-4)
            assert found["low"] < found["value"] < found["high"]
            # the two made-up models are the same network
            assert one["pretrained_minus_scratch"][key]["by_person"]["value"] == 0

    def refuse(*_: Any) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(module, "write_shifted_shards", refuse)
    assert main(["evaluate", "shifted", "0.5"]) == 0
    assert json.loads(OUT.read_text()) == content
    assert "rendering" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("severity", "message"),
    [
        ("1.5", "severity 1.5: expected a number above 0, at most 1"),
        ("0", "expected a number above 0"),
        ("1", "models/pose/pretrained/model.json: not found"),
    ],
)
def test_what_cannot_be_is_refused(
    evaluable: Path, capsys: pytest.CaptureFixture[str], severity: str, message: str
) -> None:
    assert main(["evaluate", "shifted", severity]) == 2
    assert message in capsys.readouterr().err
    assert not Path("work/shifted").exists(), "before anything is rendered"
