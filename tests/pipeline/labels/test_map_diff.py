"""What a change of the map means: classes, images, stages; and against a revision."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from handpose.gesture_map import GestureMapError
from handpose.interhand.folders import NAMING
from pipeline.labels.edit import GestureMapFile, LabelEditError
from pipeline.labels.map_diff import apply_edit, changes, diff, images, rerun
from tests.pipeline.labels.made_up_samples import different_poses, write_samples

MAP = Path("labels/gesture_map.csv")
FIST = "0016_fist"
TRAINED = "pretrain, pose, pose_scratch and evaluate"


@pytest.fixture
def committed(clone: Path) -> Path:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    return clone


def edited(curated: GestureMapFile) -> GestureMapFile:
    return curated.set("0006_thumbup_relaxed", "thumb_up_firm")


def test_folders_classes_and_images_are_reported(curated: GestureMapFile) -> None:
    count = {"0006_thumbup_relaxed": 30, "0007_thumbup_normal": 1000, "0106_thumbup_relaxed": 5}
    assert changes(curated.table, edited(curated).table, count) == [
        "2 folders changed class (54 -> 54 coarse, 70 -> 68 fine classes):",
        "  0006_thumbup_relaxed  thumb_up / thumb_up_relaxed -> thumb_up / thumb_up_firm",
        "  0106_thumbup_relaxed  thumb_up / thumb_up_relaxed -> thumb_up / thumb_up_firm",
        "  gone fine class: thumb_up_relaxed",
        "images of the fine classes that changed:",
        "  left thumb_up_firm              0 ->         5",
        "  left thumb_up_relaxed           5 ->         0",
        "  right thumb_up_firm         1,000 ->     1,030",
        "  right thumb_up_relaxed         30 ->         0",
    ]
    lines = changes(edited(curated).table, curated.table)
    assert lines[-1] == "  new fine class: thumb_up_relaxed"
    assert changes(curated.table, curated.table) == []


def test_left_out_folders_and_mere_names_are_reported_as_such(curated: GestureMapFile) -> None:
    lines = changes(curated.table, curated.set(FIST, "drop").table)
    assert "  0016_fist  fist -> (left out)" in lines
    renamed = curated.split("tea", ["0044_cup"], "tea")
    assert "classes have other names alone" in changes(curated.table, renamed.table)[-1]


def test_images_are_those_of_gesture_folders(clone: Path) -> None:
    assert images(clone) is None
    write_samples(clone, {FIST: different_poses(1)[0]}, people=2, frames=3)
    assert images(clone) == {FIST: 2 * 3 * 2}


def test_the_stages_are_those_that_read_what_label_writes(
    clone: Path, curated: GestureMapFile
) -> None:
    def announced(after: GestureMapFile) -> str:
        return rerun(clone, MAP, curated.table, after.table)

    line = f"this makes dvc repro run label, {TRAINED}; no photo is cropped again"
    assert announced(edited(curated)).startswith(line)
    line = f"this makes dvc repro run label, shard, {TRAINED}; photos are cropped again"
    assert announced(curated.set(FIST, "drop")).startswith(line)
    assert "label alone: no class changed" in announced(curated)
    (clone / "dvc.yaml").unlink()
    assert announced(curated) == "this makes dvc repro run label and what reads its results"


def test_the_map_of_the_last_run_makes_nothing_run(clone: Path, curated: GestureMapFile) -> None:
    md5 = hashlib.md5((clone / MAP).read_bytes()).hexdigest()
    lock = {"stages": {"label": {"deps": [{"path": str(MAP), "md5": md5}]}}}
    (clone / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    lines = apply_edit(clone, MAP, edited, NAMING)
    assert lines[-1].startswith("this makes dvc repro run label, pretrain")
    back = apply_edit(
        clone, MAP, lambda m: m.split("thumb_up_relaxed", ["0006_thumbup_relaxed"]), NAMING
    )
    assert back[-1] == "dvc repro will run nothing for it: the map is that of the last run"
    assert (clone / MAP).read_text("utf-8") == curated.text
    (clone / "dvc.lock").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    assert apply_edit(clone, MAP, lambda m: m, NAMING)[0] == "nothing to change"


def test_the_map_is_compared_with_a_revision(committed: Path) -> None:
    expected = "labels/gesture_map.csv gives every folder the class that it has in HEAD"
    assert diff(committed, MAP, naming=NAMING) == [expected]
    apply_edit(committed, MAP, edited, NAMING)
    lines = diff(committed, MAP, "HEAD", NAMING)
    assert lines[0] == "2 folders changed class (54 -> 54 coarse, 70 -> 68 fine classes):"
    assert "no photo is cropped again" in lines[-1]


def test_what_cannot_be_compared_is_reported(committed: Path) -> None:
    with pytest.raises(LabelEditError, match="git knows no revision 'nowhere'"):
        diff(committed, MAP, "nowhere", NAMING)
    (committed / "other.csv").write_bytes((committed / MAP).read_bytes())
    with pytest.raises(LabelEditError, match=r"HEAD has no other\.csv; `git log"):
        diff(committed, Path("other.csv"), "HEAD", NAMING)
    sound = (committed / MAP).read_bytes()
    (committed / MAP).write_bytes(b"a;b\n")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, "commit", "-qam", "broken"], cwd=committed, check=True)
    with pytest.raises(GestureMapError, match="separated by semicolons"):
        diff(committed, MAP, "HEAD", NAMING)
    (committed / MAP).write_bytes(sound)
    with pytest.raises(
        LabelEditError, match=r"(?s)HEAD:labels/gesture_map\.csv has .*Name a revision"
    ):
        diff(committed, MAP, "HEAD", NAMING)
    diff(committed, MAP, "HEAD~1", NAMING)
