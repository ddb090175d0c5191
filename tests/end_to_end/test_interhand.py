"""docs/interhand.md up to training; a small set and pickled hands are in place of the real ones."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
import pytest

from handpose.hand.mano import SHAPES
from tests.end_to_end.lab import Lab

pytestmark = pytest.mark.end_to_end

PAGE = Path(__file__).parents[2] / "docs" / "interhand.md"


class Run(Protocol):
    def __call__(
        self, folder: Path, *command: str, expect: int = 0, env: dict[str, str] = ...
    ) -> str: ...


def lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def home(tiny_run: Path, tmp_path: Path) -> Path:
    """Somebody's home with both downloads: the synthetic set's four subjects, and hands pickled."""
    home = tmp_path / "home"
    shutil.copytree(tiny_run / "data" / "synthetic", home / "InterHand2.6M")
    models = home / "mano_v1_2" / "models"
    models.mkdir(parents=True)
    for side in ("RIGHT", "LEFT"):
        arrays = np.load(tiny_run / "data" / "stand_in" / f"MANO_{side}.npz")
        content = {name: np.asarray(arrays[name]) for name in SHAPES}
        (models / f"MANO_{side}.pkl").write_bytes(pickle.dumps(content, protocol=4))
    return home


def test_the_page(tiny_copy: Path, home: Path, run: Run) -> None:
    env = {"HOME": str(home), "PREFECT_API_URL": ""}

    def do(line: str) -> str:
        return run(tiny_copy, *line.replace("~", str(home)).split(), env=env)

    mano, configure, verify, shard, inspect, everything, rejects = lines()
    assert "MANO_RIGHT.npz" in do(mano)
    output = do(configure)
    assert f"data.root: data/synthetic -> {home / 'InterHand2.6M'}" in output.splitlines()
    four_people = {"validation_subjects": [2], "test_subjects": [3]}
    Lab(tiny_copy, {}).configure(ingest=four_people)  # the real data have more
    assert "nothing to fix" in do(verify)
    assert run(tiny_copy, "git", "diff", "--name-only").split() == ["params.yaml"]

    samples = tiny_copy / "data" / "ingest" / "samples.parquet"
    before = pq.read_table(samples)
    assert "Running stage 'shard'" in do(shard)
    assert pq.read_table(samples).equals(before), "the same hands, read from pickles"
    index = json.loads((tiny_copy / "data" / "shard" / "index.json").read_text("utf-8"))
    assert index["crop_px"] == 342
    do(inspect)
    assert (tiny_copy / "work" / "inspect.png").stat().st_size > 10_000
    assert everything == "dvc repro"
    do(rejects)
    assert (tiny_copy / "work" / "rejects.png").stat().st_size > 10_000
