"""Processes that make batches, in a training stage: the same model, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from handpose.files import digest
from stages import pretrain
from stages.running.command import run_stage
from tests.data.processes.test_batch_processes import children_of, wait_until_gone, workers_of
from tests.stages.training.test_launch import rank_zero_of, start

MODEL = Path("models/pretrain/model.safetensors")
EPOCHS = 8  # more than are over before a process is killed


@pytest.fixture
def training(
    trainable: Path, set_params: Callable[..., None]
) -> tuple[subprocess.Popen[str], set[int]]:
    """A training that has saved a checkpoint, and the workers that make its batches."""
    set_params(pretrain={"loader_workers": 2, "epochs": EPOCHS, "checkpoint_every_s": 0})
    process = start("stages.pretrain")
    rank_zero_of(Path("work/pretrain"))
    return process, workers_of(process.pid, 2)


def test_processes_train_the_same_model(trainable: Path, set_params: Callable[..., None]) -> None:
    digests = []
    before = children_of(os.getpid())
    for workers in (0, 2):
        set_params(pretrain={"loader_workers": workers, "device": "cpu"})
        assert run_stage(pretrain.main, "pretrain") == 0
        digests.append(digest(MODEL))
        assert children_of(os.getpid()) == before
        MODEL.unlink()
    assert digests[0] == digests[1]


def test_after_a_killed_worker_the_training_says_why_and_goes_on(
    training: tuple[subprocess.Popen[str], set[int]],
    set_params: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    process, workers = training
    os.kill(min(workers), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2, output
    assert "one of 2 processes that make batches was ended by SIGKILL" in output
    assert "lower pretrain.loader_workers in params.yaml. Run again" in output
    assert "Traceback" not in output
    wait_until_gone(workers)
    set_params(pretrain={"loader_workers": 1})
    assert run_stage(pretrain.main, "pretrain") == 0
    assert "pretrain: resumes after step" in capsys.readouterr().out


def test_a_batch_system_stops_every_process_and_the_training_saves_its_step(
    training: tuple[subprocess.Popen[str], set[int]],
) -> None:
    process, workers = training
    for one in (*workers, *children_of(process.pid), process.pid):
        os.kill(one, signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "stopped by SIGTERM; run again to resume" in output
    wait_until_gone(workers)
