"""A clone with the curated gesture map."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handpose.interhand.folders import NAMING
from pipeline.labels.edit import GestureMapFile

ROOT = Path(__file__).parents[3]
MAP = Path("labels/gesture_map.csv")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The curated map, the parameters and the stages, in the current folder."""
    (tmp_path / "labels").mkdir()
    for name in (str(MAP), "params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def curated() -> GestureMapFile:
    return GestureMapFile.read(ROOT / MAP, NAMING)
