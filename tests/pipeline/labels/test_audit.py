"""Planted wrong merges and wrong splits are ranked first, and become the proposed edits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from handpose.gesture_map import GestureMap
from handpose.interhand.folders import NAMING
from pipeline.labels.audit import AUDIT, PairFinding, audit, findings
from pipeline.labels.edit import GestureMapFile
from pipeline.labels.evidence import Confusions, EvidenceError, PoseSums
from pipeline.labels.suggest import paths_beside, proposal, suggest
from stages.paths import LABELS, PREDICTIONS, SAMPLES
from tests.pipeline.labels.made_up_samples import different_poses, small_map, write_samples
from tests.pipeline.labels.test_evidence import predictions

RIGHT = {
    "gun": "gun",
    "fist": "fist",
    "cup": "cup",
    "claw": "claw",
    "pucker": "pucker",
    "rocker": "cup",  # planted: merged with cup, of another pose
    "mug": "mug",  # planted: apart from claw, of the same pose
}
POSES = ("gun", "fist", "cup", "claw", "pucker", "rocker", "claw")


@pytest.fixture
def small(tmp_path: Path) -> GestureMapFile:
    """A map with both planted faults, and samples of five people in the same folder."""
    file = small_map(tmp_path, RIGHT)
    names = sorted(set(POSES))
    by_name = dict(zip(names, different_poses(len(names)), strict=True))
    pose_of = dict(zip(RIGHT, POSES, strict=True))
    write_samples(tmp_path, {row.folder: by_name[pose_of[row.gesture]] for row in file.table.rows})
    return file


def pair(one: PairFinding) -> set[str]:
    return {side.folders[0].partition("_")[2] for side in (one.first, one.second)}


def test_planted_faults_come_first_the_merge_before_the_split(
    small: GestureMapFile, tmp_path: Path
) -> None:
    found = findings(small.table, PoseSums.read(tmp_path / SAMPLES), None)
    assert [(one.kind, pair(one)) for one in found[:2]] == [
        ("merged", {"cup", "rocker"}),
        ("split", {"claw", "mug"}),
    ]
    assert [one.debatable for one in found] == [True, True] + [False] * (len(found) - 2)
    assert len(found) == 7 * 6 // 2 + 7
    assert sum(one.kind == "twins" for one in found) == 7
    assert found[0].distance.ratio.low > 2 > 0.5 > found[1].distance.ratio.high


def test_twins_of_different_poses_are_debatable(tmp_path: Path) -> None:
    file = small_map(tmp_path, {"gun": "gun", "fist": "fist"})
    a, b, c = different_poses(3)
    write_samples(tmp_path, {"0000_gun": a, "0100_gun": a, "0001_fist": b, "0101_fist": c})
    poses = PoseSums.read(tmp_path / SAMPLES)
    found = findings(file.table, poses, None)
    assert (found[0].kind, pair(found[0]), found[0].debatable) == ("twins", {"fist"}, True)
    assert not any(one.debatable for one in found[1:])
    proposed = proposal(file, found)
    assert (proposed.map, proposed.reasons) == (file, [])
    assert "twins 0001_fist and 0101_fist" in proposed.twins[0]


def test_confusion_makes_a_split_debatable_though_the_poses_differ(
    small: GestureMapFile, tmp_path: Path
) -> None:
    gun, fist = "0000_gun", "0001_fist"
    file = GestureMapFile.read(small.table.path, NAMING)
    rows = [("0000_a", person, 0) for person in range(4)]
    rows += [("0001_b", person, 0) for person in range(4)]
    predictions(tmp_path, rows)
    found = Confusions.read(tmp_path / PREDICTIONS, tmp_path / LABELS)
    assert found is not None
    names = {"0000_a": gun, "0001_b": fist}
    renamed = Confusions(
        folder=found.folder.copy(),
        subject=found.subject,
        predicted=found.predicted,
        names={names.get(name, name): fine for name, fine in found.names.items()},
    )
    for old, new in names.items():
        renamed.folder[renamed.folder == old] = new
    ranked = findings(file.table, PoseSums.read(tmp_path / SAMPLES), renamed)
    (one,) = [one for one in ranked if pair(one) == {"gun", "fist"}]
    assert one.debatable
    assert one.confusion.value == 0.5
    assert ranked.index(one) <= 2
    assert all("merge" not in reason for reason in proposal(file, ranked).reasons), (
        "poses that are clearly apart are not merged"
    )


def test_the_table_and_the_file(small: GestureMapFile, tmp_path: Path) -> None:
    lines = audit(tmp_path, small.table, top=3)
    text = "\n".join(lines)
    assert lines[0].startswith("Poses from 280 frames of 5 people; no confusion, since results/")
    assert "Debatable merges, 1 of 8 pairs" in text
    assert "Debatable splits, 1 of 20 pairs" in text
    assert sum(line.startswith("  * ") for line in lines) == 2
    assert sum(line.startswith(("  * ", "    0")) for line in lines) == 6
    with (tmp_path / AUDIT).open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == [str(k) for k in range(1, 29)]
    assert (rows[0]["kind"], rows[0]["debatable"], rows[0]["people"]) == ("merged", "true", "5")
    assert rows[0]["confusion"] == ""
    assert float(rows[0]["ratio_low"]) < float(rows[0]["ratio"]) < float(rows[0]["ratio_high"])


def test_few_people_are_reported(small: GestureMapFile, tmp_path: Path) -> None:
    poses = different_poses(2)
    write_samples(tmp_path, {"0000_gun": poses[0], "0001_fist": poses[1]}, people=1)
    text = "\n".join(audit(tmp_path, small.table, top=3))
    assert "An interval takes 3 people, so poses alone make no pair debatable here." in text
    assert "Debatable merges, 0 of 0 pairs" in text


def test_the_proposed_map_is_beside_the_map_which_stays(
    small: GestureMapFile, tmp_path: Path
) -> None:
    lines = suggest(tmp_path, small)
    assert small.table.path.read_text("utf-8") == small.text
    proposed, patch = paths_beside(small.table.path)
    table = GestureMap.read(proposed, NAMING)
    rows = {row.folder: row for row in table.rows}
    assert rows["0005_rocker"].fine == rows["0105_rocker"].fine == "cup_rocker"
    assert rows["0005_rocker"].coarse == "cup"
    assert rows["0002_cup"].fine == "cup"
    text = patch.read_text("utf-8")
    assert "split cup_rocker (0005_rocker): 0002_cup and 0005_rocker of cup are " in text
    assert "+0005_rocker,right,rocker,1,cup,12,cup_rocker,0105_rocker" in text
    assert "no class is merged, since results/predictions.parquet" in "\n".join(lines)
    assert f"{small.table.path} is as it was" in lines[-1]
    again = GestureMapFile.read(proposed, NAMING)
    assert "nothing to suggest" in suggest(tmp_path, again)[-1]
    assert sorted(path.name for path in tmp_path.glob("map*")) == [
        "map.csv",
        "map.suggested.csv",
        "map.suggested.diff",
    ]


def test_confused_classes_of_one_pose_are_merged(small: GestureMapFile, tmp_path: Path) -> None:
    (claw,) = {row.fine for row in small.table.rows if row.gesture == "claw"}
    folder = {row.gesture: row.folder for row in small.table.rows if row.hand == "right"}
    people = np.arange(8) % 4
    confusions = Confusions(
        folder=np.array([folder["claw"]] * 4 + [folder["mug"]] * 4, object),
        subject=people,
        predicted=np.array([claw] * 8, object),
        names={row.folder: row.fine for row in small.table.rows},
    )
    ranked = findings(small.table, PoseSums.read(tmp_path / SAMPLES), confusions)
    proposed = proposal(small, ranked)
    assert "merge claw and mug: 50% of their images are taken for the other" in proposed.reasons[-1]
    assert {row.fine for row in proposed.map.table.rows if row.gesture == "mug"} == {"claw"}


def test_without_samples_nothing_is_suggested(tmp_path: Path) -> None:
    file = small_map(tmp_path, {"gun": "gun"})
    with pytest.raises(EvidenceError, match="run `dvc repro ingest` first"):
        suggest(tmp_path, file)
