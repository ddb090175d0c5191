"""Processes find this Python's programs first, and no proxy on the way to this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from pipeline.runner.environment import (
    KEPT,
    PROGRAMS,
    PTH,
    PTH_LINE,
    first_hop,
    for_commands,
    is_here,
    own_programs_first,
    past_proxies,
)


@pytest.mark.parametrize("before", ["/usr/bin:/bin", f"/usr/bin:{PROGRAMS}", str(PROGRAMS), None])
def test_own_programs_come_first_and_once(before: str | None) -> None:
    folders = own_programs_first({"PATH": before} if before else {})["PATH"].split(os.pathsep)
    assert folders[0] == str(PROGRAMS)
    assert folders.count(str(PROGRAMS)) == 1
    assert "/bin" in [*folders, *(["/bin"] if before and "/bin" not in before.split(":") else [])]


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("named", ["", "example.org", "example.org, localhost", "*"])
def test_what_the_user_excludes_stays_excluded(name: str, named: str) -> None:
    made = for_commands({name: named, "http_proxy": "http://proxy:3128"})
    assert made["no_proxy"] == made["NO_PROXY"]
    hosts = made["no_proxy"].split(",")
    wanted = [host.strip() for host in named.split(",") if host]
    assert set(wanted) <= set(hosts)
    assert hosts == ["*"] or {"127.0.0.1", "localhost", "::1"} <= set(hosts)
    assert len(hosts) == len(set(hosts))
    assert made["http_proxy"] == "http://proxy:3128", "downloads may need it"


def test_stages_get_back_what_prefects_client_had_to_change() -> None:
    user = {"PATH": "/bin", "no_proxy": "example.org", "https_proxy": "http://proxy:3128"}
    client = user | past_proxies(user)
    assert client["no_proxy"] == client["NO_PROXY"] == "*"
    again = client | past_proxies(client)  # a flow run that `handpose serve` started
    assert for_commands(again) == for_commands(user)
    assert KEPT not in for_commands(again)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("api.localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("prefect.intra", False),
        ("", False),
    ],
)
def test_which_names_are_this_machine(host: str, here: bool) -> None:
    assert is_here(host) is here


def test_the_first_hop_is_the_proxy_unless_it_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", ".intra")
    monkeypatch.setenv("http_proxy", "http://user:word@proxy:3128")
    monkeypatch.setenv("https_proxy", "proxy")
    assert first_hop("http://prefect.org:4200/api") == ("proxy", 3128)
    assert first_hop("https://s3.example.org") == ("proxy", 80)
    assert first_hop("http://prefect.intra/api") == ("prefect.intra", 80)
    assert first_hop("https://prefect.intra") == ("prefect.intra", 443)
    assert first_hop("http://127.0.0.1:4200/api") == ("127.0.0.1", 4200)
    for bad in ("127.0.0.1:4200/api", "localhost", "ftp://a", "http://", "http://a:b"):
        with pytest.raises(ValueError, match=r"expected http|Port"):
            first_hop(bad)


def test_an_environment_finds_its_python_without_activation(tmp_path: Path) -> None:
    """As cron, systemd and an IDE start `.venv/bin/dvc`: by its path, with a bare PATH."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    program = "import os, shutil; print(shutil.which('python')); print(os.environ['PATH'])"

    def found(**environ: str) -> list[str]:
        done = subprocess.run(
            [python, "-c", program], env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert found(PATH="/nowhere")[0] == "None"
    (site / PTH).write_text(PTH_LINE)
    assert found(PATH="/nowhere") == [str(python), f"{folder}/bin:/nowhere"]
    assert found(PATH=f"{folder}/bin:/bin")[1] == f"{folder}/bin:/bin", "activated: as it was"
    assert found()[0] == str(python), "cron may have no PATH at all"


def test_the_line_is_for_this_environment_alone() -> None:
    assert PTH_LINE.count("\n") == 1
    assert PTH_LINE.startswith("import "), "other lines of such a file are folders"
    assert sys.prefix not in PTH_LINE, "an environment may be moved"
