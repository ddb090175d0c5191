"""A Prefect server in small: the routes that `pipeline` calls, and ways to misbehave.

tests/end_to_end/test_prefect.py makes the same calls to a real one.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FakePrefect:
    """What was reported, by kind, and how the server is to behave."""

    def __init__(self) -> None:
        self.flow_runs: dict[str, dict[str, Any]] = {}
        self.task_runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.logs: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.status = 200
        self.auth = ""  # the value of the header that it asks for
        self.version = "3.8.8"
        self.proxied = False  # it stands for a proxy, which is asked for whole addresses
        self.api = ""

    def answer(self, method: str, path: str, body: Any) -> Any:
        parts = path.removeprefix("/api").strip("/").split("/")
        match method, *parts:
            case "GET", "health":
                return True
            case "POST", "flows", "count":
                return len(self.flow_runs)
            case "GET", "admin", "version":
                return self.version
            case "POST", "flows":
                return {"id": "flow", **body}
            case "POST", "flow_runs":
                same = [
                    r for r in self.flow_runs.values() if r["unique"] == body["idempotency_key"]
                ]
                return same[0] if same else self._new(self.flow_runs, body, body["idempotency_key"])
            case "GET", "flow_runs", number:
                return self.flow_runs[number]
            case "POST", "task_runs":
                key = body["flow_run_id"] + body["task_key"] + body["dynamic_key"]
                same = [r for r in self.task_runs.values() if r["unique"] == key]
                return same[0] if same else self._new(self.task_runs, body, key)
            case "POST", "task_runs", "filter":
                (wanted,) = body["flow_runs"]["id"]["any_"]
                return [r for r in self.task_runs.values() if r["flow_run_id"] == wanted]
            case "POST", ("flow_runs" | "task_runs") as kind, number, "set_state":
                record = getattr(self, kind)[number]
                record["state"] = body["state"]
                record["state_type"] = body["state"]["type"]
                record["history"].append(body["state"]["type"])
                return {"status": "ACCEPT"}
            case "POST", "logs":
                self.logs += body
            case "POST", "artifacts":
                return self._new(self.artifacts, body, "")
            case "PATCH", "artifacts", number:
                self.artifacts[number] |= body
            case _:
                raise AssertionError(f"unknown route {method} {path}")
        return None

    def _new(self, records: dict[str, dict[str, Any]], body: Any, key: str) -> dict[str, Any]:
        number = str(uuid.uuid4())
        kind = body.get("state", {}).get("type")
        records[number] = {
            **body,
            "id": number,
            "unique": key,
            "state_type": kind,
            "history": [kind],
        }
        return records[number]

    def task(self, name: str) -> dict[str, Any]:
        (found,) = [task for task in self.task_runs.values() if task["name"] == name]
        return found


@pytest.fixture
def prefect() -> Iterator[FakePrefect]:
    fake = FakePrefect()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            fake.headers = dict(self.headers)
            time.sleep(fake.delay_s)
            if fake.status != 200:
                self.send_error(fake.status)
                return
            if not self.path.startswith("/api/") and not fake.proxied:
                self.send_error(404)
                return
            if (
                fake.auth
                and self.path != "/api/health"
                and (self.headers.get("Authorization") != fake.auth)
            ):
                self.send_error(401)
                return
            text = json.dumps(fake.answer(self.command, self.path, body)).encode()
            with contextlib.suppress(OSError):  # the caller had no more patience
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _serve

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.api = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()
