"""A server on loopback that answers GET alone, and nothing to other hosts."""

from __future__ import annotations

import contextlib
import signal
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from handpose.errors import HandPoseError

HOST = "127.0.0.1"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer."""


class PortError(HandPoseError):
    """The port is in use, or may not be used."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers requests of pages that this server itself has sent."""

    more_headers: ClassVar[Mapping[str, str]] = {}
    """Beside `HEADERS`."""

    @abstractmethod
    def content(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes]:
        """Type and content of an answer; without a type there is none.

        Raises:
            HandPoseError: the address asks for something that cannot be; its words are sent.
        """

    def do_GET(self) -> None:
        """Answer, or refuse."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):  # a page of elsewhere whose name leads here
            self._send(403, "text/plain", b"this server answers to its own address alone")
            return
        url = urlsplit(self.path)
        try:
            kind, content = self.content(url.path, parse_qs(url.query))
        except HandPoseError as error:
            self._send(400, "text/plain", str(error).encode())
            return
        if kind:
            self._send(200, kind, content)
        else:
            self._send(404, "text/plain", b"not found")

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(content))}
        for name, value in {**own, **HEADERS, **self.more_headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no request."""


@contextlib.contextmanager
def running(handler: Callable[..., LoopbackHandler], port: int) -> Iterator[str]:
    """The address of a server that runs until the block ends; port 0 takes a free one.

    Raises:
        PortError: the port cannot be used.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise PortError(
            f"port {port} cannot be used ({error.strerror}); choose another by --port {port + 100}"
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def until_stopped(log: Callable[[str], None]) -> Iterator[threading.Event]:
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
