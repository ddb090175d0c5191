"""The DVC command that started a stage: which process it is, and what it was asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

PROC = Path("/proc")
MARK = b"DVC_STAGE="
"""In the environment of all that DVC starts for a stage, and not in that of DVC itself."""


@dataclass(frozen=True)
class Command:
    """A process that lives, or lived."""

    pid: int
    started: int  # clock ticks since boot; with the pid it names a process for ever
    words: tuple[str, ...]  # its command line from `dvc` on, such as ("dvc", "repro", "pose")

    @classmethod
    def above(cls, pid: int) -> Command | None:
        """The DVC command that started this process; None when DVC did not, or it has ended.

        The shell that DVC runs a stage in carries DVC's mark, DVC does not: the first ancestor
        without the mark is DVC.
        """
        try:
            if MARK not in _environment(pid):
                return None
            while MARK in _environment(pid):
                pid = _parent(pid)
            return cls.of(pid) if pid > 1 else None
        except OSError:
            return None

    @classmethod
    def of(cls, pid: int) -> Command:
        """The process with this number.

        Raises:
            OSError: there is none, or it belongs to somebody else.
        """
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        names = [Path(word).name for word in words if word]
        begin = names.index("dvc") if "dvc" in names else 0
        tail = [word for word in words if word][begin + 1 :]
        return cls(pid, int(_stat(pid)[19]), (*names[begin : begin + 1], *tail))

    def asked(self, *words: str) -> Command:
        """The same process, where it is known what it was asked for."""
        return replace(self, words=words)

    @property
    def text(self) -> str:
        """As a person typed it."""
        return " ".join(self.words)

    def open(self) -> int | None:
        """A file descriptor that becomes readable when the process ends; None when it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        try:
            same = Command.of(self.pid).started == self.started
        except OSError:
            same = False
        if not same:  # it ended, and its number was given to another process
            os.close(descriptor)
            return None
        return descriptor


def _environment(pid: int) -> bytes:
    return b"\0" + (PROC / str(pid) / "environ").read_bytes()


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold spaces."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])
