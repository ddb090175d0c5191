"""What is written and reported; tests/end_to_end/test_remotes.py asks real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from fsspec.config import conf

from pipeline.remote import host_keys
from pipeline.remote.host_keys import FILE, SECTION, HostKeyError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without keys, and fsspec's settings as in a fresh process."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FSSPEC_CONFIG_DIR", raising=False)
    before = conf.pop(SECTION, None)
    yield tmp_path
    conf.pop(SECTION, None)
    if before is not None:
        conf[SECTION] = before


def known_hosts(path: Path, host: str) -> Path:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{host} {key}", "utf-8")
    return path


def test_dvc_checks_nothing_until_it_is_required() -> None:
    assert host_keys.required_files() is None
    host_keys.require(None)
    assert host_keys.required_files() is not None


def test_an_empty_list_means_the_file_in_the_home_for_asyncssh(home: Path) -> None:
    host_keys.require(None)
    assert conf[SECTION]["known_hosts"] == []
    assert host_keys.required_files() == [str(home / ".ssh" / "known_hosts")]


def test_a_second_file_joins_the_first_and_stays(home: Path) -> None:
    standard = known_hosts(home / ".ssh" / "known_hosts", "a")
    extra = known_hosts(home / "lab", "b")
    host_keys.require(extra)
    host_keys.require(None)
    assert host_keys.required_files() == [str(standard), str(extra)]


def test_what_is_kept_is_what_fsspec_reads(home: Path) -> None:
    host_keys.require(known_hosts(home / "lab", "b"))
    path = host_keys.save()
    assert path == home / ".config" / "fsspec" / FILE
    assert json.loads(path.read_text())[SECTION] == conf[SECTION]
    assert [file.name for file in path.parent.iterdir()] == [FILE]


def test_a_missing_file_of_known_hosts_is_refused(home: Path) -> None:
    with pytest.raises(HostKeyError, match="no such file of known hosts"):
        host_keys.require(home / "nowhere")


def test_unknown_and_changed_are_told_apart(home: Path) -> None:
    with socket.socket() as nobody:  # bound, not listening: the server shows no key
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        known_hosts(home / ".ssh" / "known_hosts", "other")
        host_keys.require(None)
        assert "is unknown" in host_keys.diagnosis("127.0.0.1", port)
        known_hosts(home / ".ssh" / "known_hosts", f"[127.0.0.1]:{port}")
        message = host_keys.diagnosis("127.0.0.1", port)
    assert "has CHANGED" in message
    assert "SHA256:" in message
    assert f"ssh-keygen -R '[127.0.0.1]:{port}'" in message
