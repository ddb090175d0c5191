"""A fresh clone, the tiny profile, and plain `dvc repro`: what a new user meets, in small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.end_to_end


def test_every_result_is_there(tiny_run: Path) -> None:
    for name in ("metrics.json", "summary.txt", "report.html", "predictions.parquet"):
        assert (tiny_run / "results" / name).stat().st_size > 0
    assert list((tiny_run / "results" / "pictures").glob("*.png"))
    assert json.loads((tiny_run / "results" / "metrics.json").read_text())


def test_a_second_run_does_nothing(tiny_copy: Path, run: Any) -> None:
    assert "Running stage" not in run(tiny_copy, "dvc", "repro")


def test_git_sees_the_lock_and_the_parameters_and_nothing_else(tiny_run: Path, run: Any) -> None:
    changed = run(tiny_run, "git", "diff", "--name-only", "HEAD~1").split()
    assert set(changed) == {"params.yaml", "dvc.lock"}
    assert not run(tiny_run, "git", "status", "--porcelain")


def test_what_a_user_can_mend_exits_with_a_plain_message(tiny_copy: Path, run: Any) -> None:
    params = tiny_copy / "params.yaml"
    good = params.read_text("utf-8")
    params.write_text(good.replace("epochs: 1", "epoch: 1", 1), encoding="utf-8")
    output = run(tiny_copy, "python", "-m", "stages.pretrain", expect=2)
    assert "did you mean pretrain.epochs?" in output
    assert "Traceback" not in output
    params.write_text(good.replace("root: data/synthetic", "root: /nowhere"), encoding="utf-8")
    output = run(tiny_copy, "python", "-m", "stages.ingest", expect=2)
    assert "/nowhere" in output
    assert "Traceback" not in output
