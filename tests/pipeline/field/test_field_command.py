"""`handpose field`: every row, with numbers of these data or with what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from pipeline.__main__ import main
from pipeline.field.field_results import FieldError, FieldResult, benchmark_results
from pipeline.field.field_rows import FIELD, PAPER, ROWS, row_of
from pipeline.field.latency import BATCHES, ESTIMATOR, NETWORK, median_seconds
from pipeline.imported.held_out import HeldOut
from stages.evaluation.data import EvaluationData
from stages.evaluation.summary import to_json
from stages.paths import FIELD_FACTS, FIELD_PAGE, IMPORTED, METRICS, PREDICTIONS, STAGE_2_MODELS
from tests.pipeline.imported.conftest import MadeUp
from tests.pipeline.imported.conftest import clone as clone
from tests.pipeline.imported.conftest import evaluated as evaluated
from tests.pipeline.imported.conftest import made_up as made_up

ROOT = Path(__file__).parents[3]
OWN = {"the paper's full model": "pretrained", "the paper's without pretraining": "scratch"}


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of that clone, whose results may be spoilt."""
    shutil.copytree(evaluated, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def facts(*words: str) -> Any:
    """What the command writes, after checks that hold of any table."""
    assert main(["field", "--rounds", "0", *words]) == 0
    found = json.loads(FIELD_FACTS.read_text("utf-8"))
    page = FIELD_PAGE.read_text("utf-8")
    for one in found["rows"]:
        has_numbers = one["state"] in ("ran here", "imported")
        assert bool(one["estimates"]) == has_numbers, one["row"]
        assert has_numbers or one["remark"] in page, "a row without numbers says why"
    assert [row.name for row in ROWS] == list(
        dict.fromkeys(one["row"] for one in found["rows"] if one["group"] != "others")
    )
    assert set(found["published_by_others"]) == {row.name for row in ROWS if row.published}
    return found


def rows_of(found: Any, name: str) -> list[Any]:
    return [one for one in found["rows"] if one["row"] == name]


def state_of(found: Any, name: str) -> tuple[str, str]:
    (row,) = rows_of(found, name)
    return row["state"], row["remark"]


# --- what is here --------------------------------------------------------------------------------


def test_every_row_is_there_with_its_numbers_or_how_to_get_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts()
    metrics = json.loads(METRICS.read_text("utf-8"))["pose"]["test"]
    for name, run in OWN.items():
        (row,) = rows_of(found, name)
        assert (row["state"], row["images"]) == ("ran here", 48)
        assert row["estimates"] == metrics[run]
    others = [one for one in found["rows"] if one["row"] not in OWN]
    assert {one["state"] for one in others} == {"missing"}
    assert len(others) == len(ROWS) - len(OWN)
    for name, words in (
        ("HaMeR", "hamer.ckpt from its authors (geopavlakos/hamer) and your own MANO"),
        ("WiLoR", "wilor_final.ckpt"),
        ("AnyHand, HaMeR's network", "anyhand_hamer.ckpt"),
        ("AnyHand, WiLoR's network", "anyhand_wilor.ckpt"),
        ("SAM 3D Body", "`joint_order` interhand"),
        ("EANet", "handpose configure --profile eanet"),
    ):
        assert words in state_of(found, name)[1]
    page = FIELD_PAGE.read_text("utf-8")
    assert "CC BY-NC-ND 4.0" in page and "48 images; [low, high]" in page
    assert "interval over 4 people" in page
    table = page.partition("## Figures that others published")[0]
    for one in PAPER:  # published figures stand in a table of their own
        assert all(published.value not in table for published in one.published)
    assert "16.11 / 15.37" in page and "InterHand2.6M, single hands" in page
    out = capsys.readouterr().out
    assert "HaMeR: missing" in out and re.search(r"full model: ran here, \d+\.\d\d \[", out)


def test_latency_is_measured_of_models_that_are_here_and_says_what_it_is(folder: Path) -> None:
    """Docs: handpose field"""
    assert main(["field", "--rounds", "1"]) == 0
    found = json.loads(FIELD_FACTS.read_text("utf-8"))["latency"]
    assert found["threads"] == torch.get_num_threads() == 1 and "torch" in found["device"]
    assert set(found["rows"]) == set(OWN)
    for times in found["rows"].values():
        settings = [(one["included"], one["batch"], one["rounds"]) for one in times]
        assert settings == [(what, b, 1) for what in (NETWORK, ESTIMATOR) for b in BATCHES]
        assert all(one["wall_ms_an_image"] > 0 and one["cpu_ms_an_image"] > 0 for one in times)
    assert ESTIMATOR in FIELD_PAGE.read_text("utf-8")


def test_a_median_leaves_out_the_first_call_and_is_of_one_image() -> None:
    """The process spins for known CPU times; the first call is by far the longest."""
    import time

    spins = iter([0.3, 0.02, 0.02, 0.04])
    calls = 0

    def once() -> None:
        nonlocal calls
        calls += 1
        end = time.process_time() + next(spins)
        while time.process_time() < end:
            pass

    found = median_seconds(once, 4, 3, torch.device("cpu"))
    assert calls == 4
    assert 0.02 / 4 <= found.cpu < 0.03 / 4 and found.wall >= 0.9 * found.cpu


def test_an_empty_clone_lists_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy("params.yaml", bare)
    monkeypatch.chdir(bare)
    found = facts()
    assert {one["state"] for one in found["rows"]} == {"missing"} and found["images"] == 0
    assert "No data are here" in FIELD_PAGE.read_text("utf-8")
    assert "dvc repro" in state_of(found, "the paper's full model")[1]


# --- imported ------------------------------------------------------------------------------------


def test_an_imported_file_is_the_row_that_its_name_says(made_up: MadeUp, folder: Path) -> None:
    file = made_up.states(model="HaMeR (anyhand_hamer.ckpt)").write(Path("a.parquet"))
    other = made_up.states(model="somebody's").rows(np.arange(20)).write(Path("b.parquet"))
    assert main(["evaluate", "file", str(file)]) == 0
    assert main(["evaluate", "file", str(other), "--partial"]) == 0
    found = facts()
    (row,) = rows_of(found, "AnyHand, HaMeR's network")
    scored = json.loads((IMPORTED / "a.parquet.json").read_text("utf-8"))
    assert row["state"] == "imported" and row["images"] == 48
    assert row["estimates"] == scored["estimates"]
    assert state_of(found, "HaMeR")[0] == "missing", "another model by the same network"
    (row,) = rows_of(found, "somebody's")
    assert (row["group"], row["state"], row["images"]) == ("others", "imported", 20)
    assert row["remark"].startswith("20 of 48 images alone, so no other row is comparable.")

    found = facts("--split", "official_val")
    state, remark = state_of(found, "AnyHand, HaMeR's network")
    assert state == "refused" and "`handpose field --split test` shows it" in remark


def test_what_was_scored_on_other_data_is_refused(made_up: MadeUp, folder: Path) -> None:
    file = made_up.states(model="WiLoR").write(Path("a.parquet"))
    assert main(["evaluate", "file", str(file)]) == 0
    path = IMPORTED / "a.parquet.json"
    content = json.loads(path.read_text("utf-8"))
    for change, words in (
        ({"data_sha256": "0" * 64}, "is of other photos or annotations than split test has now"),
        ({"schema": 1}, "has schema 1, expected 2; score its file again"),
    ):
        path.write_text(json.dumps(content | change))
        state, remark = state_of(facts(), "WiLoR")
        assert state == "refused" and words in remark and str(path) in remark


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}'])
def test_a_damaged_file_of_results_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    IMPORTED.mkdir()
    (IMPORTED / "a.json").write_text(text)
    assert main(["field", "--rounds", "0"]) == 2
    assert "a.json" in capsys.readouterr().err


