"""The picture is of the very batch, and the mixing is that of its samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from handpose.errors import HandPoseError
from pipeline.__main__ import main
from pipeline.data.inspect import COLUMNS, PICTURE_PX, inspect
from stages.params import Params, load_params


def picture(params: Params, out: Path, split: str = "train", augmented: bool = True) -> np.ndarray:
    inspect(params, stage="pose", split=split, batch=16, augmented=augmented, out=out)
    return np.asarray(Image.open(out))


def test_a_tile_a_sample_and_a_table_of_the_mixing(params: Params, tmp_path: Path) -> None:
    out = tmp_path / "made" / "inspect.png"
    lines = inspect(params, stage="pose", split="train", batch=16, augmented=True, out=out)
    assert Image.open(out).width > COLUMNS * PICTURE_PX
    rows = {line.split("  ")[0]: line.split() for line in lines}
    mean, expected, there = map(float, rows["people"][-3:])
    assert (mean, expected, there) == (1, 1, 1), "one person trains"
    mean, expected, there = map(float, rows["folders"][-3:])
    assert abs(mean - expected) < 2.5
    assert there >= 90
    assert rows["frames"][-3] == "16.0", "no frame twice where one camera sees each"


def test_it_shows_what_training_does(params: Params, tmp_path: Path) -> None:
    moved = picture(params, tmp_path / "a.png")
    assert (moved == picture(params, tmp_path / "b.png")).all(), "the first batch is one batch"
    stored = picture(params, tmp_path / "c.png", augmented=False)
    assert moved.shape != stored.shape or (moved != stored).any()


@pytest.mark.parametrize("split", ["validation", "test", "official_test"])
def test_other_splits_come_as_they_are_stored(params: Params, tmp_path: Path, split: str) -> None:
    lines = inspect(
        params, stage="pretrain", split=split, batch=8, augmented=True, out=tmp_path / "x.png"
    )
    assert "as stored" in lines[0]


def test_mirrored_samples_are_framed(params: Params, tmp_path: Path) -> None:
    from handpose.evaluation import draw

    def orange(flip: float) -> bool:
        augment = params.pose.augment.model_copy(update={"flip": flip})
        pose = params.pose.model_copy(update={"augment": augment})
        drawn = picture(params.model_copy(update={"pose": pose}), tmp_path / "f.png")
        return bool((drawn == draw.CONTROL).all(-1).any())

    assert not orange(0.0)
    assert orange(1.0)


def test_what_lacks_is_reported(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["data", "inspect", "--split", "nobody", "--out", str(tmp_path / "x.png")]) == 2
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HandPoseError, match="dvc repro ingest"):
        picture(params, tmp_path / "x.png")


def test_shards_of_other_samples_are_refused(own: Path, tmp_path: Path) -> None:
    samples = Path("data/ingest/samples.parquet")
    table = pq.read_table(samples)
    pq.write_table(table.slice(len(table) // 2), samples)
    with pytest.raises(HandPoseError, match="from one run"):
        picture(load_params(), tmp_path / "x.png")
