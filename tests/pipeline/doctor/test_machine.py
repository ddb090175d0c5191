from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.doctor import machine as doctor_machine
from pipeline.live.server import Server
from tests.pipeline.conftest import FakePrefect

ROOT = Path(__file__).parents[3]


def test_this_environment_is_as_pinned() -> None:
    (found,) = doctor_machine.packages(ROOT)
    assert found.state == "ok", found.text


def test_another_version_and_a_missing_package_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version("numpy")
    (tmp_path / "constraints.txt").write_text("# pins\nNumPy==0.1\nnever-heard-of==1\n")
    (found,) = doctor_machine.packages(tmp_path)
    assert found.state == "FAIL"
    assert f"numpy {version} (pinned 0.1)" in found.text
    assert "make setup" in found.text
    wanted = ["never-heard-of>=1", "numpy[x]", 'moto[server]; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    texts = [finding.text for finding in doctor_machine.packages(tmp_path)]
    assert texts[0].startswith("missing: never-heard-of; ")


@pytest.mark.parametrize(("free", "state"), [(1e8, "FAIL"), (2e9, "note"), (1e11, "ok")])
def test_a_disk_that_fills_up_is_reported_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "checkpoint.pt").write_bytes(bytes(20_000_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (found,) = doctor_machine.disk(tmp_path)
    assert found.state == state
    assert "work 0.02 GB" in found.text
    assert ("--all-commits" in found.text) == (state != "ok")


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that accepts connections and answers with something that is not HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"


def test_the_prefect_server_is_named(prefect: FakePrefect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    monkeypatch.setattr(FakePrefect, "answer", lambda *_: metadata.version("prefect"))
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, prefect.api in found.text) == ("ok", True)
    monkeypatch.setattr(FakePrefect, "answer", lambda *_: "2.0.0")
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, "2.0.0" in found.text) == ("note", True)


def test_something_else_on_the_port_is_a_note(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", mute)
    monkeypatch.setattr(doctor_machine, "ANSWER_S", 0.2)
    (found,) = doctor_machine.prefect(ROOT)
    assert found.state == "note"
    assert "is not a Prefect server" in found.text


def test_no_server_is_fine_and_a_named_one_that_is_away_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, "nothing answers at http://127.0.0.1:9/api" in found.text) == (
        "note",
        True,
    )
    monkeypatch.setenv("PREFECT_API_URL", "")
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, "is set to nothing" in found.text) == ("note", True)
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setattr(Server, "find", lambda _: None)
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, "port 4200 is free" in found.text) == ("ok", True)


def test_a_driver_that_torch_cannot_use_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(doctor_machine, "NVIDIA", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (found,) = doctor_machine.gpu(ROOT)
    assert found.state == "FAIL"
    assert "device: cpu" in found.text