def test_a_digest_of_data_is_of_what_is_scored_and_not_of_its_order(clone: Path) -> None:
    data = EvaluationData.open(image_px=64, canonical=False, batch=8)
    held_out = HeldOut.open(data, "test")
    assert held_out.sha256 == HeldOut.open(data, "test").sha256
    turned = np.arange(len(held_out))[::-1]
    same = dataclasses.replace(
        held_out,
        keys=[held_out.keys[k] for k in turned],
        fields={name: values[turned] for name, values in held_out.fields.items()},
    )
    assert same.sha256 == held_out.sha256
    joints = held_out.fields["joints_cam"].copy()
    joints[7, 3, 1] += 1e-4
    valid = held_out.fields["joint_valid"].copy()
    valid[7, 3] ^= True
    keys = [("other.jpg", held_out.keys[0][1]), *held_out.keys[1:]]
    others = [
        dataclasses.replace(held_out, fields={**held_out.fields, "joints_cam": joints}),
        dataclasses.replace(held_out, fields={**held_out.fields, "joint_valid": valid}),
        dataclasses.replace(held_out, keys=keys),
    ]
    assert len({held_out.sha256, *(one.sha256 for one in others)}) == 4


# --- this clone's --------------------------------------------------------------------------------


def spoil(**columns: Any) -> None:
    table = pq.read_table(PREDICTIONS)
    for name, change in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, change(table[name].combine_chunks()))
    pq.write_table(table, PREDICTIONS)


