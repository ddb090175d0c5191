"""The label stage: classes from the map only, membership without classes, unknown folders named."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from handpose.data.labels import NO_CLASS, ClassIds, Labels
from handpose.files import digest
from handpose.gesture_map import GestureMap
from stages import label
from stages.paths import SAMPLES
from stages.running.command import run_stage

ROOT = Path(__file__).parents[2]
NAMES = ("labels.parquet", "membership.txt", "coverage.csv")
FOLDERS = ("0003_fake_gun", "0103_fake_gun", "0036_palmdownwave", "ROM03_LT_No_Occlusion")


def write_samples(*extra: str) -> None:
    """Samples of a few folders, each in all labelled splits; free motion in official val."""
    rows = [
        {"sequence": folder, "kind": "rom" if folder.startswith("ROM") else "gesture",
         "split": split, "is_left": folder.startswith("01")}
        for folder in (*FOLDERS, *extra)
        for split in ("train", "train", "validation", "test")
    ]  # fmt: skip
    rows.append({"sequence": "ROM03_LT_No_Occlusion", "kind": "rom", "split": "official_val",
                 "is_left": True})  # fmt: skip
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), SAMPLES)


def set_params(**changes: Any) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["label"] |= {"map": "map.csv"} | changes
    if raw["label"]["handedness"] == "canonical":
        raw["pose_net"]["side_input"] = False
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


def edit(old: str = "", new: str = "") -> None:
    """The curated map, with a change everywhere."""
    text = (ROOT / "labels" / "gesture_map.csv").read_text("utf-8")
    assert old in text
    Path("map.csv").write_text(text.replace(old, new) if old else text, encoding="utf-8")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_params()
    write_samples()
    edit()


def members() -> list[str]:
    return (label.OUT / "membership.txt").read_text("utf-8").splitlines()


def coverage() -> dict[str, dict[str, str]]:
    with (label.OUT / "coverage.csv").open(encoding="utf-8") as stream:
        return {row["folder"]: row for row in csv.DictReader(stream)}


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    assert run_stage(label.main, "label") == 2
    return capsys.readouterr().err


def test_handed_classes_are_the_maps_and_twins_those_of_the_other_hand() -> None:
    label.main()
    labels = Labels.read(label.OUT / "labels.parquet").ids
    assert len(labels) == 90
    assert labels["0003_fake_gun"] == ClassIds(2, 21, 29, 56)
    assert labels["0103_fake_gun"] == ClassIds(29, 56, 2, 21)
    assert labels["0036_palmdownwave"] == ClassIds(20, 24, 47, 59)
    for ids in labels.values():
        assert ids.twin_coarse == (ids.coarse + 27) % 54
        assert ids.twin_fine == (ids.fine + 35) % 70


def test_canonical_classes_are_the_right_hands_and_their_own_twins() -> None:
    set_params(handedness="canonical")
    label.main()
    labels = Labels.read(label.OUT / "labels.parquet").ids
    assert labels["0103_fake_gun"] == labels["0003_fake_gun"] == ClassIds(2, 21, 2, 21)
    assert {ids.coarse for ids in labels.values()} == set(range(27))
    assert {ids.fine for ids in labels.values()} == set(range(35))


def test_membership_lists_the_folders_that_are_there() -> None:
    label.main()
    assert members() == sorted(FOLDERS)


def test_coverage_counts_gesture_by_hand_by_split() -> None:
    label.main()
    table = coverage()
    assert len(table) == 90
    row = table["0103_fake_gun"]
    assert (row["gesture"], row["hand"], row["coarse"]) == ("fake_gun", "left", "fake_gun")
    assert (row["train"], row["validation"], row["test"], row["official_val"]) == (
        "2", "1", "1", "0",
    )  # fmt: skip
    assert table["0058_middlefinger"]["train"] == "0"
    counts = json.loads((label.OUT / "manifest.json").read_text("utf-8"))["counts"]
    assert (counts["coarse_classes"], counts["fine_classes"]) == (54, 70)
    assert len(counts["without_a_sample"]) == 87


def test_the_order_of_the_maps_rows_changes_no_byte() -> None:
    label.main()
    before = [digest(label.OUT / name) for name in NAMES]
    header, *rows = Path("map.csv").read_text("utf-8").splitlines()
    random.Random(0).shuffle(rows)
    Path("map.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    label.main()
    assert [digest(label.OUT / name) for name in NAMES] == before


def test_relabelling_changes_labels_and_not_membership() -> None:
    label.main()
    before = [digest(label.OUT / name) for name in NAMES]
    edit(",thumb_up_firm,", ",thumb_up_hard,")
    label.main()
    after = [digest(label.OUT / name) for name in NAMES]
    assert before[0] != after[0] and before[1] == after[1]


def test_labels_do_not_depend_on_the_data() -> None:
    label.main()
    before = digest(label.OUT / "labels.parquet")
    write_samples("0016_fist")
    label.main()
    assert digest(label.OUT / "labels.parquet") == before
    assert "0016_fist" in members()


def test_dropped_folders_are_out_of_membership_and_labels() -> None:
    edit(",2,fake_gun,21,fake_gun,", ",2,drop,21,drop,")
    text = Path("map.csv").read_text("utf-8")
    text = text.replace(",29,fake_gun,56,fake_gun,", ",29,drop,56,drop,")
    Path("map.csv").write_text(text, encoding="utf-8")
    label.main()
    labels = Labels.read(label.OUT / "labels.parquet").ids
    assert len(labels) == 88
    assert {ids.coarse for ids in labels.values()} == set(range(52)), "no gap is left"
    assert members() == ["0036_palmdownwave", "ROM03_LT_No_Occlusion"]
    assert coverage()["0003_fake_gun"]["coarse"] == "drop"


def test_unknown_folders_are_named_with_the_nearest_known_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_samples("0003_fakegun", "0099_something_else")
    message = refusal(capsys)
    assert "map.csv does not list these gesture folders of the data:" in message
    assert "\n  0003_fakegun (nearest known folder: 0003_fake_gun)" in message
    assert "\n  0099_something_else" in message
    assert "Add a row with its classes for each (labels/README.md explains how)" in message


@pytest.mark.parametrize("folder", ["0999_newgesture", "wave", "0003_fakegun"])
def test_the_line_in_the_message_leaves_the_folder_out(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From message to green: whatever the folder is called."""
    write_samples(folder)
    message = refusal(capsys)
    unnamed = "No class can be given to" in message
    assert unnamed == (not folder.startswith("00"))
    _, _, lines = message.partition("To leave folders out, add these lines:\n")
    with Path("map.csv").open("a", encoding="utf-8") as stream:
        stream.write(lines)
    label.main()
    assert members() == sorted(FOLDERS)
    assert coverage()[folder]["coarse"] == "drop"


