"""Faults that no command names itself: told in words, without a traceback."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __main__ as line
from pipeline import actions


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def run(_: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(actions, "describe", run)
    return line.main(["describe"])


def test_a_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(PermissionError(13, "Permission denied", "params.yaml"), monkeypatch) == 2
    told = "handpose: params.yaml: Permission denied; mend its permission, or name another place\n"
    assert capsys.readouterr().err == told


def test_ctrl_c_is_the_users_wish_and_a_mistake_of_ours_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "handpose: stopped by Ctrl-C\n"
    with pytest.raises(OSError, match="ours"):
        fails_with(OSError("ours"), monkeypatch)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As in `handpose compare | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "labels", "check"],
        cwd=Path(__file__).parents[2],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    _, told = command.communicate(timeout=60)
    assert (command.returncode, told) == (128 + 13, "")