def farther(joints: pa.FixedSizeListArray) -> pa.FixedSizeListArray:
    """All joints but the wrist 1 mm further right."""
    values = joints.flatten().to_numpy().reshape(-1, 21, 3).copy()
    values[:, 1:, 0] += 0.001
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 63)


def test_results_of_other_images_or_annotations_are_not_shown_as_this_clones(folder: Path) -> None:
    spoil(pretrained_joints=farther)
    found = facts()
    state, remark = state_of(found, "the paper's full model")
    assert state == "refused" and "of other annotations: errors computed again differ by" in remark
    assert state_of(found, "the paper's without pretraining")[0] == "ran here"
    spoil(frame=lambda frames: pa.array(frames.to_numpy() + 1000))
    for name in OWN:
        state, remark = state_of(facts(), name)
        assert state == "refused" and "is of other images: 96 are not on both sides" in remark


def test_results_of_other_weights_are_not_shown(folder: Path) -> None:
    weights = {run: path / "model.safetensors" for run, path in STAGE_2_MODELS.items()}
    md5 = {
        run: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for run, path in weights.items()
    }
    deps = [{"path": str(weights[run]), "md5": md5[run]} for run in weights]
    lock = Path("dvc.lock")
    lock.write_text(yaml.safe_dump({"stages": {"evaluate": {"deps": deps}}}))
    assert {state_of(facts(), name)[0] for name in OWN} == {"ran here"}
    deps[0]["md5"] = "0" * 32
    lock.write_text(yaml.safe_dump({"stages": {"evaluate": {"deps": deps}}}))
    state, remark = state_of(facts(), "the paper's full model")
    assert state == "refused" and "is not the file that was evaluated (dvc.lock)" in remark


def test_models_that_are_not_evaluated_are_missing(folder: Path) -> None:
    METRICS.unlink()
    assert "not evaluated: `dvc repro`" in state_of(facts(), "the paper's full model")[1]


# --- benchmarks ----------------------------------------------------------------------------------


ESTIMATE = {"value": 9.5, "low": None, "high": 10.0, "samples": 20, "subjects": 3}


def write_benchmark(**changes: Any) -> Path:
    path = IMPORTED / "ho3d_v3" / "pred.json.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "benchmark": "ho3d_v3",
        "predictions": {"name": "pred.json", "sha256": "a"},
        "data_sha256": "b",
        "hands": 20,
        "intervals_over": {"what": "recordings", "count": 3, "why": "nobody is named"},
        "estimates": {"xyz_pa_mm": ESTIMATE},
        "remarks": ["20 of the official 20,137 hands."],
    }
    path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))
    return path


