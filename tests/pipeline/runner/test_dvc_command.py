from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runner.dvc_command import DvcCommand

WAIT = "import sys; print(flush=True); sys.stdin.read()"


def python(code: str, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_first_ancestor_without_dvcs_mark_is_dvc() -> None:
    """This test is in DVC's role: it starts a marked shell, which starts a marked stage."""
    inner = (
        "from pipeline.runner.dvc_command import DvcCommand; import os; "
        "print(DvcCommand.above(os.getpid()).pid)"
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    output, _ = python(outer, DVC_STAGE="toy", PYTHONPATH=str(Path.cwd())).communicate()
    assert int(output) == os.getpid()


def test_a_stage_started_by_hand_has_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DvcCommand.above(os.getpid()) is None


def test_the_words_are_those_after_dvc() -> None:
    process = python(WAIT, "/usr/bin/dvc", "repro", "pose")
    assert process.stdout is not None
    process.stdout.readline()  # by now it has its command line
    try:
        command = DvcCommand.of(process.pid)
        assert command.words == ("dvc", "repro", "pose")
        assert command.text == "dvc repro pose"
    finally:
        process.communicate()


def test_the_descriptor_reports_the_end() -> None:
    process = python(WAIT)
    assert process.stdout is not None
    process.stdout.readline()
    descriptor = DvcCommand.of(process.pid).open()
    assert descriptor is not None
    assert not select.select([descriptor], [], [], 0.1)[0]
    process.communicate()
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_another_process_under_the_same_number_is_not_taken_for_it() -> None:
    mine = DvcCommand.of(os.getpid())
    assert DvcCommand(mine.pid, mine.started - 1, mine.words).open() is None
    with pytest.raises(OSError, match="No such"):
        DvcCommand.of(2**22 + 1)
