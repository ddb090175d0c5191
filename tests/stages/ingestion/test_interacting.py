"""Annotations of both hands: each a sample of its own, in a split of its own, or a reject."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handpose.data.photo import read_photo
from handpose.exclusions import COLUMNS
from stages import ingest
from stages.ingestion import chunks
from stages.label import read_counts
from stages.paths import REJECTS, SAMPLES
from tests.stages.ingestion.test_fit_distance import fitted
from tests.stages.small_dataset import CAMERAS, FRAMES, WIDTH, Dataset, set_params

PHOTOS = len(FRAMES) * len(CAMERAS)
"""Of a person with both hands."""
TEST_PERSON = 7
NEW = ["other_hand", "in_other_box"]


def run(stand_in: Path, interacting: str, **changes: Any) -> tuple[list[dict[str, Any]], Any]:
    """The samples, and the counts of the manifest."""
    set_params(stand_in, interacting=interacting, **changes)
    ingest.main()
    counts = json.loads((ingest.OUT / "manifest.json").read_text("utf-8"))["counts"]
    return pq.read_table(SAMPLES).to_pylist(), counts


def of_both(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == "interacting"]


def rejects() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(REJECTS).to_pylist()
    return rows


def annotation(dataset: Dataset, subject: int, number: int = 0) -> dict[str, Any]:
    """One of this person's annotations of both hands in train."""
    data = dataset.train["data"]
    images = {image["id"]: image for image in data["images"]}
    own = [
        hand
        for hand in data["annotations"]
        if hand["hand_type"] == "interacting" and images[hand["image_id"]]["subject"] == subject
    ]
    found: dict[str, Any] = own[number]
    return found


def test_by_default_there_is_nothing_of_it(dataset: Dataset, stand_in: Path) -> None:
    rows, counts = run(stand_in, "drop")
    assert not of_both(rows) and not set(NEW) & set(rows[0])
    assert not [name for name in (*counts, *counts["samples"]) if "interacting" in name]
    assert "annotations_of_both_hands" not in counts


def test_to_evaluate_them_changes_no_other_sample(dataset: Dataset, stand_in: Path) -> None:
    """Nor its number, which seeds its augmentation: those of the training data come first."""
    before, counts_before = run(stand_in, "drop")
    after, counts = run(stand_in, "evaluate")
    others = pa.Table.from_pylist([row for row in after if row["kind"] != "interacting"])
    own = pa.Table.from_pylist(before)
    assert others.drop_columns([*NEW, "sample_id"]).equals(own.drop_columns("sample_id"))
    trained = {
        name: [row["sample_id"] for row in rows if row["split"] in ("train", "validation", "test")]
        for name, rows in (("before", before), ("after", after))
    }
    assert trained["before"] == trained["after"]
    assert counts["annotations"] == counts_before["annotations"]
    assert not any(row["other_hand"] or any(row["in_other_box"]) for row in after
                   if row["kind"] != "interacting")  # fmt: skip


@pytest.mark.parametrize("interacting", ["evaluate", "train"])
def test_every_hand_of_every_annotation_is_counted(
    dataset: Dataset, stand_in: Path, interacting: str
) -> None:
    rows, counts = run(stand_in, interacting)
    hands = of_both(rows)
    keys = [(row["source_split"], row["annotation_id"], row["is_left"]) for row in rows]
    assert len(set(keys)) == len(keys)
    splits = Counter(row["split"] for row in hands)
    trained = {"train": 2 * PHOTOS} if interacting == "train" else {}
    assert splits == {"interacting": 2 * PHOTOS, **trained}, "validation people choose the epoch"
    assert {row["subject"] for row in hands if row["split"] == "interacting"} == {TEST_PERSON}
    assert Counter(row["is_left"] for row in hands)[True] == len(hands) / 2
    assert counts["interacting"] == 2 * PHOTOS * (3 - len(splits)), "left out, and reported"
    assert counts["annotations_of_both_hands"] == 3 * PHOTOS
    assert counts["annotations"] == 56 and "two_hands" not in counts["rejected"]
    lists = json.loads((ingest.OUT / "split.json").read_text("utf-8"))
    assert lists["interacting"]["samples"] == 2 * PHOTOS
    assert lists["interacting"]["of_gesture_folders"] == 0