def test_a_new_folder_can_be_labelled_as_the_message_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_samples("0099_new")
    assert "Add a row with its classes for each" in refusal(capsys)
    rows = ("0099_new,right,new,90,new,90,new,0199_new", "0199_new,left,new,91,new,91,new,0099_new")
    with Path("map.csv").open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{row}\n" for row in rows))
    label.main()
    assert "0099_new" in members()


def test_samples_of_the_other_hand_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(SAMPLES)
    flipped = pa.array([True] * len(table))
    pq.write_table(
        table.set_column(table.column_names.index("is_left"), "is_left", flipped), SAMPLES
    )
    message = refusal(capsys)
    assert "map.csv and the data disagree about the hand of these folders" in message
    assert "0003_fake_gun: 4 of a left hand, but its row says right" in message
    assert "0103_fake_gun" not in message


def test_a_dropped_folder_may_show_both_hands() -> None:
    rows = pq.read_table(SAMPLES).to_pylist()
    rows += [row | {"is_left": True} for row in rows if row["sequence"] == "0003_fake_gun"]
    pq.write_table(pa.Table.from_pylist(rows), SAMPLES)
    edit(",2,fake_gun,21,fake_gun,", ",2,drop,21,drop,")
    text = Path("map.csv").read_text("utf-8")
    text = text.replace(",29,fake_gun,56,fake_gun,", ",29,drop,56,drop,")
    Path("map.csv").write_text(text, encoding="utf-8")
    label.main()
    assert "0003_fake_gun" not in members()


def test_a_split_without_a_labelled_sample_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"sequence": "0003_fake_gun", "kind": "gesture", "split": "train", "is_left": False},
            {"sequence": "ROM03_LT_No_Occlusion", "kind": "rom", "split": "test",
             "is_left": True}]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), SAMPLES)
    assert "no labelled sample is left in validation, test: map.csv drops" in refusal(capsys)


def test_faults_of_the_map_and_missing_samples_are_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit("0103_fake_gun,left", "0103_fake_gun,right")
    assert "map.csv:50: hand is right, but folder 0103 shows a left hand" in refusal(capsys)
    edit()
    SAMPLES.unlink()
    assert "samples.parquet: not found; run `dvc repro ingest` first" in refusal(capsys)


# --- controls of the gesture claim ---------------------------------------------------------------

