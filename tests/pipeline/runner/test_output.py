"""Progress on a terminal (a pty) and without one; the stage is a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.runner.output import ERASE, PROGRESS
from tests.pipeline.runner.test_child_process import ROOT, runner

LINES = """
import sys, time
print("toy: starts", flush=True)
print("toy: 50/200 images, 10/s, 90 s left, loss 3.1", flush=True)
time.sleep(1.2)
print("toy: a warning", file=sys.stderr, flush=True)
print("toy: 200/200 images, 10/s, 0 s left", flush=True)
print("no end", end="", flush=True)
"""
PLAIN = (
    "toy: starts\n"
    "toy: 50/200 images, 10/s, 90 s left, loss 3.1\n"
    "toy: 200/200 images, 10/s, 0 s left\n"
    "no end"
)
ENDLESS = """
import signal, sys, time
def stop(*_):
    print("toy: stopped", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGHUP, stop)
signal.signal(signal.SIGINT, stop)
print("toy: 50/200 images, 10/s, 90 s left", flush=True)
time.sleep(60)
"""


@dataclass
class Terminal:
    """The runner in a session whose controlling terminal is a pty."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = field(default="")

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown

    def rest(self) -> str:
        """Everything until the runner has ended."""
        while self._read():
            pass
        return self.shown

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 30)[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += data.decode()
        return bool(data)


def environ() -> dict[str, str]:
    """This process's, without the size of another terminal."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}


@contextlib.contextmanager
def terminal(
    code: str, folder: Path, columns: int = 100, term: str = "xterm"
) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        runner(code, folder),
        cwd=folder,
        env={**environ(), "TERM": term, "NO_COLOR": "1"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    yield Terminal(process, master)
    with contextlib.suppress(OSError):
        os.close(master)
    process.kill()
    process.wait()


def screen(shown: str) -> list[str]:
    """Lines that a person sees in the end: what was erased is gone."""
    return [line.split(ERASE)[-1] for line in shown.replace("\r\n", "\n").split("\n")]


def test_without_a_terminal_the_bytes_are_those_of_the_stage(tmp_path: Path) -> None:
    env = {**environ(), "TERM": "xterm"}
    done = subprocess.run(runner(LINES, tmp_path), cwd=tmp_path, env=env, capture_output=True)
    assert done.stdout == PLAIN.encode()
    assert done.stderr == b"toy: a warning\n"


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_on_a_terminal_progress_is_one_live_bar_below_the_other_lines(
    tmp_path: Path, term: str
) -> None:
    with terminal(LINES, tmp_path, term=term) as watched:
        shown = watched.rest()
    lines = screen(shown)
    ended = ["toy: 200/200 images, 10/s, 0 s left", "no end"]
    if term == "dumb":
        progress = "toy: 50/200 images, 10/s, 90 s left, loss 3.1"
        assert lines == ["toy: starts", progress, "toy: a warning", *ended]
        return
    assert [line for line in lines if line] == ["toy: starts", "toy: a warning", *ended]
    bars = re.findall(r"toy: +\S+ +50/200 images, 10/s, (\S+) left, loss 3.1", shown)
    assert len(set(bars)) > 1, "the time left runs on"
    assert set(bars) <= {"0:01:30", "0:01:29", "0:01:28", "0:01:27"}
    assert "\x1b[?25l" not in shown, "no cursor is hidden"


@pytest.mark.parametrize("columns", [20, 59, 60, 80])
def test_a_bar_never_wraps(tmp_path: Path, columns: int) -> None:
    with terminal(LINES, tmp_path, columns=columns) as watched:
        shown = watched.rest()
    bars = re.findall(r"\r\x1b\[K([^\r\n]*)", shown)
    drawn = [bar for bar in bars if bar.startswith("toy")]
    assert drawn
    assert all(len(bar) < columns for bar in drawn if "warning" not in bar and "200/200" not in bar)


def test_ctrl_c_in_the_terminal_removes_the_bar(tmp_path: Path) -> None:
    with terminal(ENDLESS, tmp_path) as watched:
        watched.read_until("0:01:")
        os.write(watched.master, b"\x03")
        lines = screen(watched.rest())
        assert watched.process.wait(30) == 7
    assert lines == ["toy: stopped", ""]


def test_kill_9_of_the_stage_leaves_a_line_of_how_far_it_was(tmp_path: Path) -> None:
    with terminal(ENDLESS, tmp_path) as watched:
        watched.read_until("0:01:")
        (stage,) = (
            Path(f"/proc/{watched.process.pid}/task/{watched.process.pid}/children")
            .read_text()
            .split()
        )
        os.kill(int(stage), signal.SIGKILL)
        lines = screen(watched.rest())
        assert watched.process.wait(30) == 128 + signal.SIGKILL
    assert lines[0] == "toy: 50/200 images, 10/s, 90 s left"
    assert lines[1].startswith("toy: exit code 137, ended by SIGKILL: if nobody sent it")
    assert lines[2:] == [""]


def test_a_closed_terminal_stops_the_stage(tmp_path: Path) -> None:
    """The kernel sends SIGHUP, which is passed on; the stage saves its state as for SIGTERM."""
    code = ENDLESS.replace("def stop(*_):", "def stop(*_):\n    open('stopped', 'w').close()")
    with terminal(code, tmp_path) as watched:
        watched.read_until("0:01:")
        os.close(watched.master)
        watched.process.wait(30)
    assert (tmp_path / "stopped").exists()


def test_the_progress_lines_of_stages_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    from stages.running.progress import Progress

    Progress("shard", 8, "images", every_s=0).step(2)
    found = PROGRESS.search(capsys.readouterr().out)
    assert found is not None
    assert found.group(1, 2) == ("2", "8")
    line = "pretrain: epoch 1/4, step 120/1080, 98 images/s, 12 s left, loss 3.1"
    found = PROGRESS.search(line)
    assert found is not None
    assert found.group(1, 2, 3, 4) == ("120", "1080", "98 images/s", "12")
