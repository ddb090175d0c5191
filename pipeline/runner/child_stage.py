"""A door of `stages/` as a child process: its lines handed on, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import IO, TextIO

from pipeline.runner.child import die_with_me

ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "GOMP_SPINCOUNT": "3000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
"""Environment of a door, where the user has set nothing else.

Lines come as they are printed. Threads that wait for each other soon sleep instead of spinning: on
a busy machine two spinning torch threads ran at a fourteenth of their speed. Freed memory is kept
for the next step instead of being handed back: a training step on two cores takes a sixth less
time. None of it changes a result.
"""

INFO, ERROR = 20, 40  # levels of `logging`
MOST_ERROR_LINES = 30


class StageProcess:
    """A door that runs as our child."""

    def __init__(self, command: list[str]) -> None:
        """Start it; a SIGTERM to us reaches it, and so does our own death."""
        self.on_line: Callable[[int, str], None] = lambda level, text: None
        self._errors: deque[str] = deque(maxlen=MOST_ERROR_LINES)
        self._stopped = False
        self.abandoned = False  # DVC ended before the door did
        self._process: subprocess.Popen[bytes] | None = None
        # Ctrl-C reaches the whole foreground group by itself; SIGTERM and SIGHUP may not.
        _handle(signal.SIGINT, lambda: None)
        _handle(signal.SIGTERM, self.stop)
        _handle(signal.SIGHUP, self.stop)
        self._process = subprocess.Popen(
            command,
            env=ENVIRONMENT | os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_me(),
        )
        if self._stopped:
            self.stop()

    def stop(self) -> None:
        """Ask the door to save its state and leave."""
        self._stopped = True
        if self._process is not None:
            self._process.terminate()

    def abandon(self) -> None:
        """Stop it because DVC has ended: nobody waits for its result any more."""
        say("dvc was stopped, so this stage stops too; `dvc repro` goes on from here")
        self.abandoned = True
        self.stop()

    def watch(self, dvc: int | None = None) -> int:
        """Hand its lines on until it ends; its exit code, 128 + number for a signal.

        `dvc` is a descriptor that becomes readable when DVC ends.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        streams = [
            Stream(process.stdout, sys.stdout, lambda text: self.on_line(INFO, text)),
            Stream(process.stderr, sys.stderr, self._error),
        ]
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream.pipe, selectors.EVENT_READ, stream)
            if dvc is not None:
                selector.register(dvc, selectors.EVENT_READ)
            while process.poll() is None:
                silent = not any(stream.open for stream in streams)
                for key, _ in selector.select(timeout=0.02 if silent else 1.0):
                    if key.data is None:
                        selector.unregister(key.fileobj)
                        self.abandon()
                    elif not key.data.pump():
                        selector.unregister(key.fileobj)
        code = process.wait()
        for stream in streams:  # what it said last; a grandchild may still hold the pipe
            os.set_blocking(stream.pipe.fileno(), False)
            while stream.open and stream.pump():
                pass
            stream.close()
        return code if code >= 0 else 128 - code

    def message(self, code: int) -> str:
        """What it said of its failure: all of it to a user, of a traceback the last line."""
        lines = [line for line in self._errors if line.strip()]
        return "\n".join(lines if code == 2 else lines[-1:])

    def _error(self, text: str) -> None:
        self._errors.append(text)
        self.on_line(ERROR, text)


class Stream:
    """One of the two pipes from a door, handed on byte by byte and told line by line."""

    def __init__(self, pipe: IO[bytes], ours: TextIO, tell: Callable[[str], None]) -> None:
        """`ours` is where the bytes go on to."""
        self.pipe, self.open = pipe, True
        self._ours, self._tell, self._rest = ours, tell, b""

    def pump(self) -> bool:
        """Hand on what has come; False when there is nothing more."""
        try:
            data = os.read(self.pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self.open = False
            return False
        with contextlib.suppress(OSError):  # our reader may be gone; the door's work goes on
            self._ours.buffer.write(data)
            self._ours.flush()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line.decode(errors="replace"))
        return True

    def close(self) -> None:
        """Tell a last line that has no end."""
        if self._rest:
            self._tell(self._rest.decode(errors="replace"))
        self.pipe.close()


def _handle(number: signal.Signals, act: Callable[[], None]) -> None:
    """Act on a signal, unless whoever started us had it ignored, as nohup does."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda *_: act())


def say(text: str) -> None:
    """A line of the runner itself."""
    with contextlib.suppress(OSError):
        print(text, flush=True)
