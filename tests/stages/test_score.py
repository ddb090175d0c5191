"""One model's scores by person: those of the evaluation, for experiments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages import evaluate, score
from stages.running.command import run_stage
from tests.stages.made_up_samples import write_samples
from tests.stages.test_evaluate import evaluable, write_models

__all__ = ["evaluable"]


def run_score(*argv: str) -> int:
    return run_stage(lambda: score.main(list(argv)), "score")


def scores(run: str) -> Any:
    return json.loads(Path(f"results/scores/{run}.json").read_text())


def test_people_have_the_errors_that_the_evaluation_has(evaluable: Path) -> None:
    write_models()
    assert run_stage(evaluate.main, "evaluate") == 0
    assert run_score("pretrained") == 0
    found = scores("pretrained")
    rows = pq.read_table("results/predictions.parquet").to_pylist()
    rows = [row for row in rows if row["split"] == "test"]
    assert set(found["people"]) == {str(row["subject"]) for row in rows}
    for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm"):
        column = f"pretrained_{key}"
        for person, measured in found["people"].items():
            own = [r[column] for r in rows if str(r["subject"]) == person]
            own = [value for value in own if np.isfinite(value)]
            assert measured[key]["images"] == len(own)
            assert measured[key]["mean"] == pytest.approx(np.mean(own), abs=1e-3)
            assert {"gates_closed_wrist_mpjpe_mm", "coarse_accuracy"} <= set(measured)
    assert found["seconds"] == {"pretrain": 8.0, "pose": 9.0}
    assert (found["steps"], len(found["gates"])) == (2, 2)
    assert (found["kept_epoch"], found["epochs"]) == (1, 1)

    assert run_score("scratch") == 0
    other = scores("scratch")
    assert other["test"] == found["test"], "the same images"
    assert other["seconds"] == {"pose": 9.5}


def test_gestures_that_are_held_out_are_a_test_set_of_their_own(
    trainable: Path, shards_of: Callable[..., None]
) -> None:
    counts = {"train": 12, "validation": 2, "test": 9}
    shards_of(**counts)
    write_samples()
    write_models()
    assert run_score("scratch") == 0
    plain = scores("scratch")
    assert "sets" not in plain

    shards_of(**counts, held_out_gestures=4)
    write_samples()
    assert run_score("scratch") == 0
    found = scores("scratch")
    assert found["people"] == plain["people"], "the test split is as without"
    assert list(found["sets"]) == ["held_out_gestures"]
    own = found["sets"]["held_out_gestures"]
    assert own["test"] != found["test"]
    rows = pq.read_table("data/ingest/samples.parquet").to_pylist()
    subjects = [str(row["subject"]) for row in rows if row["split"] == "held_out_gestures"]
    assert {one: own["people"][one]["images"] for one in own["people"]} == Counter(subjects)


def test_other_images_have_another_digest(evaluable: Path) -> None:
    ids = np.arange(5)
    first = score.test_digest(ids)
    assert score.test_digest(ids[::-1]) == first, "in whatever order"
    assert score.test_digest(ids[:4]) != first
    index = Path("data/shard/index.json")
    index.write_text(index.read_text() + " ")
    assert score.test_digest(ids) != first


def test_a_mean_is_over_the_images_that_define_a_measure() -> None:
    columns = {"a": np.array([1.0, np.nan, 3.0, np.nan])}
    found = score.by_person(columns, np.array([2, 2, 2, 10]))
    assert found == {"2": {"images": 3, "a": {"mean": 2.0, "images": 2}}, "10": {"images": 1}}


def test_missing_models_and_other_words_are_refused(
    evaluable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_score("pretrained") == 2
    assert "models/pose/pretrained/model.json: not found" in capsys.readouterr().err
    assert run_score("other") == 2
    assert "expected one of pretrained, scratch" in capsys.readouterr().err
