"""A folder in which both training stages can run: tiny shards, labels, a hand, parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from handpose.data.records import FIELDS, ORIGIN
from handpose.data.shards import Index, Tar, write_tar
from stages.running.artifacts import write_json
from tests.stages.small_dataset import Dataset
from tests.stages.small_dataset import set_params as set_ingest_params

ROOT = Path(__file__).parents[2]
PX = 64
FOLDERS = ("0003_fake_gun", "0016_fist", "0103_fake_gun", "0116_fist")

Setter = Callable[..., None]


def stored_sample(sample_id: int, folder: str) -> tuple[bytes, dict[str, Any]]:
    """A crop whose colour identifies its folder, with a hand-sized cloud of joints off the axis."""
    rng = np.random.default_rng(sample_id)
    image = rng.integers(0, 60, (PX, PX, 3), dtype=np.uint8) + np.uint8(40 * FOLDERS.index(folder))
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    label: dict[str, Any] = {
        "K": np.array([[300, 0, -28.5], [0, 300, 61.5], [0, 0, 1]], np.float32),
        "joints_cam": np.float32(rng.normal([0.12, -0.06, 0.6], 0.04, (21, 3))),
        "joint_valid": np.ones(21, np.bool_),
        "has_mano": sample_id % 2 == 0,
        "global_orient": np.float32(rng.normal(size=3)),
        "hand_pose": np.float32(0.1 * rng.normal(size=45)),
        "betas": np.float32(rng.normal(size=10)),
        "is_left": folder.startswith("01"),
        "sample_id": sample_id,
    }
    origin = (folder, "gesture", 0, 0, "400026", sample_id)
    return jpeg, label | dict(zip(ORIGIN, origin, strict=True))


def write_shards(**samples: int) -> None:
    """So many samples per split, their folders in rotation."""
    tars: dict[str, tuple[Tar, ...]] = {}
    folder = Path("data/shard/tars")
    folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for split, number in samples.items():
        ids = range(first, first + number)
        made = (stored_sample(i, FOLDERS[i % len(FOLDERS)]) for i in ids)
        tars[split] = (write_tar(folder / f"{split}-000000.tar", made),)
        first += number
    write_json(Path("data/shard/index.json"), Index(PX, PX, tars).to_json())


def write_labels(coarse: tuple[str, ...] = FOLDERS) -> None:
    """labels.parquet of the four folders: coarse classes by these names, fine ones by folder."""
    names = list(dict.fromkeys(coarse))
    ids = [names.index(name) for name in coarse]
    table = pa.table(
        {
            "folder": FOLDERS,
            "hand": ["right", "right", "left", "left"],
            "coarse_id": ids,
            "coarse": coarse,
            "fine_id": [0, 1, 2, 3],
            "fine": FOLDERS,
            "twin_coarse_id": [ids[i] for i in (2, 3, 0, 1)],
            "twin_fine_id": [2, 3, 0, 1],
        }
    )
    Path("data/labels").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, "data/labels/labels.parquet")


@pytest.fixture
def shards_of() -> Setter:
    """Writes data/shard anew with so many samples per split."""
    return write_shards


@pytest.fixture
def labels_of() -> Setter:
    """Writes labels.parquet anew with these names of the four folders' coarse classes."""
    return write_labels


@pytest.fixture
def set_params(stand_in: Path) -> Setter:
    """Writes params.yaml: the tiny profile, two epochs, and the given sections' changes."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for section, values in yaml.safe_load(
        (ROOT / "pipeline" / "profiles" / "tiny.yaml").read_text("utf-8")
    ).items():
        raw[section] |= values
    raw["hand"]["mano"] = str(stand_in)
    for section in ("pretrain", "pose"):
        raw[section] |= {"epochs": 2, "batch": 4}

    def write(**changes: dict[str, Any]) -> None:
        for section, values in changes.items():
            raw[section] |= values
        Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

    return write


@pytest.fixture
def trainable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_params: Setter) -> Path:
    """The current folder, ready for `stages.pretrain` and `stages.pose`."""
    monkeypatch.chdir(tmp_path)
    assert set(FIELDS) <= set(stored_sample(0, FOLDERS[0])[1])
    write_shards(train=12, validation=6)
    write_labels()
    set_params()
    return tmp_path


@pytest.fixture
def dataset(tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.chdir(tmp_path)
    set_ingest_params(stand_in)
    made = Dataset()
    made.write()
    return made
