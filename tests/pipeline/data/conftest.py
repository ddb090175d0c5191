"""A folder in which the first four stages ran on a few hundred tiny photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from stages import ingest, label, shard, synthesize
from stages.params import Params, load_params

ROOT = Path(__file__).parents[3]
CHANGES = {
    "synthesize": {
        "frames": 360,
        "main_subjects": 1,
        "short_subjects": 2,
        "short_share": 0.5,
        "image_px": [64, 48],
        "workers": 1,
    },
    "ingest": {"validation_subjects": [1], "test_subjects": [2]},
    "shard": {"view_px": 64, "crop_px": 86, "workers": 1},
    "encoder": {"image_px": 64},
    "pose_net": {"grid": 8, "dim": 32, "heads": 2},
}


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """READ-ONLY: params.yaml, labels/ and data/ up to the shards."""
    folder = tmp_path_factory.mktemp("sharded")
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for section, values in CHANGES.items():
        raw[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    shutil.copytree(ROOT / "labels", folder / "labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (synthesize, ingest, label, shard):
            stage.main()
    return folder


@pytest.fixture
def params(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Of that folder, which is the current one."""
    monkeypatch.chdir(sharded)
    return load_params()


@pytest.fixture
def own(sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, to be spoiled; the current one."""
    folder = tmp_path / "own"
    shutil.copytree(sharded, folder)
    monkeypatch.chdir(folder)
    return folder
