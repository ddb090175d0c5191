"""A Prefect server as its plain HTTP interface: found, and called, without importing Prefect.

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
"""What `handpose ui` leaves while its server runs: addresses of the API and of the results."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
"""Environment in which Prefect tells nobody outside anything, and the terminal what matters."""

CONNECT_S = 0.25
HEALTH_S = 2.0
ANSWER_S = 10.0


class NoServerError(HandPoseError):
    """No Prefect server answers where one is needed."""


class ServerError(Exception):
    """The server did not answer, or refused; `refused` tells the two apart."""

    def __init__(self, text: str, *, refused: bool) -> None:
        """`refused`: the server is there, and asking again will not help."""
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True)
class Server:
    """Where a Prefect server answers, and what it wants to see in a request."""

    api: str  # http://host:port/api
    headers: Mapping[str, str] = field(default_factory=dict)
    results: str | None = None  # where `handpose ui` serves the folder results/

    @classmethod
    def find(cls, root: Path) -> Server | None:
        """The server that is to be told of runs in `root`, if somebody listens there.

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
                cls(DEFAULT),  # no key: another user of this machine may be the one who listens
            ]
        return next((server for server in candidates if server.api and server.listens()), None)

    @classmethod
    def need(cls, root: Path) -> Server:
        """The same server where nothing goes without one, and Prefect's own client set to it.

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
        """The address of its pages."""
        return self.api.removesuffix("/api")

    def listens(self) -> bool:
        """Whether a connection is taken; 0.2 ms where nobody listens on this machine."""
        parts = urlsplit(self.api)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), CONNECT_S).close()
        except (OSError, ValueError):
            return False
        return True

    def healthy(self) -> bool:
        """Whether it is a Prefect server, and ready."""
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
            told = error.read(300).decode(errors="replace")
            refused = error.code < 500 and error.code not in (408, 429)
            raise ServerError(f"{error.code} {error.reason}: {told}", refused=refused) from None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)  # what urllib wraps says it all
            raise ServerError(str(cause) or type(error).__name__, refused=False) from None


def _own(root: Path) -> list[Server]:
    """The server that `handpose ui` says it runs."""
    try:
        told = json.loads((root / OWN).read_text("utf-8"))
        return [Server(str(told["api"]).rstrip("/"), results=told.get("results"))]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none, or just being written


def _profile() -> dict[str, str]:
    """Settings of Prefect's active profile, as `prefect config set` writes them."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        content = tomllib.loads((home / "profiles.toml").read_text("utf-8"))
        active = os.environ.get("PREFECT_PROFILE", content.get("active"))
        return {key: str(value) for key, value in content["profiles"][active].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
