"""Find and call a Prefect server by its HTTP interface, without importing Prefect.

Importing Prefect takes two seconds, which no stage should pay. Routes and bodies are those of
Prefect 3.8 (`prefect/server/api`).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from handpose.errors import HandPoseError

DEFAULT = "http://127.0.0.1:4200/api"
OWN = Path(".prefect/server.json")
"""Written by `handpose ui` while its server runs: addresses of the API and of the results."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
"""Environment in which Prefect sends no statistics and logs only warnings."""

CONNECT_S = 0.25
HEALTH_S = 2.0
ANSWER_S = 10.0


class NoServerError(HandPoseError):
    """No Prefect server answers where one is needed."""


class ServerError(Exception):
    """The server did not answer, or refused the request; see `refused`."""

    def __init__(self, text: str, *, refused: bool) -> None:
        """`refused`: the server answered, and a retry will not help."""
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True)
class Server:
    """Address of a Prefect server, and the headers that it requires."""

    api: str  # http://host:port/api
    headers: Mapping[str, str] = field(default_factory=dict)
    results: str | None = None  # where `handpose ui` serves the folder results/

    @classmethod
    def find(cls, root: Path) -> Server | None:
        """The server that runs in `root` are reported to, if something listens there.

        In this order: PREFECT_API_URL, the server that `handpose ui` started here, the active
        profile of Prefect, and 127.0.0.1:4200. PREFECT_API_URL set to nothing turns reporting off.
        """
        settings = _profile() | os.environ
        if "PREFECT_API_URL" in os.environ:
            candidates = [cls._with(settings, os.environ["PREFECT_API_URL"])]
        else:
            candidates = [
                *_own(root),
                cls._with(settings, settings.get("PREFECT_API_URL", "")),
                cls(DEFAULT),  # without the key: the listener may be another user's
            ]
        return next((server for server in candidates if server.api and server.listens()), None)

    @classmethod
    def need(cls, root: Path) -> Server:
        """The same server for commands that require one; Prefect's own client is set to it.

        Raises:
            NoServerError: none answers.
        """
        server = cls.find(root)
        if server is None or not server.healthy():
            where = f" at {server.ui}" if server else ""
            raise NoServerError(
                f"no Prefect server answers{where}; start one with `handpose ui` in another "
                "terminal. Plain `dvc repro` needs none"
            )
        os.environ.update(QUIET | {"PREFECT_API_URL": server.api})
        # a request to a server that went away is tried once more, not for a minute
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
        return server

    @classmethod
    def _with(cls, settings: Mapping[str, str], api: str) -> Server:
        headers = {}
        if key := settings.get("PREFECT_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        elif auth := settings.get("PREFECT_API_AUTH_STRING"):
            headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
        return cls(api.rstrip("/"), headers)

    @property
    def ui(self) -> str:
        """Address of its pages."""
        return self.api.removesuffix("/api")

    def listens(self) -> bool:
        """Whether it accepts a connection; 0.2 ms where nothing listens on this machine."""
        parts = urlsplit(self.api)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), CONNECT_S).close()
        except (OSError, ValueError):
            return False
        return True

    def healthy(self) -> bool:
        """Whether it is a Prefect server that is ready."""
        try:
            return self.call("GET", "/health", timeout_s=HEALTH_S) is True
        except ServerError:
            return False

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = ANSWER_S) -> Any:
        """The decoded JSON answer.

        Raises:
            ServerError: no answer in time, or an answer that is an error.
        """
        request = urllib.request.Request(
            self.api + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self.headers},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                text = answer.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read(300).decode(errors="replace")
            refused = error.code < 500 and error.code not in (408, 429)
            raise ServerError(f"{error.code} {error.reason}: {text}", refused=refused) from None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)  # urllib wraps the real error
            raise ServerError(str(cause) or type(error).__name__, refused=False) from None


def _own(root: Path) -> list[Server]:
    """The server that `handpose ui` runs for this clone."""
    try:
        addresses = json.loads((root / OWN).read_text("utf-8"))
        return [Server(str(addresses["api"]).rstrip("/"), results=addresses.get("results"))]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none, or not readable


def _profile() -> dict[str, str]:
    """Settings of Prefect's active profile, written by `prefect config set`."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        content = tomllib.loads((home / "profiles.toml").read_text("utf-8"))
        active = os.environ.get("PREFECT_PROFILE", content.get("active"))
        return {key: str(value) for key, value in content["profiles"][active].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
