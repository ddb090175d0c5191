from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runner import dvc_command
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


def test_a_system_without_such_descriptors_is_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 5.3, and containers that refuse the call."""

    def refuse(pid: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    mine = DvcCommand.of(os.getpid())
    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="not permitted"):
        mine.open()
    monkeypatch.delattr(os, "pidfd_open")
    with pytest.raises(OSError, match="pidfd_open"):
        mine.open()
    assert mine.runs()


@pytest.mark.parametrize(
    ("words", "is_dvc"),
    [
        (b"/opt/venv/bin/python\0/opt/venv/bin/dvc\0repro\0", True),
        (b"python\0-m\0dvc\0repro\0", True),
        (b"/sbin/init\0", False),
        (b"sh\0-c\0cd a && dvc repro\0", False),
    ],
)
def test_dvc_may_be_the_first_process_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: bytes, is_dvc: bool
) -> None:
    """`docker run IMAGE dvc repro`; another first process has taken in what a dead DVC left."""
    monkeypatch.setattr(dvc_command, "PROC", tmp_path)
    for pid, parent in ((7, 1), (1, 0)):
        (tmp_path / str(pid)).mkdir()
        fields = f"{pid} (a b) S {parent} " + " ".join("0" * 17) + " 55 0"
        (tmp_path / str(pid) / "stat").write_text(fields)
    (tmp_path / "1" / "cmdline").write_bytes(words)
    (tmp_path / "7" / "environ").write_bytes(b"DVC_STAGE=toy\0")
    found = DvcCommand.above(7)
    assert (found is not None) is is_dvc
    if found:
        assert (found.pid, found.started, found.text) == (1, 55, "dvc repro")


def test_a_process_that_may_not_be_looked_at_is_not_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(pid: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dvc_command, "_environment", refuse)
    with pytest.raises(PermissionError):
        DvcCommand.above(os.getpid())


def test_another_process_under_the_same_number_is_not_taken_for_it() -> None:
    mine = DvcCommand.of(os.getpid())
    assert DvcCommand(mine.pid, mine.started - 1, mine.words).open() is None
    with pytest.raises(OSError, match="No such"):
        DvcCommand.of(2**22 + 1)
