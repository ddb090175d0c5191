from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.live import ui
from pipeline.live.server import OWN

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address under which `tmp_path/results` is served."""
    (tmp_path / "results" / "plots").mkdir(parents=True)
    (tmp_path / "results" / "report.html").write_text("the report")
    (tmp_path / "params.yaml").write_text("secret")
    (tmp_path / "results" / "link").symlink_to(tmp_path / "params.yaml")
    with ui._results(tmp_path, 0) as address:
        yield address, tmp_path


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_results_are_served(pages: tuple[str, Path]) -> None:
    assert get(f"{pages[0]}/report.html") == (200, "the report")


@pytest.mark.parametrize(
    "path", ["/", "/plots/", "/../params.yaml", "/%2e%2e/params.yaml", "/link", "/none.png"]
)
def test_nothing_else_is(pages: tuple[str, Path], path: str) -> None:
    assert get(pages[0] + path)[0] == 404


def test_nothing_can_be_written(pages: tuple[str, Path]) -> None:
    request = urllib.request.Request(f"{pages[0]}/new", data=b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="501"):
        urllib.request.urlopen(request, timeout=5)


def port_of(prefect: Any) -> int:
    return int(prefect.api.split(":")[2].split("/")[0])


def test_a_port_taken_by_something_else_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        assert main(["ui", "--port", str(server.server_port)]) == 2
    finally:
        server.shutdown()
        server.server_close()
    errors = capsys.readouterr().err
    assert "not by a Prefect server" in errors
    assert "handpose ui --port" in errors
    assert not (tmp_path / ".prefect").exists()


def test_a_prefect_server_that_runs_already_is_named(
    tmp_path: Path, prefect: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ui.serve(tmp_path, port_of(prefect), print)
    assert "runs at http://127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("", "no run is reported to it: PREFECT_API_URL is set to nothing here"),
        ("http://127.0.0.1:9/api", "to nowhere, since PREFECT_API_URL names a server that is"),
        ("http://localhost:{port}/api", "every `dvc repro` here shows there"),
    ],
)
def test_whether_runs_here_show_there_is_logged(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch, named: str, expected: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", named.format(port=port_of(prefect)))
    lines: list[str] = []
    ui.serve(tmp_path, port_of(prefect), lines.append)
    assert expected in lines[0]


def test_a_clone_with_another_server_is_reported(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        own = f"http://127.0.0.1:{other.getsockname()[1]}"
        (tmp_path / OWN).parent.mkdir()
        (tmp_path / OWN).write_text(json.dumps({"api": f"{own}/api"}))
        lines: list[str] = []
        ui.serve(tmp_path, port_of(prefect), lines.append)
    assert (
        f"but runs here are reported to {own}; to see them on this server: export PREFECT"
        in lines[0]
    )


def test_away_from_a_clone_there_is_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ui"]) == 2
    assert "run this in the folder of the clone" in capsys.readouterr().err
    assert not (tmp_path / ".prefect").exists()


@pytest.mark.parametrize(
    ("port", "bound"),
    [("0", "greater"), ("-5", "greater"), ("65535", "less"), ("99999", "less")],
)
def test_a_port_that_cannot_be_is_refused(
    port: str, bound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", "--port", port]) == 2
    message = f"Invalid value for '--port': Input should be {bound} than or equal to"
    assert message in capsys.readouterr().err


def test_a_database_of_a_newer_version_is_named_and_the_remedy_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the file, a server comes up; here another error shows that it tried."""
    (tmp_path / "prefect.py").write_text(
        "import os, pathlib, sys\n"
        "if (pathlib.Path(os.environ['PREFECT_HOME']) / 'prefect.db').exists():\n"
        "    print(\"alembic.util.exc.CommandError: Can't locate revision identified by 'ab12'\")\n"
        "    print('Application startup failed. Exiting.')\n"
        "    sys.exit(3)\n"
        "sys.exit('no database')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "prefect.db").touch()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(
        ui.UiError, match="was written by a newer Prefect than this one, 3"
    ) as error:
        ui.serve(tmp_path, port, print)
    remedy = str(error.value).partition("of this one: ")[2]
    subprocess.run(remedy, shell=True, check=True)
    with pytest.raises(ui.UiError, match=r"did not come up.*no database"):
        ui.serve(tmp_path, port, print)


def test_an_auth_string_is_asked_for_in_every_terminal(
    tmp_path: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    prefect.auth = "Basic x"
    lines: list[str] = []
    ui.serve(tmp_path, port_of(prefect), lines.append)
    assert "but runs here are not reported to it" in lines[0]
    assert "PREFECT_API_AUTH_STRING is not set" in lines[0]


def test_a_server_that_does_not_come_up_is_reported_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prefect.py").write_text("raise SystemExit('no such database')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(ui.UiError, match=r"did not come up.*no such database"):
        ui.serve(tmp_path, port, print)
    assert not (tmp_path / OWN).exists()
