"""Headless Chromium that sees this machine alone, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

PATIENCE_S = 240.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    *("--remote-debugging-port=0", "--window-size=1200,900"),
)
BROWSERS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that the browser asks for itself, whatever page it shows."""


class Browser:
    """One open page: what it logs, and what it answers."""

    def __init__(self, socket: Connection, net_log: Path) -> None:
        self._socket, self._net_log = socket, net_log
        self._numbers = itertools.count(1)
        self.console: list[str] = []
        """Warnings, errors and uncaught exceptions, in the page's own words."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self._call(f"{domain}.enable")

    _session: str | None = None

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)

    def answer(self, expression: str) -> Any:
        """The value of an expression of JavaScript, once it is there."""
        found = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression, once it is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := self.answer(expression)):
            assert time.monotonic() < deadline, (expression, self.text(), self.console)
            time.sleep(0.1)
        return found

    def text(self) -> str:
        """What a person reads."""
        return str(self.answer("document.body ? document.body.innerText : ''"))

    def choose(self, selector: str, file: Path) -> None:
        """As a person chooses a file for an input."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the mouse, px of the window."""
        for kind, (x, y), buttons in (
            ("mousePressed", start, 1),
            ("mouseMoved", end, 1),
            ("mouseReleased", end, 0),
        ):
            more = {"button": "left", "buttons": buttons, "clickCount": 1}
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def picture(self, path: Path) -> None:
        """A screenshot as PNG."""
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> set[str]:
        """End it; returns every host that was asked for anything."""
        self._session = None
        with contextlib.suppress(Exception):  # it hangs up while it answers
            self._call("Browser.close")
        deadline = time.monotonic() + PATIENCE_S
        while not (text := self._net_log.read_text("utf-8", "replace")).rstrip().endswith("}"):
            assert time.monotonic() < deadline, "the browser wrote no log"
            time.sleep(0.1)
        hosts = set(re.findall(r'"url":"(?:https?|wss?)://([^/:"]+)', text))
        return {host for host in hosts if not host.endswith(BROWSERS_OWN)}

    def _call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(PATIENCE_S))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        if event == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error", "assert"):
            words = [str(one.get("value", one.get("description"))) for one in params["args"]]
            self.console.append(" ".join(words))
        elif event == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


@contextlib.contextmanager
def browser(folder: Path, *more: str) -> Iterator[Browser]:
    """Run one with its profile and its log of requests in this folder, and these flags besides."""
    if "HANDPOSE_NO_SERVERS" in os.environ:
        pytest.skip("HANDPOSE_NO_SERVERS is set")
    if shutil.which("chromium") is None:
        pytest.fail("no chromium here: .ci/packages chromium installs it")
    folder.mkdir(parents=True, exist_ok=True)
    profile, net_log = folder / "profile", folder / "network.json"
    shutil.rmtree(profile, ignore_errors=True)
    flags = [*FLAGS, f"--user-data-dir={profile}", f"--log-net-log={net_log}", *more]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(["chromium", *flags, "about:blank"], stdout=log, stderr=log)
    try:
        with connect(_address(process, profile), max_size=None, proxy=None) as socket:
            yield Browser(socket, net_log)
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Where it listens, which it writes to a file."""
    port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + PATIENCE_S
    while not (port_file.is_file() and len(lines := port_file.read_text().split()) == 2):
        assert process.poll() is None, (profile.parent / "chromium.log").read_text("utf-8")
        assert time.monotonic() < deadline, "chromium does not answer"
        time.sleep(0.1)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
