from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from stages import pose, shift
from stages.running.command import REMEDIES, run_stage, stage_command

ROOT = Path(__file__).parents[3]


def test_user_errors_exit_2_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise HandPoseError("params.yaml: mend it")

    assert run_stage(refuse, "shard") == 2
    assert capsys.readouterr().err == "shard: params.yaml: mend it\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_prints_the_docstring_of_the_stage_and_starts_nothing(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pose.py", "pretrained", flag])
    assert stage_command(pose.main, "pose", takes_run=True) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Stage 2, gesture-guided pose or its baseline: `python -m stages.")
    assert pose.__doc__ is not None
    assert printed.strip() == pose.__doc__.strip()


def test_a_stage_without_arguments_refuses_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["shift.py", "--severities", "0.5"])
    assert stage_command(shift.main, "shift") == 2
    assert capsys.readouterr().err == (
        "shift: found --severities 0.5, expected no argument; parameters are in params.yaml\n"
    )


def test_a_stage_that_is_started_as_a_module_prints_its_own_help(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.code", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The code of every stage: `python -m stages.code`.")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "data/shard/tars")

    assert run_stage(fill, "shard") == 2
    message = capsys.readouterr().err
    assert "No space left on device (data/shard/tars)" in message
    assert "Free space" in message


@pytest.mark.parametrize("number", sorted(REMEDIES))
def test_each_fault_of_the_system_has_its_own_remedy(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "data/x")

    assert run_stage(fail, "shard") == 2
    message = capsys.readouterr().err
    assert message.startswith(f"shard: {os.strerror(number)} (data/x). No half-written file")
    assert ("Free space" in message) == (number == errno.ENOSPC)


def test_no_memory_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        np.zeros(1 << 45)  # more than any address

    assert run_stage(fill, "ingest") == 2
    assert "ingest: memory is out (Unable to allocate" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stop_removes_what_is_half_written(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked twice, as by a batch system and by the runner."""

    def write() -> None:
        with atomic_file(tmp_path / "out") as partial:
            try:
                partial.write_text("half")
                os.kill(os.getpid(), number)
                time.sleep(60)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(number)
    assert run_stage(write, "ingest") == 128 + number
    assert f"ingest: stopped by {number.name}: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        assert run_stage(lambda: os.kill(os.getpid(), signal.SIGHUP), "ingest") == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert run_stage(interrupt, "shard") == 130
    assert capsys.readouterr().err == "shard: stopped by Ctrl-C; run again to resume\n"


def test_our_own_faults_keep_their_traceback() -> None:
    def fault() -> None:
        raise KeyError("joint")

    with pytest.raises(KeyError):
        run_stage(fault, "shard")
