"""The page's own files are served, isolated from other pages; nothing else is."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.__main__ import main
from pipeline.export.web_page import FILES
from pipeline.view.page_server import KINDS, served_page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Files by the names of a page, and another."""
    folder = tmp_path / "page"
    folder.mkdir()
    for name in (*FILES, "other.txt"):
        (folder / name).write_text(f"content of {name}", "utf-8")
    return folder


@pytest.fixture
def address(page: Path) -> Iterator[str]:
    with served_page(page, 0) as address:
        yield address


def got(address: str, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content; the path goes out as it is."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, dict(answer.headers.items()), answer.read()


def test_its_own_files_are_served_to_a_page_on_its_own(address: str) -> None:
    for name in FILES:
        status, headers, content = got(address, f"/{name}")
        assert (status, content) == (200, f"content of {name}".encode())
        assert headers["Content-Type"] == KINDS[Path(name).suffix]
        assert "Content-Encoding" not in headers, "the page unpacks"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert got(address, "/")[2] == b"content of index.html"


@pytest.mark.parametrize("path", ["/other.txt", "/../params.yaml", "//etc/passwd", "/page/", "/no"])
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert got(address, path)[0] == 404


def test_a_page_of_elsewhere_whose_name_leads_here_gets_nothing(address: str) -> None:
    assert got(address, "/", "example.org")[0] == 403


def test_a_folder_without_a_page_is_refused(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (page / FILES[-1]).unlink()
    for folder, missing in ((page, FILES[-1]), (page / "no", FILES[0])):
        assert main(["view", str(folder)]) == 2
        error = capsys.readouterr().err
        assert f"{folder / missing}: not found" in error
        assert "`handpose export FOLDER --format web` wrote" in error
