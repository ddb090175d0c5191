"""The local page: a server on loopback that answers GET alone, and nothing to other hosts."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from handpose.errors import HandPoseError
from pipeline.view.evaluated import EvaluatedSamples, Query, ViewError

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "view.html"

POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
"""Content-Security-Policy: the page can load nothing from elsewhere."""


def serve(samples: EvaluatedSamples, port: int, log: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        ViewError: the port is in use.
    """
    with served(samples, port) as address, _until_stopped(log) as stopped:
        log(f"{len(samples.table):,} samples at {address}; Ctrl-C ends it")
        stopped.wait()


@contextlib.contextmanager
def served(samples: EvaluatedSamples, port: int) -> Iterator[str]:
    """The running server's address.

    Raises:
        ViewError: the port is in use.
    """
    handler = functools.partial(Handler, samples, threading.Lock())
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise ViewError(
            f"port {port} cannot be used ({error.strerror}); choose another: "
            f"`handpose view --port {port + 100}`"
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers the page's requests."""

    def __init__(self, samples: EvaluatedSamples, reading: threading.Lock, *args: Any) -> None:
        """`reading`: the shards are read by one request at a time."""
        self.samples, self.reading = samples, reading
        super().__init__(*args)

    def do_GET(self) -> None:
        """The page, what it offers, a list of rows, a row, or its photo."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):  # a page of elsewhere whose name leads here
            self._send(403, "text/plain", b"this server answers to its own address alone")
            return
        url = urlsplit(self.path)
        try:
            kind, content = self._content(url.path, parse_qs(url.query))
        except HandPoseError as error:
            self._send(400, "text/plain", str(error).encode())
            return
        if kind:
            self._send(200, kind, content)
        else:
            self._send(404, "text/plain", b"not found")

    def _content(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes]:
        """Type and content of an answer; without a type there is none."""
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

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no request."""


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


@contextlib.contextmanager
def _until_stopped(log: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda *_: stopped.set()) for one in signals}
    try:
        yield stopped
        log("stopped")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
