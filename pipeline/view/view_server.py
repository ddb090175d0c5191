"""The page of evaluated samples: what it asks for, and what it gets."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from pipeline.view.evaluated import EvaluatedSamples, Query, ViewError
from pipeline.view.loopback import LoopbackHandler, running, until_stopped

PAGE = Path(__file__).parent / "view.html"

POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
"""Content-Security-Policy: the page can load nothing from elsewhere."""


def serve(samples: EvaluatedSamples, port: int, log: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        PortError: the port is in use.
    """
    with served(samples, port) as address, until_stopped(log) as stopped:
        log(f"{len(samples.table):,} samples at {address}; Ctrl-C ends it")
        stopped.wait()


@contextlib.contextmanager
def served(samples: EvaluatedSamples, port: int) -> Iterator[str]:
    """The running server's address.

    Raises:
        PortError: the port is in use.
    """
    with running(functools.partial(SampleHandler, samples, threading.Lock()), port) as address:
        yield address


class SampleHandler(LoopbackHandler):
    """Answers the page's requests."""

    more_headers: ClassVar = {"Content-Security-Policy": POLICY}

    def __init__(self, samples: EvaluatedSamples, reading: threading.Lock, *args: Any) -> None:
        """`reading`: the shards are read by one request at a time."""
        self.samples, self.reading = samples, reading
        super().__init__(*args)

    def content(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes]:
        """The page, what it offers, a list of rows, a row, or its photo."""
        word, _, row = path.lstrip("/").partition("/")
        if path == "/":
            return "text/html; charset=utf-8", PAGE.read_bytes()
        with self.reading:
            if word == "photo":
                return "image/png", self.samples.photo(_row(row))
            found: Any = None
            if path == "/choices":
                found = self.samples.choices()
            elif path == "/rows":
                found = self.samples.listed(_query(query))
            elif word == "row":
                found = self.samples.described(_row(row))
        return ("", b"") if found is None else ("application/json", json.dumps(found).encode())


def _row(word: str) -> int:
    """Raises ViewError: it is no number."""
    if not word.isdecimal():
        raise ViewError(f"row {word!r}: expected a number")
    return int(word)


def _query(words: dict[str, list[str]]) -> Query:
    """A query of an address.

    Raises:
        ViewError: a number is none, or there is no split.
    """
    if "split" not in words:
        raise ViewError("the address names no split; expected such as rows?split=test")

    def word(name: str, default: str) -> str:
        return words.get(name, [default])[0]

    try:
        least_mm, offset = float(word("least_mm", "0")), int(word("offset", "0"))
    except ValueError as error:
        raise ViewError(f"least_mm and offset: expected numbers; {error}") from None
    if not 0 <= least_mm < math.inf:
        raise ViewError(f"least_mm: {least_mm}, expected 0 or more")
    return Query(
        split=words["split"][0],
        gesture=word("gesture", ""),
        wrong_gesture=word("wrong", "") == "1",
        least_mm=least_mm,
        order=word("order", "as stored"),
        offset=max(0, offset),
    )
