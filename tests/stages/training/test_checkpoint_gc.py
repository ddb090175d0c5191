"""What becomes of the checkpoints of finished trainings."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from handpose.training.checkpoint import Checkpoint
from stages import pretrain
from stages.running.command import run_stage
from stages.training.checkpoint_gc import DVC_LOCK, drop_recorded_checkpoints, results_id

OUT = Path("models/pretrain")
NAMES = ("model.safetensors", "model.json", "curves.csv")


def run_pretrain(capsys: pytest.CaptureFixture[str]) -> str:
    assert run_stage(pretrain.main, "pretrain") == 0
    return capsys.readouterr().out


def results() -> dict[str, bytes]:
    return {name: (OUT / name).read_bytes() for name in NAMES}


def record() -> None:
    """As DVC does when a stage has ended well; like DVC, drop the results before the next run."""
    DVC_LOCK.write_text(f"outs:\n- path: {OUT}/model.json\n  md5: {results_id(OUT)}\n")
    shutil.rmtree(OUT)


def test_results_that_dvc_lost_are_written_anew_without_training(
    trainable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_pretrain(capsys)
    first = results()
    shutil.rmtree(OUT)
    printed = run_pretrain(capsys)
    assert "rewriting its results" in printed
    assert "epoch 1/2" not in printed
    assert results() == first, "model.json too, so that nothing after it runs again"


def test_a_run_that_is_recorded_and_asked_for_again_is_trained_again(
    trainable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_pretrain(capsys)
    first = results()
    record()
    printed = run_pretrain(capsys)
    assert "epoch 1/2" in printed
    assert "rewriting" not in printed
    assert results()["model.safetensors"] == first["model.safetensors"]


def test_the_next_run_removes_what_is_recorded_and_nothing_else(
    trainable: Path, capsys: pytest.CaptureFixture[str], set_params: Callable[..., None]
) -> None:
    run_pretrain(capsys)
    (recorded,) = Path("work/pretrain").glob("*/")
    record()
    set_params(pretrain={"lr": 0.5})
    run_pretrain(capsys)
    (lost,) = Path("work/pretrain").glob("*/")
    assert lost != recorded

    set_params(pretrain={"lr": 0.25})
    printed = run_pretrain(capsys)
    assert len(list(Path("work/pretrain").glob("*/"))) == 2
    assert "1 other unfinished or unrecorded" in printed
    assert f"rm -r {lost}" in printed
    set_params(pretrain={"lr": 0.5})
    assert "rewriting its results" in run_pretrain(capsys)


def test_an_unfinished_run_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stages")
    monkeypatch.chdir(tmp_path)
    DVC_LOCK.write_text(json.dumps({"outs": [{"md5": "0" * 32}]}))
    with Checkpoint(Path("work/pose"), {"lr": 1}) as checkpoint:
        checkpoint.save({"step": 3})
    with Checkpoint(Path("work/pose"), {"lr": 2}) as other:
        drop_recorded_checkpoints(other)
    assert checkpoint.path.exists()
    assert len(caplog.messages) == 1


def test_a_mark_that_is_empty_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DVC_LOCK.write_text("anything")
    with Checkpoint(Path("work/pose"), {"lr": 1}) as checkpoint:
        checkpoint.save({"step": 3})
        checkpoint.finish("")
        drop_recorded_checkpoints(checkpoint)
        assert checkpoint.load() == {"step": 3}
