"""Every reason has its tile, and its meaning in words."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from handpose.data import camera_frame, photo
from handpose.interhand import hand_annotation
from pipeline.__main__ import main
from pipeline.data.rejects import (
    COLUMNS,
    MEANING,
    PICTURE_PX,
    RejectsError,
    rejects,
)
from stages import ingest, shard
from stages.ingestion import photo_check
from stages.params import Params, load_params
from stages.paths import REJECTS, SHARD_REJECTS


def test_every_reason_is_counted_and_drawn(params: Params, tmp_path: Path) -> None:
    lines = rejects(params, tmp_path / "r.png")
    reasons = pq.read_table(REJECTS)["reason"].to_pylist()
    assert {"two_hands", "hand_type_not_valid"} <= set(reasons)
    for reason in set(reasons):
        assert any(line.split()[:2] == [str(reasons.count(reason)), reason] for line in lines)
    drawn = Image.open(tmp_path / "r.png")
    assert drawn.width > min(COLUMNS, len(set(reasons))) * PICTURE_PX


def test_what_there_is_of_a_damaged_photo_is_shown(own: Path, tmp_path: Path) -> None:
    folder = Path("data/synthetic/images/train/Capture0")
    one, other, third = sorted(folder.rglob("*.jpg"))[:3]
    one.write_bytes(one.read_bytes()[:-300])
    other.unlink()
    third.write_bytes(b"")
    ingest.main()
    lines = rejects(load_params(), tmp_path / "r.png")
    assert any("image_truncated" in line and "ends early" in line for line in lines)
    assert any("image_missing" in line for line in lines)


def test_what_could_not_be_cut_is_told_too(own: Path, tmp_path: Path) -> None:
    before = len(pq.read_table(REJECTS))
    row = pq.read_table("data/ingest/samples.parquet").slice(0, 1).to_pylist()[0]
    photo = Path("data/synthetic") / row["image"]
    photo.write_bytes(photo.read_bytes()[:-300])  # since ingest looked at it
    shard.main()
    lines = rejects(load_params(), tmp_path / "r.png")
    assert any(line.split()[:2] == ["1", "image_truncated"] for line in lines)
    assert sum(int(line.split()[0].replace(",", "")) for line in lines[:-1]) == before + 1
    assert str(REJECTS) in lines[-1]
    assert str(SHARD_REJECTS) in lines[-1]


def test_every_reason_that_is_given_has_a_meaning() -> None:
    (told,) = re.findall(r"Reasons for a reject: ([^.]*)\.", hand_annotation.__doc__ or "")
    reasons = set(re.split(r",\s+", told))
    for module in (camera_frame, photo, photo_check):
        text = Path(str(module.__file__)).read_text("utf-8")
        reasons |= set(re.findall(r'(?m)(?:Error|Fault|^ +)\("([a-z]+(?:_[a-z]+)+)", ', text))
    assert {"malformed", "no_joint_3d", "too_few_joints", "image_black", "image_size"} <= reasons
    assert reasons <= set(MEANING)


def test_no_rejects_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RejectsError, match="dvc repro ingest"):
        rejects(params, tmp_path / "r.png")


def test_the_command_line(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "rejects", "--out", str(tmp_path / "r.png")]) == 0
    assert "two_hands" in capsys.readouterr().out
