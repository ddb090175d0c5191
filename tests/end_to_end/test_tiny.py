"""A fresh clone, the tiny profile, and plain `dvc repro`: what a new user meets, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.end_to_end


def run(clone: Path, *command: str, expect: int = 0) -> str:
    """Run in the clone; returns all that was printed, and shows it when the exit code differs."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        command, cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def fresh_clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    run(folder, "python", "-m", "pipeline", "configure", "--profile", "tiny")
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the whole pipeline ran once."""
    folder = fresh_clone(tmp_path_factory.mktemp("user") / "clone")
    print(run(folder, "dvc", "repro"))
    return folder


def test_every_result_is_there(clone: Path) -> None:
    for name in ("metrics.json", "summary.txt", "report.html", "predictions.parquet"):
        assert (clone / "results" / name).stat().st_size > 0
    assert list((clone / "results" / "pictures").glob("*.png"))
    metrics = json.loads((clone / "results" / "metrics.json").read_text())
    assert metrics


def test_a_second_run_does_nothing(clone: Path) -> None:
    assert "Running stage" not in run(clone, "dvc", "repro")


def test_git_sees_the_lock_and_the_parameters_and_nothing_else(clone: Path) -> None:
    changed = run(clone, "git", "status", "--porcelain").split()
    assert set(changed) == {"M", "params.yaml", "??", "dvc.lock"}


def test_relabelling_runs_label_and_leaves_the_shards(clone: Path) -> None:
    path = clone / "labels" / "gesture_map.csv"
    before = path.read_text("utf-8")
    header, *rows = before.splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    told = run(clone, "dvc", "repro")
    assert "Running stage 'label'" in told
    assert told.count("Running stage") == 1, "reordering rows re-runs nothing but label"

    path.write_text(merged(before), encoding="utf-8")
    plan = run(clone, "dvc", "repro", "shard")
    assert "Running stage 'label'" in plan
    assert "Running stage 'shard'" not in plan
    status = run(clone, "dvc", "status", "pretrain", "evaluate")
    assert "modified:           data/labels/labels.parquet" in status
    path.write_text(before, encoding="utf-8")
    assert "Running stage" not in run(clone, "dvc", "repro"), "undo restores from the cache"


def merged(table: str) -> str:
    """The map with thumbup_relaxed's fine class renamed on both hands: a real change of labels."""
    lines = table.splitlines()
    fine = next(line for line in lines if line.startswith("0006_thumbup_relaxed")).split(",")[6]
    return "\n".join(line.replace(f",{fine},", f",{fine}_soft,") for line in lines) + "\n"


def test_what_a_user_can_mend_exits_with_a_plain_message(clone: Path) -> None:
    params = clone / "params.yaml"
    good = params.read_text("utf-8")
    params.write_text(good.replace("epochs: 1", "epoch: 1", 1), encoding="utf-8")
    told = run(clone, "python", "-m", "stages.pretrain", expect=2)
    assert "did you mean pretrain.epochs?" in told
    assert "Traceback" not in told
    params.write_text(good.replace("root: data/synthetic", "root: /nowhere"), encoding="utf-8")
    told = run(clone, "python", "-m", "stages.ingest", expect=2)
    assert "/nowhere" in told
    assert "Traceback" not in told
    params.write_text(good, encoding="utf-8")
