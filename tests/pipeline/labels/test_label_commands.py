"""`handpose labels ...` as a user types it: output, exit codes, and no traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handpose.gesture_map import GestureMap
from handpose.interhand.folders import NAMING
from pipeline.__main__ import main
from pipeline.labels.edit import GestureMapFile
from tests.pipeline.labels.made_up_samples import different_poses, write_samples

MAP = Path("labels/gesture_map.csv")


def output_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["labels", *words]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_edits_by_command_and_back(
    clone: Path, curated: GestureMapFile, capsys: pytest.CaptureFixture[str]
) -> None:
    out = output_of(capsys, "merge", "claw_plain", "claw_dinosaur")
    assert "gone fine class: claw_dinosaur" in out
    assert out.splitlines()[-1].startswith("this makes dvc repro run label, pretrain, ")
    output_of(capsys, "split", "claw_dinosaur", "0151_dinosaur")
    assert "  0116_fist  fist -> cup\n" in output_of(capsys, "set", "0016_fist", "cup")
    assert "nothing to change" in output_of(capsys, "set", "0116_fist", "cup")
    output_of(capsys, "merge", "claw", "pucker", "--coarse")
    output_of(capsys, "split", "pucker_own", "0042_pucker", "--coarse", "pucker_own")
    assert "no faults" in output_of(capsys, "check")
    assert MAP.read_text("utf-8").count("\n") == curated.text.count("\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set", "0016_fst", "fist"], "labels/gesture_map.csv has no folder 0016_fst; did you"),
        (["set", "0016_fist", "cupp"], "labels/gesture_map.csv has no fine class cupp; did you"),
        (["set", "0016_fist", "45"], "fine_id 45 is claw_dinosaur of the left hand"),
        (["merge", "cup", "cup"], "cup and cup are one fine class already"),
        (["split", "cup", "0016_fist"], "there is a fine class cup already"),
        (["diff"], "is in no git repository"),
        (["audit"], "data/ingest/samples.parquet: not found; run `dvc repro ingest` first"),
        (["suggest"], "data/ingest/samples.parquet: not found; run `dvc repro ingest` first"),
    ],
)
def test_what_cannot_be_done_is_reported_in_plain_words(
    clone: Path,
    curated: GestureMapFile,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["labels", *words]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("handpose: ")
    assert message in output.err
    assert "Traceback" not in output.err
    assert MAP.read_text("utf-8") == curated.text


@pytest.mark.parametrize(
    "words",
    [
        *(["check"], ["set", "0016_fist", "cup"], ["merge", "cup", "fist"]),
        *(["split", "x", "0016_fist"], ["diff"], ["audit"], ["suggest"]),
    ],
)
def test_a_broken_map_is_refused_and_stays(
    clone: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = MAP.read_text("utf-8").replace("0116_fist,left", "0116_fist,right")
    MAP.write_text(broken, encoding="utf-8")
    assert main(["labels", *words]) == 2
    assert "hand is right, but folder 0116 shows a left hand" in capsys.readouterr().err
    assert MAP.read_text("utf-8") == broken


def test_diff_audit_and_suggest_of_a_clone_with_samples(
    clone: Path, curated: GestureMapFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/relabel.md types them; `0016_fist` and `0017_fist_rigid` are planted apart."""
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for line in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *line], check=True)
    assert "gives every folder the class" in output_of(capsys, "diff")
    output_of(capsys, "set", "0016_fist", "cup")
    assert "  0016_fist  fist -> cup\n" in output_of(capsys, "diff", "HEAD")
    output_of(capsys, "set", "0016_fist", "fist")
    shown = ("0016_fist", "0017_fist_rigid", "0044_cup")
    poses = dict(zip(shown, different_poses(3), strict=True))
    poses |= {f"01{folder[2:]}": pose for folder, pose in poses.items()}
    write_samples(clone, poses)
    assert "  * 0016_fist + 0017_fist_rigid" in output_of(capsys, "audit", "--top", "2")
    out = output_of(capsys, "suggest")
    assert "split fist_rigid (0017_fist_rigid)" in out
    assert MAP.read_text("utf-8") == curated.text
    proposed = GestureMap.read(MAP.with_suffix(".suggested.csv"), NAMING)
    assert {row.fine for row in proposed.rows if "fist_rigid" in row.folder} == {"fist_rigid"}
