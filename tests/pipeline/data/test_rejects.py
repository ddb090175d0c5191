"""Every reason has its tile, and its meaning in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from handpose.data import camera_frame, photo
from handpose.data.annotation_table import FIT_FAULTS
from handpose.evaluation.draw import MODEL, TRUTH
from handpose.interhand import hand_annotation
from handpose.render.tiles import Tile
from pipeline.__main__ import main
from pipeline.data.rejects import (
    COLUMNS,
    MEANING,
    PICTURE_PX,
    RejectsError,
    rejects,
)
from stages import ingest, shard
from stages.ingestion import camera_boxes, chunks
from stages.params import Params, load_params
from stages.paths import CONTRADICTIONS, REJECTS, SHARD_REJECTS


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


def test_what_could_not_be_cut_is_reported_too(own: Path, tmp_path: Path) -> None:
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


def edit(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    file = Path(f"data/synthetic/annotations/train/InterHand2.6M_train_{name}.json")
    content = json.loads(file.read_text("utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_contradictions_are_drawn_and_fits_that_cannot_be_read_are_counted(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moved camera: box and joints; a far fit: joints and fit; a NaN fit: a line alone."""

    def move_a_camera(content: dict[str, Any]) -> None:
        for camera in list(content["0"]["princpt"])[:1]:
            content["0"]["princpt"][camera][0] += 40

    def spoil_two_fits(content: dict[str, Any]) -> None:
        far, unreadable = (
            frames[hand]
            for frames in list(content["0"].values())[10:12]
            for hand in ("right", "left")
            if frames[hand] is not None
        )
        far["trans"][0] += 0.05
        unreadable["shape"][3] = float("nan")

    edit("camera", move_a_camera)
    edit("MANO_NeuralAnnot", spoil_two_fits)
    pages: list[list[Tile]] = []
    monkeypatch.setattr(
        "pipeline.data.rejects.draw_page", lambda tiles, *_, **__: pages.append(tiles)
    )
    ingest.main()
    lines = rejects(load_params(), tmp_path / "r.png")
    tiles = {tile.heading.partition(":")[0]: tile for tile in pages.pop()}
    counts = json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))["counts"]
    for reason in ("fit_off_joints", "nan_in_mano"):
        assert any(line.split()[:2] == [str(counts[reason]), reason] for line in lines)
    assert str(CONTRADICTIONS) in lines[-1]
    assert "mm from its joints" in tiles["fit_off_joints"].lines[1]
    assert "nan_in_mano" not in tiles, "there is nothing to draw"
    for reason in ("fit_off_joints", "joints_outside_boxes"):
        drawn = tiles[reason].picture
        assert drawn is not None
        for colour in (TRUTH, MODEL):
            assert (drawn == colour).all(-1).sum() > 50


def test_every_reason_that_is_given_has_a_meaning() -> None:
    (listed,) = re.findall(r"Reasons for a reject: ([^.]*)\.", hand_annotation.__doc__ or "")
    reasons = set(re.split(r",\s+", listed))
    for module in (camera_frame, photo, chunks):
        text = Path(str(module.__file__)).read_text("utf-8")
        reasons |= set(re.findall(r'(?m)(?:Error|Fault|^ +)\("([a-z]+(?:_[a-z]+)+)", ', text))
    assert {"malformed", "no_joint_3d", "too_few_joints", "image_black", "image_size"} <= reasons
    assert reasons | set(FIT_FAULTS) | {camera_boxes.REASON} <= set(MEANING)


def test_no_rejects_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RejectsError, match="dvc repro ingest"):
        rejects(params, tmp_path / "r.png")


def test_the_command_line(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "rejects", "--out", str(tmp_path / "r.png")]) == 0
    assert "two_hands" in capsys.readouterr().out
