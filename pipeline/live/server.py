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
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from handpose.errors import HandPoseError
from pipeline.runner.environment import first_hop, is_here, past_proxies

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

    def __init__(self, text: str, *, refused: bool, status: int | None = None) -> None:
        """`refused`: the server answered, by this HTTP status, and a retry will not help."""
        super().__init__(text)
        self.refused, self.status = refused, status


class Trouble(NamedTuple):
    """Why runs cannot be reported."""

    text: str  # one or more sentences, with the remedy
    ours: bool  # a Prefect server was meant: it asks for a key, or somebody named its address


@dataclass(frozen=True)
class Server:
    """Address of a Prefect server, and the headers that it requires."""

    api: str  # http://host:port/api
    headers: Mapping[str, str] = field(default_factory=dict)
    results: str | None = None  # where `handpose ui` serves the folder results/
    named: bool = True  # by somebody; False: it is merely where Prefect's server is by default

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
                cls(DEFAULT, named=False),  # without the key: it may be another user's
            ]
        return next((server for server in candidates if server.api and server.listens()), None)

    @classmethod
    def trouble_of(cls, root: Path, server: Server | None) -> Trouble | None:
        """Why runs in `root` cannot be reported to what `find` returned; None where they can.

        None too where no server is there and nobody named one.
        """
        if server is not None:
            return server.trouble()
        named = os.environ.get("PREFECT_API_URL")
        if not named:
            return None
        try:
            first_hop(named)
        except ValueError:
            text = f"PREFECT_API_URL is {named!r}; expected an address like {DEFAULT}."
        else:
            text = (
                f"nothing answers at {named}, which PREFECT_API_URL names; start that server, or "
                "unset PREFECT_API_URL and start `handpose ui`."
            )
        return Trouble(text, ours=True)

    @classmethod
    def current(cls) -> Server:
        """The server of Prefect's own client in this process, after `need`."""
        return cls._with(_profile() | os.environ, os.environ["PREFECT_API_URL"])

    @classmethod
    def need(cls, root: Path) -> Server:
        """The same server for commands that require one; Prefect's own client is set to it.

        Raises:
            NoServerError: none answers.
        """
        server = cls.find(root)
        if trouble := cls.trouble_of(root, server):
            raise NoServerError(f"{trouble.text} Plain `dvc repro` needs no server")
        if server is None:
            raise NoServerError(
                "no Prefect server answers; start one with `handpose ui` in another terminal. "
                "Plain `dvc repro` needs none"
            )
        os.environ.update(QUIET | {"PREFECT_API_URL": server.api})
        if is_here(urlsplit(server.api).hostname or ""):
            os.environ.update(past_proxies(os.environ))
        if server.api in {own.api for own in _own(root)} and (auth := _own_auth()):
            os.environ["PREFECT_API_AUTH_STRING"] = auth
        # a request to a server that went away is tried once more, not for a minute
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
        return server

    @classmethod
    def _with(cls, settings: Mapping[str, str], api: str) -> Server:
        headers = {}
        if auth := settings.get("PREFECT_API_AUTH_STRING"):  # in the order of Prefect's client
            headers = basic(auth)
        elif key := settings.get("PREFECT_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        return cls(api.strip().rstrip("/"), headers)

    @property
    def ui(self) -> str:
        """Address of its pages."""
        return self.api.removesuffix("/api")

    def listens(self) -> bool:
        """Whether it accepts a connection; 0.2 ms where nothing listens on this machine."""
        try:
            socket.create_connection(first_hop(self.api), CONNECT_S).close()
        except (OSError, ValueError):
            return False
        return True

    def healthy(self) -> bool:
        """Whether it is a Prefect server that is ready."""
        try:
            return self.call("GET", "/health", timeout_s=HEALTH_S) is True
        except ServerError:
            return False

    def trouble(self) -> Trouble | None:
        """Why nothing can be reported to it; None where it takes reports."""
        try:
            if self.call("GET", "/health", timeout_s=HEALTH_S) is True:
                self.call("POST", "/flows/count", {}, timeout_s=HEALTH_S)  # health needs no key
                return None
            found = "something else answers"
        except ServerError as error:
            if error.status in (401, 403):
                return Trouble(f"{self.ui} refuses reports ({error}); {self._key()}.", ours=True)
            if error.status is None or error.status >= 500:
                text = f"{self.api} does not answer as a Prefect server does ({error})."
                return Trouble(text, ours=self.named)
            found = str(error)
        parts = urlsplit(self.api)
        meant = Server(f"{parts.scheme}://{parts.netloc}/api", self.headers)
        if meant.api != self.api and meant.healthy():
            text = f"{self.api} is not the address of its API; did you mean {meant.api}?"
            return Trouble(text, ours=True)
        return Trouble(f"{self.api} is not a Prefect server ({found}).", ours=self.named)

    def _key(self) -> str:
        """What to do where it asks for a key."""
        if not self.named:
            return (
                "no key is sent to an address that nobody named: export "
                f"PREFECT_API_URL={self.api} and PREFECT_API_AUTH_STRING, or PREFECT_API_URL= to "
                "report to nobody"
            )
        sent = "is not that server's" if self.headers else "is not set"
        name = "PREFECT_API_KEY" if self._is_cloud() else "PREFECT_API_AUTH_STRING"
        return f"{name} {sent}: export it as its owner names it"

    def _is_cloud(self) -> bool:
        return (urlsplit(self.api).hostname or "").endswith("prefect.cloud")

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
            with self._opener().open(request, timeout=timeout_s) as answer:
                text = answer.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read(300).decode(errors="replace")
            refused = error.code < 500 and error.code not in (408, 429)
            if text.lstrip().startswith(("<", "{")):
                text = _message(text)
            said = f"{error.code} {error.reason}" + (f": {text}" if text else "")
            raise ServerError(said, refused=refused, status=error.code) from None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)  # urllib wraps the real error
            raise ServerError(str(cause) or type(error).__name__, refused=False) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        """To this machine past every proxy, elsewhere as the environment says."""
        here = is_here(urlsplit(self.api).hostname or "")
        return urllib.request.build_opener(urllib.request.ProxyHandler({} if here else None))


def basic(auth: str) -> dict[str, str]:
    """The header for an auth string, such as admin:secret."""
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}


def _message(text: str) -> str:
    """What Prefect says about an error; a page in HTML says nothing."""
    try:
        content = json.loads(text)
        return str(content.get("exception_message") or content.get("detail") or "")
    except (ValueError, AttributeError):
        return "" if text.lstrip().startswith("<") else text


def _own_auth() -> str:
    """The auth string of the server that `handpose ui` runs, as far as this environment has it."""
    names = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _own(root: Path) -> list[Server]:
    """The server that `handpose ui` runs for this clone."""
    try:
        addresses = json.loads((root / OWN).read_text("utf-8"))
        ours = _runs(int(addresses.get("pid", 0)))  # else the port may be another user's by now
        headers = basic(auth) if ours and (auth := _own_auth()) else {}
        return [Server(str(addresses["api"]).rstrip("/"), headers, addresses.get("results"))]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none, or not readable


def _runs(pid: int) -> bool:
    """Whether a process of this user has this number."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def _profile() -> dict[str, str]:
    """Settings of Prefect's active profile, written by `prefect config set`."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        content = tomllib.loads((home / "profiles.toml").read_text("utf-8"))
        active = os.environ.get("PREFECT_PROFILE", content.get("active"))
        return {key: str(value) for key, value in content["profiles"][active].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