def test_a_benchmarks_numbers_are_shown_if_they_are_of_its_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert benchmark_results("ho3d_v3", "b") is None

    def result(sha256: str | None = "b") -> FieldResult:
        found = benchmark_results("ho3d_v3", sha256)
        assert found is not None
        (one,) = found.results
        assert (found.over != "") == bool(one.estimates)
        return one

    write_benchmark()
    one = result()
    assert (one.state, one.images, one.remark) == (
        "imported",
        20,
        "20 of the official 20,137 hands.",
    )
    assert to_json(one.estimates)["xyz_pa_mm"]["low"] is None
    found = benchmark_results("ho3d_v3", "b")
    assert found is not None and found.over == "recordings (nobody is named)"
    for sha256, words in (
        ("c", "is of other hands than ho3d_v3 has now"),
        (None, "not name ho3d_v3"),
    ):
        one = result(sha256)
        assert one.state == "refused" and words in one.remark and not one.estimates
    write_benchmark(
        subsets={
            name: {
                "hands": hands,
                "intervals_over": {"what": "videos", "count": 2},
                "pck": {"all joints": {"pck_0.05": {**ESTIMATE, "value": hands / 10}}},
            }
            for name, hands in (("newdays", 5), ("epick", 7))
        }
    )
    found = benchmark_results("ho3d_v3", "b")
    assert found is not None and found.over == "videos"
    listed = [(one.model, one.images, one.estimates["pck_0.05"].value) for one in found.results]
    assert listed == [("pred.json, newdays", 5, 0.5), ("pred.json, epick", 7, 0.7)]
    write_benchmark(data_sha256=None)
    assert "an older version wrote it" in result().remark
    write_benchmark(estimates=None)
    with pytest.raises(FieldError, match="is no result of"):
        result()


# --- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("HaMeR (hamer.ckpt)", "HaMeR"),
        ("HaMeR (anyhand_hamer.ckpt)", "AnyHand, HaMeR's network"),
        ("WiLoR (wilor_final.ckpt)", "WiLoR"),
        ("WiLoR (anyhand_wilor.ckpt)", "AnyHand, WiLoR's network"),
        ("sam-3d-body", "SAM 3D Body"),
        ("Fast-HaMeR", "Fast-HaMeR"),
        ("EANet", "EANet"),
        ("eanet_with_gesture_pretraining", "EANet with gesture pretraining"),
        ("EANet pretrained", None),
        ("eanet_pretrained", None),
        ("HaMeR fine-tuned on HInt", None),
        ("HaMeR (hamer_fine_tuned.ckpt)", None),
        ("HaMeR+", None),
        ("WiLoR-mini", None),
        ("models/pose/pretrained", None),
        ("hamerkop", None),
        ("WiLoR and HaMeR", None),
    ],
)
def test_a_name_is_of_one_row_or_of_none(model: str, name: str | None) -> None:
    row = row_of(model)
    assert (row.name if row else None) == name


def test_rows_can_be_told_apart_and_say_how_to_get_them() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == len(PAPER) + len(FIELD)
    for row in ROWS:
        for name in (row.name, *row.also):
            assert row_of(name) is row_of(name.upper().replace(" ", "-")) is row, name
    assert all(row.how for row in ROWS)
    quoted = [one for row in ROWS for one in re.findall("`([^`]+)`", row.how)]
    assert not [one for one in quoted if one.startswith("-")], "options without their command"
    assert "handpose evaluate file work/hamer.parquet" in quoted
    assert all(all(one) for row in ROWS for one in row.published), "a figure without a source"


def test_the_page_lists_the_names_of_the_rows() -> None:
    page = (ROOT / "docs/imported.md").read_text("utf-8")
    table = page[page.index("| row of") :].partition("\n\n")[0]
    listed = [re.findall("`([^`]+)`", line) for line in table.splitlines()[2:]]
    assert [names for names in listed if names] == [[row.name, *row.also] for row in ROWS]
