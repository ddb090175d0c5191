"""Training stages in two processes: started as DVC does, stopped, killed, refused."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.trained_nets import load_gesture_net
from stages import pretrain
from stages.params import load_params
from stages.running.command import run_stage
from stages.training.launch import SHUTDOWN_S, gpu_count, launch_processes
from stages.training.training_data import TrainingData

ROOT = Path(__file__).parents[3]


def start(*stage: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *stage],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rank_zero_of(work: Path) -> int:
    """PID of the process that saves the checkpoint, once there is one."""
    patience = time.monotonic() + 300
    while not list(work.glob("*/checkpoint.pt")):
        assert time.monotonic() < patience, f"no checkpoint in {work}"
        time.sleep(0.05)
    return int((work / "lock").read_text())


def is_there(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def wait_for_another(checkpoint: Path) -> None:
    """Wait until this checkpoint is replaced by a later one."""
    before, deadline = checkpoint.stat().st_mtime_ns, time.monotonic() + 60
    while checkpoint.stat().st_mtime_ns == before:
        assert time.monotonic() < deadline, "it does not train"
        time.sleep(0.02)


def test_two_processes_leave_what_one_does(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    set_params(pretrain={"processes": 2})
    process = start("stages.pretrain")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert output.count("pretrain: epoch 2/2: ") == 1, "rank 0 alone prints"
    out = Path("models/pretrain")
    with (out / "curves.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4", "5", "6"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["samples"] == {"validation": 6}, "each once"
    assert metrics["majority"] == {"coarse": 2 / 6, "fine": 2 / 6}
    assert len(list(Path("work/pretrain").glob("*/finished"))) == 1

    params = load_params()
    data = TrainingData.open(params.pretrain, image_px=64, handedness="handed")
    net, loss = load_gesture_net(out), GestureLoss(0, 0, 1, params.pretrain.fine_weight_max)
    again = pretrain.validate(net, data.validation(), loss)
    assert again == pytest.approx(metrics["validation"]), "the saved weights were validated"


def test_stopped_it_goes_on_and_killed_it_ends_with_a_plain_message(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    set_params(pose={"processes": 2, "checkpoint_every_s": 0}, pose_scratch={"epochs": 500})
    work = Path("work/pose-scratch")
    process = start("stages.pose", "scratch")
    first = rank_zero_of(work)
    process.terminate()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert output.count("stopped by SIGTERM; run again to resume") == 1
    assert not is_there(first)
    (saved,) = work.glob("*/checkpoint.pt")
    step = torch.load(saved, weights_only=True)["state"]["step"]

    process = start("stages.pose", "scratch")
    assert process.stdout is not None
    line = next(line for line in process.stdout if "resumes" in line)
    assert f"resumes after step {step}/1500" in line
    wait_for_another(saved)  # both are at work: while they meet, one may wait for SHUTDOWN_S
    os.kill(rank_zero_of(work), signal.SIGKILL)
    output, _ = process.communicate(timeout=SHUTDOWN_S + 30)
    assert process.returncode == 2, output
    assert "process 0 of 2 was ended by SIGKILL: if nobody sent it" in output
    assert "lower pose.batch in params.yaml" in output
    assert not list(Path("work").glob(".*")), "torchrun's folder is gone"
    assert "Run again to resume from the last checkpoint" in output
    assert "Traceback" not in output


def first_child_of(launcher: int) -> int:
    """A training process, as soon as it is there: before it has imported torch.

    Between fork and exec it has the launcher's environment, and a signal would be lost.
    """
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                is_child = int(parent) == launcher
                if is_child and b"LOCAL_RANK=" in (entry / "environ").read_bytes():
                    return int(entry.name)
        time.sleep(0.01)
    pytest.fail("no process was started")


def test_killed_in_its_first_second_it_says_by_which_signal(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    set_params(pretrain={"processes": 2})
    process = start("stages.pretrain")
    os.kill(first_child_of(process.pid), signal.SIGHUP)
    output, _ = process.communicate(timeout=SHUTDOWN_S + 300)
    assert process.returncode == 2, output
    assert "of 2 was ended by SIGHUP: its terminal or SSH session was closed" in output
    assert "Traceback" not in output


def test_no_process_outlives_a_launcher_that_is_killed_in_their_first_second(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    set_params(pretrain={"processes": 2, "epochs": 500})
    process = start("stages.pretrain")
    child = first_child_of(process.pid)
    process.kill()
    process.communicate(timeout=300)  # until nobody holds its output
    deadline = time.monotonic() + 30  # its files are closed a moment before it is gone
    while is_alive(child):
        assert time.monotonic() < deadline, Path(f"/proc/{child}/status").read_text()
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """False once it has ended, also where nobody has reaped it."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_batch_that_is_too_small_to_share_is_refused_before_anything_starts(
    trainable: Path, set_params: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(pretrain={"processes": 5})
    assert run_stage(pretrain.main, "pretrain") == 2
    output = capsys.readouterr().err
    assert "a batch of 4 samples cannot be shared by 5 processes" in output
    assert "set batch (of all together) in params.yaml to 5 or more" in output


def test_a_missing_gpu_is_reported_once(
    trainable: Path,
    set_params: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    set_params(pretrain={"processes": 2, "batch": 4, "device": "cuda"})
    assert run_stage(pretrain.main, "pretrain") == 2
    assert capfd.readouterr().err.count("torch finds no GPU here") == 1


@pytest.mark.parametrize("processes", [0, 1])
def test_one_process_is_this_one(
    trainable: Path, set_params: Callable[..., None], processes: int
) -> None:
    set_params(pretrain={"processes": processes, "device": "cpu"})
    assert not launch_processes("pretrain", load_params())


def test_zero_is_a_process_for_each_gpu(
    trainable: Path, monkeypatch: pytest.MonkeyPatch, set_params: Callable[..., None]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    set_params(pretrain={"device": "auto"})
    assert gpu_count(load_params().pretrain) == 8
    set_params(pretrain={"device": "cpu"})
    assert gpu_count(load_params().pretrain) == 1
