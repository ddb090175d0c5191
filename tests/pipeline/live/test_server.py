from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.live.server import OWN, NoServerError, Server, ServerError, basic
from pipeline.runner.environment import KEPT


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        *("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"),
        "PREFECT_SERVER_API_AUTH_STRING",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


def own(root: Path, api: str, pid: int = 0) -> None:
    (root / OWN).parent.mkdir()
    content = {"api": api, "results": "http://127.0.0.1:1", "pid": pid}
    (root / OWN).write_text(json.dumps(content))


def profile(home: Path, **settings: str) -> None:
    home.mkdir()
    lines = "\n".join(f'{key} = "{value}"' for key, value in settings.items())
    (home / "profiles.toml").write_text(f'active = "mine"\n\n[profiles.mine]\n{lines}\n')


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_the_server_of_handpose_ui_is_found(tmp_path: Path, prefect: Any) -> None:
    own(tmp_path, prefect.api)
    server = Server.find(tmp_path)
    assert server is not None
    assert server.healthy()
    assert server.results == "http://127.0.0.1:1"


def test_the_environment_goes_before_all(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(tmp_path, f"http://127.0.0.1:{free_port()}/api")
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    server = Server.find(tmp_path)
    assert server is not None
    assert server.api == prefect.api
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert Server.find(tmp_path) is None, "set to nothing, it turns reporting off"


def test_a_server_that_is_gone_leaves_room_for_the_profile(tmp_path: Path, prefect: Any) -> None:
    own(tmp_path, f"http://127.0.0.1:{free_port()}/api")
    profile(tmp_path / "home", PREFECT_API_URL=prefect.api, PREFECT_API_KEY="secret")
    server = Server.find(tmp_path)
    assert server is not None
    assert server.healthy()
    assert prefect.headers["Authorization"] == "Bearer secret"


def test_no_key_goes_to_whoever_listens_at_the_default_port(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = f"http://127.0.0.1:{free_port()}/api"
    profile(tmp_path / "home", PREFECT_API_URL=gone, PREFECT_API_KEY="secret")
    monkeypatch.setattr("pipeline.live.server.DEFAULT", prefect.api)
    server = Server.find(tmp_path)
    assert server is not None
    assert server.api == prefect.api
    assert server.healthy()
    assert "Authorization" not in prefect.headers


def test_something_else_on_the_port_is_not_a_prefect_server(tmp_path: Path, prefect: Any) -> None:
    prefect.status = 404
    assert not Server(prefect.api).healthy()


def test_no_answer_and_a_refusal_are_told_apart(prefect: Any) -> None:
    with pytest.raises(ServerError) as error:
        Server(f"http://127.0.0.1:{free_port()}/api").call("GET", "/health")
    assert not error.value.refused
    prefect.status = 422
    with pytest.raises(ServerError, match="422") as error:
        Server(prefect.api).call("GET", "/health")
    assert error.value.refused
    prefect.status, prefect.delay_s = 200, 0.5
    with pytest.raises(ServerError, match="timed out") as error:
        Server(prefect.api).call("GET", "/health", timeout_s=0.1)
    assert not error.value.refused


# --- servers that are not as expected ------------------------------------------------------------


@pytest.mark.parametrize("name", ["PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"])
def test_the_own_server_gets_the_auth_string_of_either_side(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    own(tmp_path, prefect.api, os.getpid())
    prefect.auth = basic("a:b")["Authorization"]
    server = Server.find(tmp_path)
    assert server is not None
    assert server.healthy(), "health needs no key, so it proves nothing"
    trouble = Server.trouble_of(tmp_path, server)
    assert trouble is not None
    assert "401" in trouble.text
    monkeypatch.setenv(name, "a:b")
    assert Server.trouble_of(tmp_path, Server.find(tmp_path)) is None


def test_no_auth_string_goes_to_the_port_of_a_server_that_is_gone(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    own(tmp_path, prefect.api, gone.pid)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    server = Server.find(tmp_path)
    assert server is not None
    assert server.healthy()
    assert "Authorization" not in prefect.headers


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("{site}", "did you mean {site}/api?"),
        ("{site}/", "did you mean {site}/api?"),
        ("{site}/v2/dashboard", "did you mean {site}/api?"),
        ("{host}/api", "expected an address like http://127.0.0.1:4200/api"),
        ("localhost", "expected an address like http://127.0.0.1:4200/api"),
        ("http://127.0.0.1:9/api", "nothing answers at http://127.0.0.1:9/api, which PREFECT"),
    ],
)
def test_an_address_that_is_nearly_right_is_explained(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    site = prefect.api.removesuffix("/api")
    names = {"site": site, "host": site.removeprefix("http://")}
    monkeypatch.setenv("PREFECT_API_URL", address.format(**names))
    with pytest.raises(NoServerError) as error:
        Server.need(tmp_path)
    assert words.format(**names) in str(error.value)


@pytest.mark.parametrize(
    "name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("others", ["", "example.org,.intra"])
def test_this_machine_is_never_reached_through_a_proxy(
    tmp_path: Path,
    prefect: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    host: str,
    others: str,
) -> None:
    proxy = "socks5://127.0.0.1:9" if "all" in name.lower() else "http://127.0.0.1:9"
    monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", others)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("NO_PROXY", os.environ.get("NO_PROXY", ""))  # restored afterwards
    monkeypatch.setenv(KEPT, "")
    monkeypatch.delenv(KEPT)
    for setting in ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "PREFECT_LOGGING_LEVEL"):
        monkeypatch.setenv(setting, "")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "1")
    monkeypatch.setenv("PREFECT_API_URL", prefect.api.replace("127.0.0.1", host))
    server = Server.need(tmp_path)
    assert server.trouble() is None
    import httpx  # as Prefect's client does

    with httpx.Client() as client:
        assert client.get(f"{server.api}/health").json() is True
    assert os.environ[KEPT] == others, "the stages get theirs back"


def test_a_server_elsewhere_is_reached_through_the_proxy(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small server stands for the proxy, which gets the whole address."""
    monkeypatch.setenv("http_proxy", prefect.api.removesuffix("/api"))
    monkeypatch.setenv("no_proxy", "")
    asked: list[str] = []

    def answer(self: Any, method: str, path: str, body: Any) -> bool:
        asked.append(path)
        return True

    monkeypatch.setattr(type(prefect), "answer", answer)
    prefect.proxied = True
    server = Server("http://prefect.intra:4200/api")
    assert server.listens()
    assert server.healthy()
    assert asked == ["http://prefect.intra:4200/api/health"]
