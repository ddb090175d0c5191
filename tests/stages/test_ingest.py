"""The ingest stage: every annotation is a sample or a reject, splits by subject, plain errors."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from handpose.files import digest, digest_of
from stages import ingest
from stages.ingestion import chunks
from stages.running.command import run_stage
from tests.stages.small_dataset import (
    HEIGHT,
    WIDTH,
    Dataset,
    set_params,
)

NAMES = ("samples.parquet", "rejects.parquet", "folders.csv", "split.json")


def samples() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(ingest.OUT / "samples.parquet").to_pylist()
    return rows


def rejects() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(ingest.OUT / "rejects.parquet").to_pylist()
    return rows


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    assert run_stage(ingest.main, "ingest") == 2
    return capsys.readouterr().err


def test_every_annotation_is_a_sample_or_a_reject(dataset: Dataset) -> None:
    ingest.main()
    listed = Counter((row["source_split"], row["annotation_id"]) for row in samples() + rejects())
    hands = {split: files["data"]["annotations"] for split, files in dataset.splits.items()}
    assert listed == Counter((split, hand["id"]) for split in hands for hand in hands[split])
    assert {row["reason"] for row in rejects()} == {"two_hands"}
    assert {row["hand"] for row in rejects()} == {"interacting"}
    counts = json.loads((ingest.OUT / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["samples"] == {
        "train": 12, "validation": 12, "test": 12, "official_val": 4, "official_test": 4,
    }  # fmt: skip
    assert counts["rejected"] == {"two_hands": 12}


def test_splits_go_by_subject_and_official_val_and_test_stay_whole(dataset: Dataset) -> None:
    ingest.main()
    found = {(row["source_split"], row["subject"], row["split"]) for row in samples()}
    assert found == {
        ("train", 3, "train"),
        ("train", 4, "validation"),
        ("train", 7, "test"),
        ("val", 3, "official_val"),  # though this subject is trained on: it is what it is
        ("test", 8, "official_test"),
    }
    kinds = {row["split"]: set[str]() for row in samples()}
    for row in samples():
        kinds[row["split"]].add(row["kind"])
    assert kinds["train"] == {"gesture", "rom"}
    assert kinds["official_test"] == {"rom"}


def test_samples_are_numbered_in_a_fixed_order(dataset: Dataset) -> None:
    ingest.main()
    rows = samples()
    assert [row["sample_id"] for row in rows] == list(range(len(rows)))
    keys = ("session", "sequence", "frame", "camera")
    order = [
        (("train", "val", "test").index(row["source_split"]), *(row[key] for key in keys))
        for row in rows
    ]
    assert order == sorted(order)


def test_the_order_of_annotations_changes_nothing_but_the_digest(dataset: Dataset) -> None:
    ingest.main()
    before = samples()
    for files in dataset.splits.values():
        files["data"]["annotations"].reverse()
        files["data"]["images"].reverse()
    dataset.write()
    ingest.main()
    assert samples() == before


def test_the_same_data_give_the_same_bytes(dataset: Dataset) -> None:
    found = []
    for _ in range(2):
        ingest.main()
        found.append([digest(ingest.OUT / name) for name in NAMES])
    assert found[0] == found[1]


def test_any_change_of_the_annotations_changes_the_samples(dataset: Dataset) -> None:
    """So that `shard` runs again, whatever part of a label it is; other files change nothing."""
    ingest.main()
    before = digest(ingest.OUT / "samples.parquet")
    Path("dataset/annotations/subject.txt").write_text("no reader reads this\n", encoding="utf-8")
    ingest.main()
    assert digest(ingest.OUT / "samples.parquet") == before
    file = Path("dataset/annotations/val/InterHand2.6M_val_camera.json")
    file.write_text(file.read_text("utf-8") + " ", encoding="utf-8")
    ingest.main()
    assert digest(ingest.OUT / "samples.parquet") != before
    source = pq.read_schema(ingest.OUT / "samples.parquet").metadata[b"source_digest"].decode()
    assert source == digest_of(Path("dataset/annotations").glob("*/*.json"))


def test_a_sample_holds_its_hand_in_its_camera(dataset: Dataset) -> None:
    ingest.main()
    row = samples()[0]
    world = np.array(dataset.train["joint_3d"]["0"]["5"]["world_coord"])
    wrist = world[20] / 1000 + [0, 0, 0.6]
    np.testing.assert_allclose(row["joints_cam"][:3], wrist, atol=1e-6)
    assert row["K"] == [250, 0, 50, 0, 250, 40, 0, 0, 1]
    assert row["joint_valid"] == [True] * 21
    assert (row["is_left"], row["has_mano"]) == (False, True)
    assert row["image"] == "images/train/Capture0/0003_fake_gun/cam400026/image0005.jpg"
    lengths = {"bbox": 4, "global_orient": 3, "hand_pose": 45, "betas": 10, "transl": 3}
    assert {name: len(row[name]) for name in lengths} == lengths


def test_split_json_lists_subjects_and_a_hash_of_the_photos(dataset: Dataset) -> None:
    ingest.main()
    lists = json.loads((ingest.OUT / "split.json").read_text("utf-8"))
    assert {split: entry["subjects"] for split, entry in lists.items()} == {
        "train": [3], "validation": [4], "test": [7], "official_val": [3], "official_test": [8],
    }  # fmt: skip
    lines = [f"{row['image']}\n" for row in samples() if row["split"] == "test"]
    assert lists["test"]["photos_sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (lists["test"]["samples"], lists["test"]["of_gesture_folders"]) == (12, 8)


def test_the_histogram_counts_every_annotation(dataset: Dataset) -> None:
    ingest.main()
    with (ingest.OUT / "folders.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {"folder": "0103_fake_gun", "kind": "gesture", "split": "test", "hand": "left",
            "samples": "4", "rejects": "0"} in rows  # fmt: skip
    assert {"folder": "0266_dh_pray", "kind": "two_hands", "split": "train",
            "hand": "interacting", "samples": "0", "rejects": "4"} in rows  # fmt: skip
    total = sum(int(row["samples"]) + int(row["rejects"]) for row in rows)
    assert total == len(samples()) + len(rejects())


def test_damaged_photos_are_rejected_with_their_reason(dataset: Dataset) -> None:
    dataset.photo(0).unlink()
    content = dataset.photo(1).read_bytes()
    dataset.photo(1).write_bytes(content[: len(content) // 2])
    cv2.imwrite(str(dataset.photo(2)), np.zeros((HEIGHT, WIDTH), np.uint8))
    cv2.imwrite(str(dataset.photo(3)), np.full((WIDTH, HEIGHT), 90, np.uint8))
    dataset.photo(4).write_bytes(b"")
    content = dataset.photo(5).read_bytes()
    dataset.photo(5).write_bytes(content[:-600] + bytes(500) + content[-100:])
    ingest.main()
    listed = {row["annotation_id"]: row for row in rejects() if row["reason"] != "two_hands"}
    assert {number: row["reason"] for number, row in listed.items()} == {
        0: "image_missing", 1: "image_truncated", 2: "image_black", 3: "image_size",
        4: "image_empty", 5: "image_damaged",
    }  # fmt: skip
    assert "is 80x100 px, its annotation says 100x80" in listed[3]["detail"]
    assert len(samples()) + len(rejects()) == 56


def test_a_capture_whose_photos_are_all_gone_is_all_rejects(dataset: Dataset) -> None:
    ingest.main()
    before = len(samples())
    images = dataset.train["data"]["images"]
    gone = [n for n, image in enumerate(images) if image["capture"] == 0]
    for number in gone:
        dataset.photo(number).unlink()
    with pytest.raises(ingest.IngestError, match="split train has no sample"):
        ingest.main()  # capture 0 is the only one that trains
    assert Counter(r["reason"] for r in rejects())["image_missing"] == len(gone) * 3 // 4 < before


def test_photos_may_go_unchecked(dataset: Dataset, stand_in: Path) -> None:
    dataset.photo(0).unlink()
    set_params(stand_in, check_images=False)
    ingest.main()
    assert {row["reason"] for row in rejects()} == {"two_hands"}


def test_faults_of_the_annotations_are_counted_one_by_one(dataset: Dataset) -> None:
    hands, images = dataset.train["data"]["annotations"], dataset.train["data"]["images"]
    hands[0]["image_id"] = 999
    hands[1]["hand_type_valid"] = 0
    hands[4]["joint_valid"] = [[1]] * 5 + [[0]] * 37  # of a left hand: none of it
    images[6]["camera"] = "400099"
    images[7]["frame_idx"] = 12345
    images[8]["height"] = None
    hands[9]["id"] = 5
    hands[10]["hand_type"] = "right"
    hands[10]["hand_type_valid"] = float("nan")
    dataset.train["joint_3d"]["1"]["5"]["world_coord"][3][1] = float("nan")
    dataset.train["MANO_NeuralAnnot"]["2"]["5"]["right"]["shape"][0] = float("nan")
    dataset.train["MANO_NeuralAnnot"]["2"]["12"] = None
    dataset.write()
    ingest.main()
    reasons = Counter(row["reason"] for row in rejects())
    assert reasons == {
        "two_hands": 12,
        "nan_in_joints": 2,
        "hand_type_not_valid": 2,
        "dangling_image_id": 1,
        "too_few_joints": 1,
        "no_camera": 1,
        "no_joint_3d": 1,
        "malformed": 1,
        "duplicate_annotation_id": 1,
    }
    assert len(samples()) + len(rejects()) == 56
    assert sum(not row["has_mano"] for row in samples()) == 4, "two are null, two hold a NaN"
    counts = json.loads((ingest.OUT / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["nan_in_mano"] == 2
    dangling = next(row for row in rejects() if row["reason"] == "dangling_image_id")
    assert dangling["session"] is None and dangling["image"] is None


# --- refusals ------------------------------------------------------------------------------------


def test_a_data_set_that_is_not_there_is_reported(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = yaml.safe_load(Path("params.yaml").read_text("utf-8"))
    raw["data"]["root"] = "nowhere"
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    message = refusal(capsys)
    assert message.startswith("ingest: not found: nowhere. data.root in params.yaml")
    assert "with data.root: data/synthetic `dvc repro` makes a synthetic one" in message


def test_held_out_subjects_must_exist_and_are_asked_for_before_photos_are_opened(
    dataset: Dataset,
    stand_in: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(chunks, "decide")
    set_params(stand_in, validation_subjects=[4, 8], test_subjects=[7, 9])
    assert refusal(capsys) == (
        "ingest: params.yaml: ingest.validation_subjects names [8] and ingest.test_subjects names "
        "[9], who are not in official train. Subjects there: [3, 4, 7]\n"
    )


@pytest.mark.parametrize(
    ("changes", "split"),
    [({"validation_subjects": []}, "validation"), ({"validation_subjects": [3, 4]}, "train")],
)
def test_every_part_of_train_needs_a_labelled_sample(
    dataset: Dataset,
    stand_in: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    split: str,
) -> None:
    set_params(stand_in, **changes)
    message = refusal(capsys)
    assert f"split {split} has no sample of a gesture folder" in message
    assert "ingest.test_subjects [7]" in message


def test_a_test_split_lost_to_damage_lists_its_rejects(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, image in enumerate(dataset.train["data"]["images"]):
        if image["subject"] == 7 and not image["seq_name"].startswith("ROM"):
            dataset.photo(number).unlink()
    message = refusal(capsys)
    assert "split test has no sample of a gesture folder" in message
    assert "8 image_missing" in message and "4 two_hands" in message


def test_train_without_any_fit_can_learn_gestures_and_has_a_warning_about_the_pose(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.train["MANO_NeuralAnnot"] = {}
    dataset.write()
    ingest.main()
    message = capsys.readouterr().out
    assert re.search(
        r"none of the \d+ samples of split train has a MANO fit: dataset/annot", message
    )
    assert "handpose data verify" in message
    assert "(stage pretrain) need no fit" in message


def test_no_sample_left_reports_why_and_keeps_the_list(
    dataset: Dataset, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for files in dataset.splits.values():
        for hand in files["data"]["annotations"]:
            hand["joint_valid"] = [[0]] * 42
    dataset.write()
    message = refusal(capsys)
    assert "no sample is left of 56 annotations" in message
    assert "44 too_few_joints" in message and "12 two_hands" in message
    assert len(rejects()) == 56
    assert not (ingest.OUT / "samples.parquet").exists()


def test_broken_json_is_reported_with_file_and_place(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("dataset/annotations/train/InterHand2.6M_train_camera.json")
    path.write_text(path.read_text("utf-8")[:-30], encoding="utf-8")
    assert f"{path}:1:" in refusal(capsys)


def test_a_missing_hand_model_is_reported(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(tmp_path / "no_mano")
    assert "MANO_RIGHT.npz: not found" in refusal(capsys)
