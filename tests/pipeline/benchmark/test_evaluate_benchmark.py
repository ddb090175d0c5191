"""Benchmarks beside a data set with gestures, from their files to their official scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import FILE, Mano
from handpose.hand.placement import wrist_by_pixels
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, TIPS, inverse
from pipeline.__main__ import main
from pipeline.data.verify import check
from pipeline.licence_guard import is_stand_in
from stages import evaluate, ingest, inputs, label, pose, pretrain, shard
from stages.code_digest import ROOT
from stages.params import load_params
from tests.freihand.made_up_freihand import write_freihand
from tests.ho3d.made_up_ho3d import OPENGL, write_ho3d
from tests.stages.small_dataset import Dataset

HANDS = 24
TRAINED = 3

CHANGES: dict[str, dict[str, Any]] = {
    "data": {
        "root": "dataset",
        "benchmarks": {"freihand": "FreiHAND", "ho3d_v3": "HO3D_v3"},
        "trained_benchmarks": ["freihand"],
    },
    "hand": {"mano": "mano"},
    "ingest": {
        "validation_subjects": [4],
        "test_subjects": [7],
        "exclusions": str(ROOT / "labels" / "exclusions.csv"),
    },
    "label": {"map": str(ROOT / "labels" / "gesture_map.csv")},
    "pose_scratch": {"epochs": 1},
}


def write_params(**more: dict[str, Any]) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    tiny = yaml.safe_load((ROOT / "pipeline" / "profiles" / "tiny.yaml").read_text("utf-8"))
    for changes in (tiny, CHANGES, more):
        for section, values in changes.items():
            raw[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, stand_in: Path, mano: Mano) -> Path:
    """READ-ONLY: a clone after every stage; its hand is the stand-in without its name."""
    folder = tmp_path_factory.mktemp("benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("mano").mkdir()
        with np.load(stand_in / FILE) as arrays:
            np.savez(Path("mano") / FILE, **{k: arrays[k] for k in arrays if k != "model_name"})
        Dataset().write()
        write_freihand(Path("FreiHAND"), mano, evaluation=HANDS, training=TRAINED)
        write_ho3d(Path("HO3D_v3"), mano, "v3", evaluation=HANDS)
        write_params()
        for stage in (inputs, ingest, label, shard, pretrain):
            stage.main()
        for name in ("pretrained", "scratch"):
            pose.main([name])
        evaluate.main()
    return folder


@pytest.fixture
def clone(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


def call(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


def rows(split: str) -> list[dict[str, Any]]:
    found = pq.read_table("data/ingest/samples.parquet", filters=[("split", "=", split)])
    return list(found.to_pylist())


def estimates(path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return {key: one["value"] for key, one in content["estimates"].items()}


def test_evaluation_sets_are_whole_splits_and_no_one_of_theirs_is_in_another(clone: Path) -> None:
    for name in ("freihand", "ho3d_v3"):
        assert len(rows(name)) == HANDS
    people = {row["subject"] for row in rows("train")}
    assert people & {3, 4, 7} == {3} and max(people) > 1_000_000
    assert not people & {row["subject"] for row in rows("ho3d_v3")}


def test_what_is_trained_on_has_the_joints_of_the_main_data_set(clone: Path) -> None:
    own = [row for row in rows("train") if row["source_split"] == "freihand_training"]
    assert len(own) == 4 * TRAINED
    truth = np.array(json.loads(Path("FreiHAND/training_verts.json").read_text()))
    ours = Mano.load("mano", JointDefinition("interhand"))
    joints = ours.joints_from(torch.from_numpy(truth)).numpy()
    theirs = np.array(json.loads(Path("FreiHAND/training_xyz.json").read_text()))
    for row in own:
        hand = int(Path(row["image"]).stem) % TRAINED
        found = np.reshape(row["joints_cam"], (21, 3))
        np.testing.assert_allclose(found, joints[hand], atol=5e-6)
        assert np.abs(found - theirs[hand]).max(1)[list(TIPS)].max() > 1e-3
        assert row["has_mano"] and all(row["joint_valid"])


def test_the_root_rotation_is_decided_and_recorded(clone: Path) -> None:
    counts = json.loads(Path("data/ingest/manifest.json").read_text())["counts"]
    decision = counts["root_of_freihand_evaluation"]
    assert decision["fits"] == HANDS and not decision["is_turned"]
    assert decision["as_given"][0] < 0.1


def test_inputs_record_every_file_by_a_name_of_its_own(clone: Path) -> None:
    names = json.loads(Path("data/inputs/annotations.json").read_text())
    frames = [name for name in names if name.startswith("../HO3D_v3/") or name.endswith(".pkl")]
    assert len(frames) >= HANDS and "freihand" not in names
    assert any(name.endswith("evaluation_xyz.json") for name in names)


def test_verify_reads_benchmarks_as_ingest_does(clone: Path) -> None:
    lines: list[str] = []
    check(load_params(), each=1, write_line=lines.append)
    own = [line for line in lines if "freihand" in line or "ho3d" in line]
    for name in ("freihand_evaluation", "ho3d_v3_evaluation"):
        assert any(name in line and f"{HANDS} hands" in line for line in own), lines
    assert any("root rotations of 24 fits are taken as they are" in line for line in own)
    assert not any(line.startswith("FAIL") for line in own)


def test_the_report_has_zero_shot_rows_with_intervals(clone: Path) -> None:
    pose_rows = json.loads(Path("results/metrics.json").read_text())["pose"]
    assert {"freihand", "ho3d_v3"} <= set(pose_rows)
    for name in ("freihand", "ho3d_v3"):
        found = pose_rows[name]["pretrained"]["wrist_mpjpe_mm"]
        assert found["samples"] == HANDS and found["low"] < found["value"] < found["high"]


BLOCKS = "blocks of consecutive photos"
WHY = {"freihand": "FreiHAND names no people", "ho3d_v3": "HO-3D does not say who is seen"}


def test_results_say_what_stands_for_people_and_why(clone: Path) -> None:
    """In the report, in metrics.json, in its table, and in who trained."""
    metrics = json.loads(Path("results/metrics.json").read_text())
    over = metrics["intervals_over"]
    assert set(over) == set(WHY) and "test" not in over
    for name, why in WHY.items():
        count = metrics["pose"][name]["pretrained"]["wrist_mpjpe_mm"]["subjects"]
        assert (over[name]["why"], over[name]["count"]) == (why, count)
        header = Path(f"results/tables/pose_{name}.csv").read_text().splitlines()[0].split(",")
        assert over[name]["what"] in header and "subjects" not in header
    assert over["freihand"]["what"] == BLOCKS and over["ho3d_v3"]["what"] == "recordings"
    assert "subjects" in Path("results/tables/pose_test.csv").read_text().splitlines()[0]
    page = " ".join(Path("results/report.html").read_text().split())
    count = over["freihand"]["count"]
    assert f"Those of freihand are over {count} {BLOCKS}, not people: {WHY['freihand']}." in page
    assert f"({count} {BLOCKS}; " in page and "subjects 1000" not in page

    lists = json.loads(Path("data/ingest/split.json").read_text())
    blocks = lists["train"]["subjects_not_people"][BLOCKS]
    assert set(lists["train"]["subjects"]) - set(blocks) == {3} and len(blocks) == TRAINED
    assert "subjects_not_people" not in lists["test"]


def test_predictions_say_what_stands_for_people_and_why(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ours.parquet"
    assert call("export", file, "--split", "freihand") == 0
    assert call("file", file, "--split", "freihand", "--out", tmp_path) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"interval over {BLOCKS} ({WHY['freihand']})." in out
    assert "difference by block of consecutive photos" in out
    assert "each block of consecutive photos once" in out
    assert "person" not in out and "people." not in out
    found = json.loads(Path(f"{file}.json").read_text())["intervals_over"]
    assert (found["what"], found["why"]) == (BLOCKS, WHY["freihand"])
    assert call("benchmark", "freihand", "--out", tmp_path) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"interval over {found['count']} {BLOCKS} ({WHY['freihand']})." in out


@pytest.mark.parametrize("name", ["freihand", "ho3d_v3"])
def test_a_submission_scores_as_the_model_that_wrote_it(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pred = tmp_path / "pred.json"
    assert call("benchmark", name, "--submission", pred, "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert (
        "Student's 95 % interval over" in " ".join(out.split()) and "MPJPE, Procrustes, mm" in out
    )
    assert f"of the official {3_960 if name == 'freihand' else 20_137:,} hands" in out
    trained = "Trained on its training set" if name == "freihand" else "Zero-shot"
    assert trained in " ".join(out.split())
    joints, meshes = (np.array(one) for one in json.loads(pred.read_text()))
    assert joints.shape == (HANDS, 21, 3) and meshes.shape == (HANDS, 778, 3)
    assert (joints[..., 2].max() < 0) == (name == "ho3d_v3")
    own = estimates(f"{tmp_path}/{name}/pretrained.json")
    assert call("benchmark", name, "--predictions", pred, "--out", tmp_path) == 0
    again = estimates(f"{tmp_path}/{name}/pred.json.json")
    assert set(own) == set(again) and len(own) == 16
    for key, value in own.items():
        assert again[key] == pytest.approx(value, abs=2e-3), key


def test_wrists_are_put_where_ho3d_says_and_joints_are_of_the_mesh(
    clone: Path, tmp_path: Path
) -> None:
    pred = tmp_path / "pred.json"
    call("benchmark", "ho3d_v3", "--submission", pred, "--out", tmp_path)
    joints, meshes = (np.array(one) for one in json.loads(pred.read_text()))
    truth = np.array(json.loads(Path("HO3D_v3/evaluation_xyz.json").read_text()))
    np.testing.assert_allclose(joints[:, 0], truth[:, 0], atol=1e-6)
    hand = Mano.load("mano", JointDefinition("ho3d"))
    ours = hand.joints_from(torch.from_numpy(meshes * OPENGL)).numpy()
    np.testing.assert_allclose(joints, ours[:, inverse(FROM_MANO_AND_TIPS)] * OPENGL, atol=1e-5)


@pytest.mark.parametrize(("name", "folder"), [("freihand", "FreiHAND"), ("ho3d_v3", "HO3D_v3")])
def test_the_truth_itself_has_no_error(clone: Path, tmp_path: Path, name: str, folder: str) -> None:
    xyz, verts = (Path(folder, f"evaluation_{part}.json").read_text() for part in ("xyz", "verts"))
    (tmp_path / "pred.json").write_text(f"[{xyz}, {verts}]")
    args = ("benchmark", name, "--predictions", tmp_path / "pred.json", "--out", tmp_path)
    assert call(*args) == 0
    for key, value in estimates(f"{tmp_path}/{name}/pred.json.json").items():
        # an area is 1 for an error of 0 alone, and half a step less for any rounding of it
        tolerance = 0.5 / 99 + 1e-6 if key.endswith("_auc") else 1e-4
        assert value == pytest.approx(0 if key.endswith("_mm") else 1, abs=tolerance), key


def test_a_stand_ins_meshes_are_not_scored(
    clone: Path,
    tmp_path: Path,
    stand_in: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(clone, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    shutil.copy(stand_in / FILE, "mano")
    assert is_stand_in(Path("mano") / FILE)
    assert call("benchmark", "freihand", "--out", tmp_path) == 0
    assert "meshes are not scored" in " ".join(capsys.readouterr().out.split())
    assert {k.partition("_")[0] for k in estimates(f"{tmp_path}/freihand/pretrained.json")} == {
        "xyz"
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("benchmark", "rhd"), "there is no benchmark 'rhd'; there are freihand, ho3d_v2"),
        (
            ("benchmark", "ho3d_v2"),
            r"data.benchmarks in params.yaml does not name ho3d_v2; add its folder: benchmarks: "
            "{ho3d_v2: FOLDER}",
        ),
    ],
)
def test_what_cannot_be_scored_is_reported(
    clone: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert call(*words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_hand_that_was_rejected_is_named_with_its_reason(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(clone, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    Path("FreiHAND/evaluation/rgb/00000005.jpg").unlink()
    ingest.main()
    shard.main()
    assert call("benchmark", "freihand") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "1 hand of the 24 of freihand are not in the shards" in err and "1 image_missing" in err


def test_a_hand_is_placed_where_its_joints_are_seen(mano: Mano) -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.05, (5, 21, 3))
    there = rng.normal([0.05, -0.02, 0.7], 0.05, (5, 3))
    K = np.tile([[500.0, 0, 111.5], [0, 480, 112.5], [0, 0, 1]], (5, 1, 1))
    uvw = (joints + there[:, None]) @ K.swapaxes(1, 2)
    found = wrist_by_pixels(joints, uvw[..., :2] / uvw[..., 2:], K)
    np.testing.assert_allclose(found, there, atol=1e-9)


def test_no_joint_is_placed_behind_the_camera_whatever_the_pixels_are() -> None:
    rng = np.random.default_rng(1)
    joints, uv = rng.normal(0, 0.05, (50, 21, 3)), rng.normal(112, 30, (50, 21, 2))
    K = np.tile([[500.0, 0, 111.5], [0, 480, 112.5], [0, 0, 1]], (50, 1, 1))
    placed = joints + wrist_by_pixels(joints, uv, K)[:, None]
    assert placed[..., 2].min() > 0
    seen = (placed[..., :2].mean(1) / placed[..., 2].mean(1)[:, None]) * [500, 480] + [111.5, 112.5]
    assert np.abs(seen - uv.mean(1)).max() < 60
