from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from pipeline.live.server import OWN, Server, ServerError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


def own(root: Path, api: str) -> None:
    (root / OWN).parent.mkdir()
    (root / OWN).write_text(json.dumps({"api": api, "results": "http://127.0.0.1:1"}))


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
