from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.doctor import machine as doctor_machine
from pipeline.live import server
from pipeline.live.server import Server, basic
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
    prefect.version = metadata.version("prefect")
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, prefect.api in found.text) == ("ok", True)
    prefect.version = "2.0.0"
    (found,) = doctor_machine.prefect(ROOT)
    assert (found.state, "2.0.0" in found.text) == ("note", True)
    assert "another version" in found.text


def test_a_server_that_refuses_is_no_free_port(
    prefect: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    prefect.auth = basic("a:b")["Authorization"]
    (found,) = doctor_machine.prefect(ROOT)
    assert found.state == "note"
    assert "refuses reports (401" in found.text
    assert "PREFECT_API_AUTH_STRING is not set: export it" in found.text
    assert "Free the port" not in found.text
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    (found,) = doctor_machine.prefect(ROOT)
    assert found.state == "ok"


def test_something_else_on_the_port_is_a_note(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", mute)
    monkeypatch.setattr(server, "HEALTH_S", 0.2)
    (found,) = doctor_machine.prefect(ROOT)
    assert found.state == "note"
    assert "does not answer as a Prefect server does" in found.text


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
    assert (found.state, "no server answers at http://127.0.0.1:4200" in found.text) == ("ok", True)


def test_the_python_of_dvc_yaml_is_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = doctor_machine.path(ROOT)
    assert (found.state, "there is no python on PATH" in found.text) == ("FAIL", True)
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho /elsewhere\n")
    other.chmod(0o755)
    (found,) = doctor_machine.path(ROOT)
    assert (found.state, "(of /elsewhere), not of" in found.text) == ("FAIL", True)
    remedy = found.text.partition("export PATH=")[2].partition(":$PATH")[0]
    monkeypatch.setenv("PATH", f"{remedy}:{tmp_path}")
    (found,) = doctor_machine.path(ROOT)
    assert found.state == "ok"


def test_cores_that_others_use_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "usable_cores", lambda: 4)
    monkeypatch.setattr(doctor_machine, "machine_cores", lambda: 192)
    (found,) = doctor_machine.cores(ROOT)
    assert found.text.startswith("4 of 192")
    monkeypatch.setattr(doctor_machine, "machine_cores", lambda: 4)
    (found,) = doctor_machine.cores(ROOT)
    assert found.text == "4"


def test_a_driver_that_torch_cannot_use_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(doctor_machine, "NVIDIA", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (found,) = doctor_machine.gpu(ROOT)
    assert found.state == "FAIL"
    assert "device: cpu" in found.text