CONTROLS: dict[str, dict[str, Any]] = {
    "folders": {"shuffle": "folders"},
    "sequences": {"shuffle": "sequences"},
    "images": {"shuffle": "images"},
    "finger_states": {"source": "finger_states"},
    "pose_clusters": {"source": "pose_clusters"},
}


def write_posed_samples(per_split: int = 12) -> int:
    """So many images of every folder in each labelled split, of two people; returns their number.

    The joints are at random, and every image has a fit.
    """
    folders = [row.folder for row in GestureMap.read(Path("map.csv")).labelled]
    rows = [
        {"sequence": folder, "kind": "gesture", "split": split, "is_left": folder.startswith("01"),
         "subject": 2 * place + half, "session": 2 * place + half}
        for folder in folders
        for place, split in enumerate(("train", "validation", "test"))
        for half in (0, 1)
        for _ in range(per_split // 2)
    ]  # fmt: skip
    rows += [{**rows[0], "sequence": "ROM03_LT_No_Occlusion", "kind": "rom"}]
    table = pa.Table.from_pylist([{"sample_id": i, **row} for i, row in enumerate(rows)])
    rng = np.random.default_rng(0)
    for name, size in (("joints_cam", 63), ("hand_pose", 45)):
        flat = pa.array(rng.normal(size=len(rows) * size).astype(np.float32))
        table = table.append_column(name, pa.FixedSizeListArray.from_arrays(flat, size))
    valid = pa.FixedSizeListArray.from_arrays(pa.array([True] * 21 * len(rows)), 21)
    table = table.append_column("joint_valid", valid)
    table = table.append_column("has_mano", pa.array([True] * len(rows)))
    pq.write_table(table, SAMPLES)
    return len(rows) - 1


@pytest.fixture
def images() -> list[dict[str, Any]]:
    """The images of samples.parquet, with every folder in it."""
    write_posed_samples()
    rows: list[dict[str, Any]] = pq.read_table(SAMPLES).to_pylist()
    return rows


def run(**changes: Any) -> Labels:
    set_params(**changes)
    label.main()
    return Labels.read(label.OUT / "labels.parquet")


def classes_of(labels: Labels, images: list[dict[str, Any]]) -> list[ClassIds]:
    names = ("sample_id", "sequence", "kind")
    return labels.classes(*([row[name] for row in images] for name in names))


@pytest.mark.parametrize("handedness", ["handed", "canonical"])
@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_has_the_contract_of_the_map(
    images: list[dict[str, Any]], control: str, handedness: str
) -> None:
    """Every labelled image has a class, of its hand, with the same class as its twin's twin."""
    before = {path: digest(path) for path in (Path("map.csv"), SAMPLES)}
    labels = run(**CONTROLS[control], handedness=handedness)
    assert before == {path: digest(path) for path in before}, "neither is changed"
    own = classes_of(labels, images)
    assert own.pop() is NO_CLASS, "free motion has none"
    canonical = handedness == "canonical"
    twins = {(ids.coarse, ids.fine): (ids.twin_coarse, ids.twin_fine) for ids in own}
    for row, ids in zip(images, own, strict=False):
        if ids == NO_CLASS:
            assert control == "finger_states" and row["split"] != "train"
            continue
        side = "left" if row["is_left"] and not canonical else "right"
        assert labels.hands[ids.coarse] == side
        assert labels.hands[ids.twin_coarse] != side or canonical
        assert labels.coarse[ids.coarse] == labels.coarse[ids.twin_coarse]
        assert labels.fine[ids.fine] == labels.fine[ids.twin_fine]
        twin = twins.get((ids.twin_coarse, ids.twin_fine))
        assert twin is None or twin == (ids.coarse, ids.fine)
    parents: dict[int, set[int]] = defaultdict(set)
    for ids in own:
        parents[ids.fine].add(ids.coarse)
    assert {len(coarse) for coarse in parents.values()} == {1}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_has_as_many_classes_as_the_map_and_the_same_bytes_again(
    images: list[dict[str, Any]], control: str
) -> None:
    labels = run(**CONTROLS[control])
    first = digest(label.OUT / "labels.parquet")
    if control != "finger_states":
        assert (len(labels.coarse), len(labels.fine)) == (54, 70)
    order = np.random.default_rng(0).permutation(len(images))
    pq.write_table(pq.read_table(SAMPLES).take(pa.array(order)), SAMPLES)
    label.main()
    assert digest(label.OUT / "labels.parquet") == first
    if control != "finger_states":
        run(**CONTROLS[control], seed=1)
        assert digest(label.OUT / "labels.parquet") != first


@pytest.mark.parametrize("control", ["folders", "sequences", "images"])
def test_shuffling_leaves_the_number_of_images_of_every_class(
    images: list[dict[str, Any]], control: str
) -> None:
    """In each split; the folders hold as many images each here."""

    def counts(labels: Labels) -> Counter[tuple[str, ClassIds]]:
        own = classes_of(labels, images)
        return Counter((row["split"], ids) for row, ids in zip(images, own, strict=True))

    before = counts(run())
    labels = run(**CONTROLS[control])
    assert counts(labels) == before
    true = run()
    own, known = (classes_of(side, images) for side in (labels, true))
    same = np.mean([a.coarse == b.coarse for a, b in zip(own, known, strict=True)][:-1])
    assert same == 0 if control == "folders" else same < 0.15


def test_what_a_control_made_stands_in_the_manifest(images: list[dict[str, Any]]) -> None:
    def counts() -> dict[str, Any]:
        content = json.loads((label.OUT / "manifest.json").read_text("utf-8"))
        found: dict[str, Any] = content["counts"]
        return found

    run()
    assert "images" not in counts()
    labels = run(source="finger_states")
    found = counts()
    assert found["images"] == len(images) - 1
    own = classes_of(labels, images)
    assert found["images_without_a_class"] == own.count(NO_CLASS) - 1
    assert found["fine_classes"] == len(labels.fine)


def test_a_control_reads_the_folders_that_the_map_keeps(images: list[dict[str, Any]]) -> None:
    text = Path("map.csv").read_text("utf-8")
    for cells in (",2,fake_gun,21,fake_gun,", ",29,fake_gun,56,fake_gun,"):
        text = text.replace(cells, ",2,drop,21,drop,")
    Path("map.csv").write_text(text, encoding="utf-8")
    for control in CONTROLS.values():
        labels = run(**control)
        own = classes_of(labels, images)
        for row, ids in zip(images, own, strict=True):
            assert (ids is NO_CLASS) == (row["sequence"][5:] == "fake_gun" or row["kind"] == "rom")
        assert "0003_fake_gun" not in members()


def test_too_few_poses_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    write_posed_samples()
    table = pq.read_table(SAMPLES)
    fits = pa.array([i < 20 for i in range(len(table))])
    pq.write_table(
        table.set_column(table.column_names.index("has_mano"), "has_mano", fits), SAMPLES
    )
    set_params(source="pose_clusters")
    assert "the training images have 12 poses for 35 classes" in refusal(capsys)


# --- held-out gestures ---------------------------------------------------------------------------


def hold_out(*folders: str) -> None:
    """Samples as ingest leaves them when these folders are held out."""
    everything = ("0003_fake_gun", "0103_fake_gun", "0006_thumbup_relaxed", "0106_thumbup_relaxed",
                  "0007_thumbup_normal", "0008_thumbup_rigid")  # fmt: skip
    rows = [
        {"sequence": folder, "kind": "gesture", "is_left": folder.startswith("01"),
         "split": "held_out_gestures" if folder in folders and split == "test" else split}
        for folder in everything
        for split in ("train", "validation", "test")
        if folder not in folders or split == "test"
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), SAMPLES)