def test_of_splits_that_are_evaluated_whole_they_are_whole_splits_too(
    dataset: Dataset, stand_in: Path
) -> None:
    for hand in dataset.splits["test"]["data"]["annotations"][:3]:
        hand |= {"hand_type": "interacting", "joint_valid": [[1]] * 42}
    dataset.write()
    rows, counts = run(stand_in, "evaluate")
    assert counts["samples"]["official_test_interacting"] == 6
    assert counts["samples"]["official_test"] == 1
    assert [row["is_left"] for row in of_both(rows) if row["subject"] == 8] == [False, True] * 3


def test_one_unusable_hand_is_a_reject_and_the_other_a_sample(
    dataset: Dataset, stand_in: Path
) -> None:
    hidden = annotation(dataset, TEST_PERSON)
    hidden |= {"joint_valid": [[1]] * 21 + [[1]] * 5 + [[0]] * 16, "hand_type_valid": 0}
    gone = annotation(dataset, TEST_PERSON, 1)
    gone["joint_valid"] = [[0]] * 42
    lost = annotation(dataset, TEST_PERSON, 2)
    lost["image_id"] = 999
    dataset.write()
    rows, counts = run(stand_in, "evaluate")
    listed = {(row["annotation_id"], row["hand"]): row["reason"] for row in rejects()}
    assert listed == {
        (hidden["id"], "left"): "too_few_joints",
        (gone["id"], "right"): "too_few_joints",
        (gone["id"], "left"): "too_few_joints",
        (lost["id"], "interacting"): "dangling_image_id",  # of the annotation, so listed once
    }
    hands = [row for row in of_both(rows) if row["annotation_id"] == hidden["id"]]
    assert [row["is_left"] for row in hands] == [False]
    assert counts["annotations"] == 56 and counts["samples"]["interacting"] == 3


