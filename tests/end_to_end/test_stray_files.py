"""What systems and editors leave in folders of data and of code runs no stage again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.lab import Lab
from tests.stages.small_dataset import Dataset
from tests.stray_files import leave_strays

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).parents[2]


def test_files_that_nobody_reads_run_at_most_the_records(
    tmp_path: Path,
    stand_in: Path,
    environ_of: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Data and hand model outside the clone, where DVC ignores nothing, and the code inside."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    monkeypatch.chdir(tmp_path)
    Dataset().write()
    hand = Path(shutil.copytree(stand_in, tmp_path / "mano"))
    lab = Lab(clone, environ_of(clone))
    lab.configure(
        data={"root": str(tmp_path / "dataset")},
        hand={"mano": str(hand)},
        ingest={"validation_subjects": [4], "test_subjects": [7]},
        shard={"workers": 1},
    )
    lab.do("dvc repro shard")
    for folder in (tmp_path / "dataset", hand):
        leave_strays(folder, locks=False)
    for part in ("handpose", "stages", "labels", "data/shard/tars"):
        leave_strays(clone / part)
    output = lab.do("dvc repro shard")
    for stage in ("code", "ingest", "label", "shard"):
        assert f"Stage '{stage}' didn't change, skipping" in output, output
    assert output.count("Running stage") == output.count("Running stage 'inputs'") == 1
    assert "Running stage" not in lab.do("dvc repro shard"), "said once"

    camera = tmp_path / "dataset/annotations/train/InterHand2.6M_train_camera.json"
    camera.write_text(camera.read_text("utf-8") + " ", encoding="utf-8")
    assert "Running stage 'ingest'" in lab.do("dvc repro shard")