def test_held_out_gestures_keep_their_class_and_are_reported() -> None:
    hold_out("0003_fake_gun", "0103_fake_gun", "0007_thumbup_normal")
    label.main()
    assert "0003_fake_gun" in members(), "their crops are evaluated"
    assert Labels.read(label.OUT / "labels.parquet").ids["0003_fake_gun"] == ClassIds(2, 21, 29, 56)
    row = coverage()["0003_fake_gun"]
    assert (row["train"], row["test"], row["held_out_gestures"]) == ("0", "0", "1")
    counts = json.loads((label.OUT / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["held_out"] == ["0003_fake_gun", "0007_thumbup_normal", "0103_fake_gun"]
    assert counts["held_out_but_of_a_trained_class"] == ["0007_thumbup_normal"], "as 0008_"


def test_a_gesture_is_held_out_on_both_hands(capsys: pytest.CaptureFixture[str]) -> None:
    hold_out("0103_fake_gun", "0006_thumbup_relaxed")
    assert refusal(capsys) == (
        "label: a mirrored image has the gesture of the other hand, which is trained on:\n"
        "  0006_thumbup_relaxed is held out, its twin 0106_thumbup_relaxed is not\n"
        "  0103_fake_gun is held out, its twin 0003_fake_gun is not\n"
        "Name both in ingest.held_out_gestures, or neither\n"
    )


def test_nothing_is_reported_of_gestures_that_nobody_holds_out() -> None:
    label.main()
    counts = json.loads((label.OUT / "manifest.json").read_text("utf-8"))["counts"]
    assert not [name for name in counts if "held_out" in name]