def test_a_damaged_photo_costs_both_hands_and_is_opened_once(
    dataset: Dataset, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = annotation(dataset, TEST_PERSON)
    dataset.photo(hand["image_id"]).unlink()
    opened: Counter[str] = Counter()

    def counted(photo: Any) -> Any:
        opened[str(photo.path)] += 1
        return read_photo(photo)

    monkeypatch.setattr(chunks, "read_photo", counted)
    run(stand_in, "evaluate")
    assert [(row["annotation_id"], row["hand"], row["reason"]) for row in rejects()] == [
        (hand["id"], side, "image_missing") for side in ("right", "left")
    ]
    assert set(opened.values()) == {1}


def test_a_fit_off_its_joints_is_that_of_its_hand(dataset: Dataset, stand_in: Path) -> None:
    fitted(dataset)
    frame = str(300 + FRAMES[0])
    dataset.train["MANO_NeuralAnnot"]["2"][frame]["left"] = dict(
        dataset.train["MANO_NeuralAnnot"]["2"][frame]["left"], trans=[0.0, 0.05, 0.0]
    )
    dataset.write()
    rows, _ = run(stand_in, "evaluate", max_fit_error_mm=15)
    hands = [row for row in of_both(rows) if row["frame"] == int(frame)]
    assert [row["has_mano"] for row in hands] == [True, False] * len(CAMERAS)
    filters = [("source_split", "=", "train")]
    odd = pq.read_table("data/ingest/contradictions.parquet", filters=filters).to_pylist()
    odd = [row for row in odd if row["session"] == 2]
    assert [row["hand"] for row in odd] == ["left"] * len(CAMERAS)
    assert all("50 mm from its joints" in row["detail"] for row in odd)


def test_cameras_are_thinned_with_both_hands(dataset: Dataset, stand_in: Path) -> None:
    rows, _ = run(stand_in, "train", cameras_per_instant=1)
    hands = [row for row in of_both(rows) if row["split"] == "train"]
    assert len(hands) == 2 * len(FRAMES)
    assert len({row["image"] for row in hands}) == len(FRAMES)
    tested = [row for row in of_both(rows) if row["split"] == "interacting"]
    assert len(tested) == 2 * PHOTOS, "what is evaluated stays whole"


def test_one_hand_can_be_excluded_and_the_list_outlives_the_key(
    dataset: Dataset, stand_in: Path
) -> None:
    path = Path("list.csv")
    path.write_text(
        f"{','.join(COLUMNS)}\ntrain,2,0266_dh_pray,305,*,left,cut_off,drop,\n", encoding="utf-8"
    )
    rows, counts = run(stand_in, "evaluate", exclusions=str(path))
    assert counts["excluded_drop"] == {"cut_off": len(CAMERAS)}
    hands = [row for row in of_both(rows) if row["frame"] == 305]
    assert [row["is_left"] for row in hands] == [False] * len(CAMERAS)
    _, counts = run(stand_in, "drop", exclusions=str(path))
    assert "excluded_drop" not in counts


def test_in_a_gesture_folder_they_carry_no_gesture(dataset: Dataset, stand_in: Path) -> None:
    before, _ = run(stand_in, "drop")
    for hand in dataset.train["data"]["annotations"]:
        if hand["id"] % 16 == 0:  # the first photo of each person in 0003_fake_gun
            hand |= {"hand_type": "interacting", "joint_valid": [[1]] * 42}
    dataset.write()
    rows, _ = run(stand_in, "train")
    own = [row for row in of_both(rows) if row["sequence"] == "0003_fake_gun"]
    assert [row["is_left"] for row in own] == [False, True] * 2
    gestures, others, by_hand = read_counts(SAMPLES)
    assert others["0003_fake_gun", "train"] == others["0003_fake_gun", "interacting"] == 2
    assert by_hand["0003_fake_gun", "left"] == 0, "the map's hand is not contradicted"
    assert sum(gestures.values()) == Counter(r["kind"] for r in before)["gesture"] - 3


def test_data_without_any_are_warned_of(
    dataset: Dataset, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for hand in dataset.train["data"]["annotations"]:
        if hand["hand_type"] == "interacting":
            hand["hand_type"] = "right"
    dataset.write()
    _, counts = run(stand_in, "evaluate")
    assert counts["samples"]["interacting"] == 0
    assert "asks for annotations of both hands, and the data have none" in capsys.readouterr().out


# --- geometry ------------------------------------------------------------------------------------


def test_joints_in_the_others_box_are_valid_ones_inside_of_it(
    dataset: Dataset, stand_in: Path
) -> None:
    """Recomputed from the samples themselves: pixels of one hand, box of the other."""
    hidden = annotation(dataset, TEST_PERSON)
    hidden["joint_valid"] = [[0]] * 4 + [[1]] * 38
    dataset.write()
    hands = of_both(run(stand_in, "evaluate")[0])
    inside = 0
    for one, other in zip(hands, [hands[k ^ 1] for k in range(len(hands))], strict=True):
        assert one["image"] == other["image"] and one["is_left"] != other["is_left"]
        valid = np.array(one["joint_valid"])
        found = np.array(one["in_other_box"])
        assert one["other_hand"] and not found[~valid].any(), "a masked joint is never counted"
        uv = pixels(one)
        x, y, w, h = other["bbox"] if all(other["joint_valid"]) else whole_box(dataset, other)
        expected = (uv >= [x - 1e-3, y - 1e-3]).all(1) & (uv <= [x + w + 1e-3, y + h + 1e-3]).all(1)
        np.testing.assert_array_equal(found, expected & valid)
        inside += found.sum()
    assert 0 < inside < 21 * len(hands)


def pixels(row: dict[str, Any]) -> Any:
    joints = np.array(row["joints_cam"]).reshape(21, 3)
    uvw = joints @ np.array(row["K"]).reshape(3, 3).T
    return uvw[:, :2] / np.where(uvw[:, 2:] > 0, uvw[:, 2:], np.nan)


def whole_box(dataset: Dataset, row: dict[str, Any]) -> list[float]:
    """Of all joints that are known in 3D, whether this photo shows them or not."""
    frame = dataset.train["joint_3d"][str(row["session"])][str(row["frame"])]
    half = slice(21, 42) if row["is_left"] else slice(0, 21)
    joints = np.array(frame["world_coord"])[half] / 1000 + [0, 0, 0.6]
    uvw = joints @ np.array(row["K"]).reshape(3, 3).T
    uv = (uvw[:, :2] / uvw[:, 2:]).clip(0, [WIDTH - 1, 79])
    low, high = uv.min(0), uv.max(0)
    return [*low.tolist(), *(high - low).tolist()]


def mirrored(dataset: Dataset) -> None:
    """The world, its cameras, photos' coordinates and hands seen in a mirror at x = 0."""
    data, cameras = dataset.train["data"], dataset.train["camera"]
    for hand in data["annotations"]:
        x, y, w, h = hand["bbox"]
        hand["bbox"] = [WIDTH - 1 - x - w, y, w, h]
        flags = hand["joint_valid"]
        hand["joint_valid"] = flags[21:] + flags[:21]
        hand["hand_type"] = {"right": "left", "left": "right"}.get(
            hand["hand_type"], hand["hand_type"]
        )
    for image in data["images"]:
        name = image["seq_name"]
        if name[:2] in ("00", "01"):
            image["seq_name"] = {"00": "01", "01": "00"}[name[:2]] + name[2:]
    flip = np.diag([-1.0, 1.0, 1.0])
    for capture in cameras.values():
        for name in CAMERAS:
            capture["campos"][name] = (flip @ capture["campos"][name]).tolist()
            capture["camrot"][name] = (flip @ np.array(capture["camrot"][name]) @ flip).tolist()
            cx, cy = capture["princpt"][name]
            capture["princpt"][name] = [WIDTH - 1 - cx, cy]
    for frames in dataset.train["joint_3d"].values():
        for frame in frames.values():
            world = np.array(frame["world_coord"]) * [-1, 1, 1]
            frame["world_coord"] = np.concatenate([world[21:], world[:21]]).tolist()
    for frames in dataset.train["MANO_NeuralAnnot"].values():
        for frame, fits in frames.items():
            turned = {}
            for side, other in (("right", "left"), ("left", "right")):
                pose = np.array(fits[other]["pose"]).reshape(16, 3) * [1, -1, -1]
                trans = np.array(fits[other]["trans"]) * [-1, 1, 1]
                turned[side] = {"pose": pose.ravel().tolist(), "shape": fits[other]["shape"],
                                "trans": trans.tolist()}  # fmt: skip
            frames[frame] = turned


def test_a_mirrored_annotation_gives_mirrored_hands(dataset: Dataset, stand_in: Path) -> None:
    rng = np.random.default_rng(5)
    for capture in dataset.train["camera"].values():
        for name in CAMERAS:  # no camera that is its own mirror image
            Q, _ = np.linalg.qr(rng.normal([0, 0, 0], 0.1, (3, 3)) + np.eye(3))
            capture["camrot"][name] = (Q * np.sign(np.diag(Q))).tolist()
            capture["campos"][name] = [40.0, -25.0, -620.0]
    for frames in dataset.train["MANO_NeuralAnnot"].values():
        for fits in frames.values():
            fits["left"] = {
                "pose": rng.normal(0, 0.3, 48).tolist(),
                "shape": rng.normal(size=10).tolist(),
                "trans": rng.normal(0, 0.05, 3).tolist(),
            }
    dataset.write()
    params: dict[str, Any] = {"min_joints_in_boxes": 0}
    before = of_both(run(stand_in, "evaluate", **params)[0])
    mirrored(dataset)
    dataset.write()
    after = of_both(run(stand_in, "evaluate", **params)[0])
    assert len(before) == len(after) == 2 * PHOTOS
    twin = {(row["image"], row["is_left"]): row for row in after}
    for one in before:
        other = twin[one["image"], not one["is_left"]]
        for name in ("joint_valid", "has_mano", "in_other_box", "other_hand", "split"):
            assert one[name] == other[name], name
        for name in ("hand_pose", "betas", "global_orient"):
            np.testing.assert_allclose(one[name], other[name], atol=2e-5, err_msg=name)
        for name in ("joints_cam", "transl"):
            points = np.array(one[name]).reshape(-1, 3) * [-1, 1, 1]
            np.testing.assert_allclose(points.ravel(), other[name], atol=1e-5, err_msg=name)
        x, y, w, h = one["bbox"]
        np.testing.assert_allclose([WIDTH - 1 - x - w, y, w, h], other["bbox"], atol=1e-2)
