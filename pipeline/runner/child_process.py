"""Child processes that never outlive us; a stage as one, with its output forwarded."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, TextIO

from pipeline.runner.output import Output

ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "GOMP_SPINCOUNT": "3000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
"""Environment of a stage, where the user has not set these.

Lines arrive as they are printed. Threads that wait for each other soon sleep instead of spinning:
on a busy machine two spinning torch threads ran at a fourteenth of their speed. Freed memory stays
with the process for the next step: a training step on two cores takes a sixth less time. None of it
changes a result.
"""

PR_SET_PDEATHSIG = 1  # Linux: <sys/prctl.h>

INFO, ERROR = 20, 40  # levels of `logging`
MOST_ERROR_LINES = 30

GRANDCHILDREN_S = 5.0
"""How long workers of a killed stage are waited for: they end by themselves."""


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` after which the child gets SIGTERM when this process dies, even by kill -9.

    Only Linux can do that; elsewhere the function does nothing.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def request() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the request
                os.kill(os.getpid(), signal.SIGTERM)

    return request


class StageProcess:
    """A stage that runs as our child."""

    def __init__(self, command: list[str]) -> None:
        """Start it; a SIGTERM to us is passed on to it, and our own death stops it."""
        self.output = Output()
        self.on_line: Callable[[int, str], None] = lambda level, text: None
        self._errors: deque[str] = deque(maxlen=MOST_ERROR_LINES)
        self._stopped = 0  # number of the signal
        self.abandoned = False  # DVC ended before the stage did
        self.ended_by = 0  # number of the signal that ended it, where it could not say so itself
        self._process: subprocess.Popen[bytes] | None = None
        # Ctrl-C reaches the whole foreground group by itself; SIGTERM and SIGHUP may not.
        _handle(signal.SIGINT, lambda: None)
        _handle(signal.SIGTERM, lambda: self.stop(signal.SIGTERM))
        _handle(signal.SIGHUP, lambda: self.stop(signal.SIGHUP))
        self._process = subprocess.Popen(
            command,
            env=ENVIRONMENT | os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_parent(),
        )
        if self._stopped:
            self.stop(self._stopped)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask the stage, by this signal, to save its state and end."""
        self._stopped = number
        if self._process is not None:
            self._process.send_signal(number)

    def abandon(self) -> None:
        """Stop it because DVC has ended: its result would not be recorded."""
        self.output.line("dvc was stopped, so this stage stops too; `dvc repro` resumes it")
        self.abandoned = True
        self.stop()

    def watch(self, dvc: int | None = None) -> int:
        """Forward its output until it ends; its exit code, 128 + number for a signal.

        `dvc` is a descriptor that becomes readable when DVC ends.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = [
            Pipe(process.stdout, sys.stdout, lambda text: self.on_line(INFO, text), self.output),
            Pipe(process.stderr, sys.stderr, self._error, self.output),
        ]
        with selectors.DefaultSelector() as selector:
            for pipe in pipes:
                selector.register(pipe.source, selectors.EVENT_READ, pipe)
            if dvc is not None:
                selector.register(dvc, selectors.EVENT_READ)
            while process.poll() is None:
                silent = not any(pipe.open for pipe in pipes)
                for key, _ in selector.select(timeout=0.02 if silent else 1.0):
                    if key.data is None:
                        selector.unregister(key.fileobj)
                        self.abandon()
                    elif not key.data.forward():
                        selector.unregister(key.fileobj)
                self.output.refresh()
        code = process.wait()
        self.ended_by = max(-code, 0)
        patience = time.monotonic() + (GRANDCHILDREN_S if self.ended_by else 0)
        for pipe in pipes:  # the rest of its output; a grandchild may still hold the pipe
            os.set_blocking(pipe.source.fileno(), False)
            while pipe.open:
                if not pipe.forward() and pipe.open:
                    if time.monotonic() > patience:
                        break
                    time.sleep(0.02)
            pipe.close()
        self.output.close()
        return code if code >= 0 else 128 + self.ended_by

    def message(self, code: int) -> str:
        """Its error output: all of it where the user can fix it, the last line of a traceback."""
        lines = [line for line in self._errors if line.strip()]
        return "\n".join(lines if code == 2 else lines[-1:])

    def _error(self, text: str) -> None:
        self._errors.append(text)
        self.on_line(ERROR, text)


class Pipe:
    """One of the two pipes from a stage: bytes are forwarded, complete lines reported."""

    def __init__(
        self, source: IO[bytes], target: TextIO, on_line: Callable[[str], None], output: Output
    ) -> None:
        """`target` is our stdout or stderr, which `output` writes."""
        self.source, self.open = source, True
        self._target, self._on_line, self._output = target, on_line, output
        self._by_line = output.live and target is sys.stdout  # progress goes into the bar
        self._rest = b""

    def forward(self) -> bool:
        """Forward what has arrived; False when there is nothing more."""
        try:
            data = os.read(self.source.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self.open = False
            return False
        if not self._by_line:
            self._output.write(self._target, data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._report(line)
        return True

    def close(self) -> None:
        """Report a last line that has no newline."""
        if self._rest:
            self._report(self._rest)
        self.source.close()

    def _report(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        if self._by_line:
            self._output.line(text)
        self._on_line(text)


def _handle(number: signal.Signals, act: Callable[[], None]) -> None:
    """Act on a signal, unless whoever started us ignores it, as nohup does."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda *_: act())
