from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.config import conf

from pipeline.doctor.finding import Finding
from pipeline.doctor.remotes import remotes
from pipeline.remote.host_keys import SECTION
from pipeline.remote.remote import UNCHECKED


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delitem(conf, SECTION, raising=False)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def seen(clone: Path, **options: object) -> list[Finding]:
    lines = ["['remote \"lab\"']", *(f"{key} = {value}" for key, value in options.items())]
    (clone / ".dvc" / "config").write_text("\n".join(lines))
    return list(remotes(clone))


def test_no_remote_is_a_note(clone: Path) -> None:
    (clone / ".dvc" / "config").touch()
    (found,) = remotes(clone)
    assert found.state == "note"


def test_a_folder_is_there_or_not(clone: Path) -> None:
    assert [found.state for found in seen(clone, url=clone)] == ["ok"]
    (found,) = seen(clone, url=clone / "gone")
    assert (found.state, "is not there" in found.text) == ("note", True)


def test_ssh_without_host_keys_fails_and_with_them_is_reached(
    clone: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"ssh://127.0.0.1:{listener}/srv"
    (found,) = seen(clone, url=url)
    assert (found.state, "checks no host key" in found.text) == ("FAIL", True)
    monkeypatch.setitem(conf, SECTION, {"known_hosts": []})
    assert [found.state for found in seen(clone, url=url)] == ["ok"]
    (found,) = seen(clone, url="ssh://127.0.0.1:9/srv")
    assert (found.state, "nothing answers" in found.text) == ("note", True)


def test_a_remote_of_somebody_else_is_a_note_with_the_command(clone: Path) -> None:
    (found,) = seen(clone, url="ssh://127.0.0.1/srv", keyfile=f"{UNCHECKED} lab")
    assert (found.state, "handpose remote add lab" in found.text) == ("note", True)


@pytest.mark.parametrize("key", ["secret_access_key", "access_key_id"])
def test_a_secret_in_the_file_that_git_keeps_fails(clone: Path, listener: int, key: str) -> None:
    endpoint = f"http://127.0.0.1:{listener}"
    first, second = seen(clone, url="s3://bucket", endpointurl=endpoint, **{key: "hush"})
    assert (first.state, key in first.text) == ("FAIL", True)
    assert "hush" not in first.text
    assert second.state == "ok"


def test_a_password_in_a_url_fails(clone: Path) -> None:
    first, *_ = seen(clone, url="ssh://me:hush@127.0.0.1:9/srv")
    assert (first.state, "password in the URL" in first.text) == ("FAIL", True)
    assert "hush" not in first.text
