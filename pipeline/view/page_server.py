"""The page of an exported model: `handpose export --format web` writes it, and it needs no more.

Any server of files will do, but only one that isolates the page from others lets a browser give the
model more than one thread. Nothing is ever received: the page asks for its own files, and no more.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from handpose.errors import HandPoseError
from pipeline.export.web_page import FILES, INDEX
from pipeline.view.loopback import LoopbackHandler, running, until_stopped

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".gz": "application/gzip",
    ".txt": "text/plain; charset=utf-8",
}
"""Types of what a page consists of, by the end of a file's name."""

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; "
    "worker-src 'self' blob:; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""As the page says itself, and for its threads too."""


class PageFolderError(HandPoseError):
    """A folder that holds no page."""


def serve_page(folder: Path, port: int, log: Callable[[str], None]) -> None:
    """Serve an exported page until Ctrl-C or SIGTERM.

    Raises:
        PageFolderError: the folder holds no page, or a part of it is missing.
        PortError: the port is in use.
    """
    with served_page(folder, port) as address, until_stopped(log) as stopped:
        log(f"{folder} at {address}; Ctrl-C ends it")
        stopped.wait()


@contextlib.contextmanager
def served_page(folder: Path, port: int) -> Iterator[str]:
    """The running server's address.

    Raises:
        PageFolderError: the folder holds no page, or a part of it is missing.
        PortError: the port is in use.
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise PageFolderError(
            f"{folder / missing[0]}: not found; `handpose view FOLDER` opens what `handpose export "
            "FOLDER --format web` wrote, and without a folder the evaluated samples"
        )
    with running(functools.partial(PageHandler, folder), port) as address:
        yield address


class PageHandler(LoopbackHandler):
    """Answers with the page's files and no others."""

    more_headers: ClassVar = {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",  # with it, memory for several threads
    }

    def __init__(self, folder: Path, *args: Any) -> None:
        """Of the page in this folder."""
        self.folder = folder
        super().__init__(*args)

    def content(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes]:
        """A file of `FILES`."""
        name = path.lstrip("/") or INDEX
        if name not in FILES:
            return "", b""
        return KINDS[Path(name).suffix], (self.folder / name).read_bytes()
