"""HaGRID beside a data set with poses: Stage 1 learns from its hands, nothing else sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from handpose.data import tar
from handpose.data.labels import Labels
from handpose.data.merged.merged_reader import PEOPLE_FROM as PEOPLE_BESIDE
from handpose.data.shards import Shards
from handpose.data.splits import GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION, TRAIN
from handpose.sample import UNLABELLED
from stages import evaluate, ingest, inputs, label, pose, pretrain, shard
from stages.code_digest import ROOT
from stages.evaluation.data import EvaluationData
from stages.ingestion.formats import BENCHMARKS
from stages.running.command import run_stage
from stages.sharding.gesture_photos import PEOPLE_FROM
from stages.training.training_share import choose
from tests.hagrid.made_up_hagrid import write_hagrid
from tests.stages.small_dataset import Dataset

GESTURES = {"palm": False, "stop_inverted": True, "two_up": False}
PHOTOS = 4


def write_params(**more: dict[str, Any]) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    tiny = yaml.safe_load((ROOT / "pipeline" / "profiles" / "tiny.yaml").read_text("utf-8"))
    labels = {key: str(ROOT / "labels" / f"{name}.csv") for key, name in (
        ("map", "gesture_map"), ("hagrid_map", "hagrid_map"))}  # fmt: skip
    people: dict[str, Any] = {
        "validation_subjects": [4],
        "test_subjects": [7],
        "max_fit_error_mm": 0,
    }
    people["exclusions"] = str(ROOT / "labels" / "exclusions.csv")
    for changes in (
        tiny,
        {"data": {"root": "dataset"}, "label": labels, "ingest": people},
        {"pretrain": {"batch": 8}, "pose": {"batch": 4}},
        more,
    ):
        for section, values in changes.items():
            raw[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> Path:
    """READ-ONLY: a clone after Stage 1, with HaGRID."""
    folder = tmp_path_factory.mktemp("hagrid")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Dataset().write()
        write_hagrid(Path("HaGRID"), GESTURES, PHOTOS)
        broken = Path("HaGRID/hagrid_dataset/palm/train-palm-0000.jpg")
        broken.write_bytes(broken.read_bytes()[:200])
        write_params(hand={"mano": str(stand_in)}, data={"root": "dataset", "hagrid": "HaGRID"})
        for stage in (inputs, ingest, label, shard, pretrain):
            stage.main()
    return folder


@pytest.fixture
def clone(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


def test_hands_are_splits_of_their_own_with_a_gesture_and_no_pose(clone: Path) -> None:
    shards = Shards.open("data/shard")
    train = len(GESTURES) * PHOTOS - 1  # one photo is broken
    assert shards.index.count(GESTURE_PHOTOS) == train
    assert shards.index.count(GESTURE_PHOTOS_VALIDATION) == len(GESTURES) * PHOTOS
    samples = pq.read_table("data/ingest/samples.parquet", columns=["sample_id"])
    ids = samples["sample_id"].to_pylist()
    for split in (GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION):
        for one in shards.labels(split, 100):
            assert not any(one["joint_valid"]) and not one["has_mano"]
            assert one["sequence"].startswith(f"hagrid_{'left' if one['is_left'] else 'right'}_")
            ids.append(one["sample_id"])
    assert len(set(ids)) == len(ids)
    rejects = Path("data/shard/rejects.csv").read_text()
    assert "train-palm-0000.jpg,image_truncated" in rejects
    counts = json.loads(Path("data/shard/manifest.json").read_text())["counts"]
    assert counts["unused"][GESTURE_PHOTOS]["no_file_of_fist"] == 1


def test_a_crop_shows_the_hand_as_large_as_any_other(clone: Path) -> None:
    shards = Shards.open("data/shard")
    crop, view = shards.index.crop_px, shards.index.view_px
    (path,) = Path("data/shard/tars").glob(f"{GESTURE_PHOTOS}-*.tar")
    for sample in tar.read(path):
        image = cv2.imdecode(np.frombuffer(sample.jpg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None and image.shape == (crop, crop)
        rows, columns = np.nonzero(image > 150)
        longest = max(np.ptp(rows), np.ptp(columns))
        assert longest == pytest.approx(view / 1.4, abs=8), "the box of joints fills the view"
        assert (rows.min() + rows.max()) / 2 == pytest.approx((crop - 1) / 2, abs=4)


def test_their_classes_join_those_of_the_map(clone: Path) -> None:
    labels = Labels.read(Path("data/labels/labels.parquet"))
    names = labels.names()
    assert names["hagrid_right_palm"] == ("open_hand", "open_hand_straight")
    palm, back = labels.ids["hagrid_right_palm"], labels.ids["hagrid_right_stop_inverted"]
    assert palm == back, "one class, seen from two sides"
    new = labels.ids["hagrid_left_two_up"]
    assert names["hagrid_left_two_up"] == ("two_together", "two_together")
    assert (new.twin_coarse, new.twin_fine) == labels.ids["hagrid_right_two_up"][:2]
    assert labels.hands[new.coarse] == "left" and new.coarse >= 54 and new.fine >= 70
    counts = json.loads(Path("data/labels/manifest.json").read_text())["counts"]
    assert "two_together" in counts["classes_of_hagrid_alone"]


def test_stage_1_trains_on_them_and_is_measured_on_people_it_has_not_seen(clone: Path) -> None:
    shards = Shards.open("data/shard")
    both = shards.index.count("train") + shards.index.count(GESTURE_PHOTOS)
    manifest = json.loads(Path("models/pretrain/manifest.json").read_text())
    assert manifest["counts"]["steps"] == both // 8
    metrics = json.loads(Path("models/pretrain/metrics.json").read_text())
    assert set(metrics[GESTURE_PHOTOS_VALIDATION]) == set(metrics["validation"])
    labels = Labels.read(Path("data/labels/labels.parquet"))
    joined = shards.joined("train", GESTURE_PHOTOS)
    seen: dict[str, int] = {}
    for batch in joined.batches(
        "train", batch=1, image_px=64, labels=labels.of_images, seed=0, epoch=0
    ):
        seen[f"{int(batch.sample_id[0])}"] = int(batch.coarse[0])
        assert batch.joints_cam.isfinite().all() and batch.K.isfinite().all()
    assert len(seen) == both
    photos = {f"{one['sample_id']}" for one in shards.labels(GESTURE_PHOTOS, 100)}
    assert photos <= set(seen) and all(seen[key] != UNLABELLED for key in photos)


def test_their_people_are_nobody_of_another_data_set(clone: Path) -> None:
    """A log line and metrics.json count the people whose labels a share of them takes."""
    shards, labels = Shards.open("data/shard"), Labels.read(Path("data/labels/labels.parquet"))
    people = [
        {one["subject"] for one in shards.labels(split, 1000)}
        for split in (TRAIN, GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION)
    ]
    assert len(set.union(*people)) == sum(map(len, people)), "no number is of two people"
    assert [len(own) for own in people[1:]] == [PHOTOS, PHOTOS]
    most_beside = PEOPLE_BESIDE * (len(BENCHMARKS) + 1)
    assert all(most_beside <= first <= min(own) for first, own in zip(
        PEOPLE_FROM.values(), people[1:], strict=True))  # fmt: skip

    joined = shards.joined(TRAIN, GESTURE_PHOTOS)
    every = joined.labels(TRAIN, joined.index.count(TRAIN))
    part = choose(every, labels.of_images, 1.0, 0)
    gesturing = {one["subject"] for one in shards.labels(TRAIN, 1000) if one["kind"] == "gesture"}
    assert part.counts()["people"] == len(gesturing) + PHOTOS


def test_stage_2_and_evaluation_see_none_of_them(clone: Path) -> None:
    data = EvaluationData.open(image_px=64, canonical=False, batch=4)
    assert not {GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION} & set(data.splits)
    pose.main(["pretrained"])
    pose.main(["scratch"])
    steps = json.loads(Path("models/pose/pretrained/manifest.json").read_text())["counts"]["steps"]
    assert steps == Shards.open("data/shard").index.count("train") // 4
    evaluate.main()
    rows = pq.read_table("results/predictions.parquet", columns=["split"])["split"].to_pylist()
    assert set(rows) == {"test", "official_val", "official_test"}


def test_people_in_both_splits_and_other_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/ingest", "data/labels"):
        shutil.copytree(run / name, tmp_path / name)
    shutil.copy(run / "params.yaml", tmp_path)
    assert run_stage(shard.main, "shard") == 2
    assert "expected HaGRIDv2's unpacked folders" in capsys.readouterr().err
    write_hagrid(tmp_path / "HaGRID", {"palm": False}, splits=("train", "val"))
    path = tmp_path / "HaGRID" / "hagrid_annotations" / "val" / "palm.json"
    path.write_text(path.read_text().replace("val-user-1", "train-user-1"))
    assert run_stage(shard.main, "shard") == 2
    assert "1 person is in both train and val" in capsys.readouterr().err
