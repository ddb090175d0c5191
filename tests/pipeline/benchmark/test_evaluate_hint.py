"""`handpose evaluate benchmark hint` from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main
from stages.paths import FIELD_FACTS, FIELD_PAGE
from tests.hint.made_up_hint import write_hint
from tests.stages.conftest import Setter
from tests.stages.conftest import dataset as dataset
from tests.stages.conftest import labels_of as labels_of
from tests.stages.conftest import set_params as set_params
from tests.stages.conftest import shards_of as shards_of
from tests.stages.conftest import trainable as trainable
from tests.stages.test_evaluate import write_models


@pytest.fixture
def clone(trainable: Path, set_params: Setter) -> Path:
    """The current folder: a clone with an untrained model, and HInt without Ego4D's photos."""
    write_hint(Path("HInt"), {"newdays": 8, "epick": 4, "ego4d": 2}, without_photos="ego4d")
    set_params(data={"benchmarks": {"hint": "HInt"}})
    write_models()
    return trainable


def test_hint_is_scored_by_subset_and_by_what_is_seen(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "benchmark", "hint"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for text in (
        "newdays, all joints",
        "epick, visible",
        "epick, occluded",
        "interval over videos (HInt names no people)",
    ):
        assert text in out
    assert "ego4d has no photos and is left out" in out
    assert "newdays holds 8 hands of the official 1,754" in out
    found = json.loads(Path("results/imported/hint/pretrained.json").read_text())["subsets"]
    assert set(found) == {"newdays", "epick"} and found["newdays"]["videos"] == 3
    for kind in ("all joints", "visible", "occluded"):
        shares = [
            found["newdays"]["pck"][kind][f"pck_{s}"]["value"] for s in ("0.05", "0.10", "0.15")
        ]
        assert 0 <= shares[0] <= shares[1] <= shares[2] <= 1


def test_the_fields_table_shows_what_hint_scored(clone: Path) -> None:
    assert main(["evaluate", "benchmark", "hint"]) == 0
    assert main(["field", "--rounds", "0"]) == 0
    scored = json.loads(Path("results/imported/hint/pretrained.json").read_text())["subsets"]
    own = json.loads(FIELD_FACTS.read_text())["benchmarks"]["hint"]
    assert own["intervals_over"] == "videos (HInt names no people)"
    assert {row["state"] for row in own["rows"]} == {"ran here"}
    for row, (subset, found) in zip(own["rows"], scored.items(), strict=True):
        assert row["model"] == f"models/pose/pretrained, {subset}"
        assert row["estimates"] == found["pck"]["all joints"]
    page = FIELD_PAGE.read_text()
    assert "## hint, by its own evaluator" in page and "2D joints within 0.05 of the box" in page

    shutil.move("HInt/TEST_newdays_img", "elsewhere")
    assert main(["field", "--rounds", "0"]) == 0
    (row,) = json.loads(FIELD_FACTS.read_text())["benchmarks"]["hint"]["rows"]
    assert row["state"] == "refused" and "is of other hands than hint has now" in row["remark"]
    assert row["estimates"] == {}


def test_hint_has_no_submission_file(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "benchmark", "hint", "--submission", "work/pred.json"]) == 2
    assert "HInt has no submission file" in " ".join(capsys.readouterr().err.split())
