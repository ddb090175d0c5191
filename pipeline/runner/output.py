"""A stage's output: forwarded byte by byte, or on a terminal with its progress as a live bar."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from datetime import timedelta
from typing import TextIO

PROGRESS = re.compile(r"(\d+)/(\d+)[^,/]*, ([^,]*/s), (\d+) s left")
"""In lines of `stages.running.progress.Progress` and `handpose.training.fit.ProgressLog`: done,
total, rate, seconds left."""

ERASE = "\r\x1b[K"  # the terminal's current line
BAR_WIDTH, NARROW = 24, 60  # columns; a narrow terminal has text alone


class Output:
    """Our stdout and stderr; on a terminal a progress bar stays below all other lines.

    The bar is erased before anything else is written and drawn again after it. No cursor is hidden
    and no thread draws, so a process that is killed leaves one line behind at most.
    """

    def __init__(self) -> None:
        """`live`: stdout is a terminal that can erase a line."""
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._lock = threading.RLock()  # the reporter to Prefect prints from a thread of its own
        self._progress: tuple[str, re.Match[str], float] | None = None
        self._last = ""  # line of progress, if no other line came since
        self._drawn = False
        self._line_ended = True

    def write(self, stream: TextIO, data: bytes) -> None:
        """Write to stdout or stderr; a reader that is gone does not stop the stage."""
        with self._lock, contextlib.suppress(OSError):
            if self._drawn:
                sys.stdout.write(ERASE)
                sys.stdout.flush()
                self._drawn = False
            stream.buffer.write(data)
            stream.flush()
            self._line_ended = data.endswith(b"\n") if data else self._line_ended
            if self._progress and self._line_ended:
                sys.stdout.write(_bar(*self._progress))
                sys.stdout.flush()
                self._drawn = True

    def line(self, text: str) -> None:
        """Print a line; on a terminal, progress that is not at its end moves the bar instead."""
        with self._lock:
            found = PROGRESS.search(text) if self.live else None
            moves = found is not None and found[1] != found[2]
            if found:
                self._progress = (text, found, time.monotonic()) if moves else None
            self._last = text if moves else ""
            self.write(sys.stdout, b"" if moves else f"{text}\n".encode())

    def refresh(self) -> None:
        """Draw the bar again: its time left runs on between two lines of progress."""
        if self._progress:
            self.write(sys.stdout, b"")

    def close(self) -> None:
        """Remove the bar; print the line that it shows if no other line came since."""
        with self._lock:
            self._progress = None
            self.write(sys.stdout, f"{self._last}\n".encode() if self._last else b"")


def _bar(text: str, found: re.Match[str], since: float) -> str:
    """One line of a terminal's width, drawn by rich: what is done, how fast, and the time left."""
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    left = timedelta(seconds=int(max(float(found[4]) - (time.monotonic() - since), 0)))
    counts = found[0].rpartition(", ")[0]
    cells = [text[: found.start()].rstrip(), f"{counts}, {left} left{text[found.end() :]}"]
    row = Table.grid(*cells, padding=(0, 1))
    for column in row.columns:
        column.no_wrap = True
    if console.width >= NARROW:
        row.add_row(cells[0], ProgressBar(float(found[2]), float(found[1]), BAR_WIDTH), cells[1])
    else:
        row.add_row(*cells)
    with console.capture() as drawn:
        console.print(row, width=console.width - 1)
    return drawn.get().splitlines()[0]
