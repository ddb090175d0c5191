"""The DVC command that started a stage: its process and its command line."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path

PROC = Path("/proc")
MARK = b"DVC_STAGE="
"""In the environment of every process that DVC starts for a stage, not in that of DVC itself."""


@dataclass(frozen=True)
class DvcCommand:
    """A process that runs or has ended."""

    pid: int
    started: int  # clock ticks since boot; with the pid it identifies a process
    words: tuple[str, ...]  # its command line from `dvc` on, such as ("dvc", "repro", "pose")

    @classmethod
    def above(cls, pid: int) -> DvcCommand | None:
        """The DVC command that started this process; None if there is none, or it has ended.

        The shell that DVC runs a stage in carries DVC's mark, DVC does not: the first ancestor
        without the mark is DVC.

        Raises:
            OSError: a process above may not be looked at, so it is not known.
        """
        try:
            if MARK not in _environment(pid):
                return None
            while pid > 1 and MARK in _environment(pid):
                pid = _parent(pid)
            return cls.of(pid) if pid > 1 else cls._first()
        except (FileNotFoundError, ProcessLookupError):
            return None

    @classmethod
    def _first(cls) -> DvcCommand | None:
        """The first process, if it is DVC: alone in a container. Else it took in an orphan."""
        try:
            command = cls.of(1)
        except OSError:  # of another user
            return None
        return command if command.words[:1] == ("dvc",) else None

    @classmethod
    def of(cls, pid: int) -> DvcCommand:
        """The process with this number.

        Raises:
            OSError: there is none, or it belongs to another user.
        """
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        names = [Path(word).name for word in words if word]
        begin = names.index("dvc") if "dvc" in names else 0
        tail = [word for word in words if word][begin + 1 :]
        return cls(pid, int(_stat(pid)[19]), (*names[begin : begin + 1], *tail))

    def with_words(self, *words: str) -> DvcCommand:
        """The same process with a command line that is known otherwise."""
        return replace(self, words=words)

    @property
    def text(self) -> str:
        """The command line as a person typed it."""
        return " ".join(self.words)

    def open(self) -> int | None:
        """A file descriptor that becomes readable when the process ends; None when it has ended.

        Raises:
            OSError: this system has no such descriptors (Linux before 5.3, some containers).
        """
        if not hasattr(os, "pidfd_open"):
            raise OSError(errno.ENOSYS, "this Python has no pidfd_open")
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if not self.runs():
            os.close(descriptor)
            return None
        return descriptor

    def runs(self) -> bool:
        """Whether it still runs; its number may belong to another process by now."""
        try:
            return DvcCommand.of(self.pid).started == self.started
        except OSError:
            return False


def _environment(pid: int) -> bytes:
    return b"\0" + (PROC / str(pid) / "environ").read_bytes()


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold spaces."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])
