"""`handpose ui`: a Prefect server for the runs of this clone, and a page server for its results."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from pipeline.live.server import OWN, QUIET, Server
from pipeline.runner.child_process import die_with_parent
from pipeline.runner.environment import past_proxies

HOST = "127.0.0.1"
READY_S = 120.0

NEWER_DATABASE = "Can't locate revision identified by"
"""In the log of a server whose database has a later migration than it knows (alembic)."""


class UiError(HandPoseError):
    """The server cannot be started."""


def serve(root: Path, port: int, log: Callable[[str], None]) -> None:
    """Run the server until Ctrl-C or SIGTERM, or log where one runs already.

    Its database and its log are in `<root>/.prefect`, where `Server.find` reads its address.

    Raises:
        UiError: the port belongs to something else, or the server does not come up.
    """
    server = Server(f"http://{HOST}:{port}/api")
    asks = bool(os.environ.get("PREFECT_SERVER_API_AUTH_STRING"))
    if server.listens():
        if not server.healthy():
            raise UiError(
                f"port {port} is in use, and not by a Prefect server; choose another: "
                f"`handpose ui --port {port + 100}`"
            )
        log(f"a Prefect server runs at {server.ui} already; {_reported_runs(root, server)}")
        return
    home = (root / OWN).parent
    home.mkdir(exist_ok=True)
    started = time.monotonic()
    with (
        _until_stopped(log),
        _prefect(home, port) as process,
        _results(root, port + 1) as pages,
    ):
        _wait(server, process, home / "server.log")
        with _address_file(root, {"api": server.api, "results": pages, "pid": os.getpid()}):
            log(f"ready after {time.monotonic() - started:.0f} s: {server.ui}")
            log(f"{_reported_runs(root, server)}; Ctrl-C ends the server")
            if asks:
                log("it asks for an auth string: export PREFECT_API_AUTH_STRING in other terminals")
            process.wait()
            raise UiError(f"the server ended by itself; its log: {home / 'server.log'}")


def _reported_runs(root: Path, server: Server) -> str:
    """Which runs of this clone are reported to this server."""
    if os.environ.get("PREFECT_API_URL") == "":
        return "no run is reported to it: PREFECT_API_URL is set to nothing here"
    found = Server.find(root)
    if found is None or _plain(found.api) != server.api:
        where = found.ui if found else "nowhere, since PREFECT_API_URL names a server that is away"
        return (
            f"but runs here are reported to {where}; to see them on this server: "
            f"export PREFECT_API_URL={server.api}"
        )
    if trouble := found.trouble():
        return f"but runs here are not reported to it: {trouble.text}"
    return "every `dvc repro` here shows there as it runs"


def _plain(api: str) -> str:
    return api.replace("//localhost:", f"//{HOST}:")


@contextlib.contextmanager
def _address_file(root: Path, addresses: dict[str, object]) -> Iterator[None]:
    """Write the addresses where `Server.find` looks for them; delete the file after the block."""
    with atomic_file(root / OWN) as partial:
        partial.write_text(json.dumps(addresses), encoding="utf-8")
    try:
        yield
    finally:
        (root / OWN).unlink(missing_ok=True)


@contextlib.contextmanager
def _prefect(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect server on loopback, which ends with the block and with this process."""
    api = f"http://{HOST}:{port}/api"
    settings = {"PREFECT_HOME": str(home), "PREFECT_API_URL": api, "PREFECT_UI_API_URL": api}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "prefect", "server", "start"),
                *("--host", HOST, "--port", str(port)),
            ],
            env=os.environ | QUIET | settings | past_proxies(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop it
            preexec_fn=die_with_parent(),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not (server.listens() and server.healthy()):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()
            if any(NEWER_DATABASE in line for line in lines):
                database = log.with_name("prefect.db")
                raise UiError(
                    f"{database} was written by a newer Prefect than this one, "
                    f"{metadata.version('prefect')}; go back to that version, or start a new "
                    f"database, without the runs of this one: mkdir {log.parent}/newer && "
                    f"mv {database}* {log.parent}/newer"
                )
            raise UiError(
                f"the Prefect server did not come up; {log} ends with: "
                f"{lines[-1].strip() if lines else 'nothing'}. `handpose doctor` checks versions"
            )
        time.sleep(0.1)


class Results(SimpleHTTPRequestHandler):
    """Serves the files of `results/` read-only: no listing, nothing outside the folder."""

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Refuse to list any folder."""
        self.send_error(404)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Refuse a link that leads outside the folder."""
        inside = Path(self.directory).resolve()
        if not Path(self.translate_path(self.path)).resolve().is_relative_to(inside):
            self.send_error(404)
            return None
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Log no request."""


@contextlib.contextmanager
def _results(root: Path, port: int) -> Iterator[str]:
    """Serve `results/` on loopback; yields the address. Another port if that one is taken."""
    handler = functools.partial(Results, directory=str(root / "results"))
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError:
        server = ThreadingHTTPServer((HOST, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def _until_stopped(log: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block without an error."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        log("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
