"""ONNX Runtime Web is taken from npm's file or from a folder, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from pipeline.export import web_runtime
from pipeline.export.web_runtime import (
    ARCHIVE,
    DIGESTS,
    PACKAGE,
    VERSION,
    RuntimeFilesError,
    read_runtime,
)

CONTENTS = {name: f"content of {name}".encode() for name in DIGESTS}
NPM_PACK = f"npm pack {PACKAGE}@{VERSION}"


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if these contents were the pinned ones."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(web_runtime, "DIGESTS", digests)


def write_archive(path: Path, contents: dict[str, bytes]) -> Path:
    """As npm packs."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"../package.json": b"{}", "ort.js": b"x", **contents}.items():
            member = tarfile.TarInfo(f"package/dist/{name}".replace("dist/../", ""))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_folder(path: Path, contents: dict[str, bytes]) -> Path:
    path.mkdir(parents=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


def test_it_is_taken_as_npm_packs_it_and_as_npm_installs_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "node_modules" / PACKAGE / "dist", CONTENTS)
    for package in (
        write_archive(tmp_path / ARCHIVE, CONTENTS),
        tmp_path / "node_modules" / PACKAGE,
        tmp_path / "node_modules" / PACKAGE / "dist",
    ):
        assert read_runtime(package) == CONTENTS


def test_what_is_not_the_pinned_package_is_refused_with_the_command_that_gets_it(
    tmp_path: Path,
) -> None:
    other = {**CONTENTS, next(iter(CONTENTS)): b"of another version"}
    whole = write_archive(tmp_path / "whole.tgz", CONTENTS).read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tgz").write_text("no archive", "utf-8")
    for package, why in (
        (None, f"--format web needs {PACKAGE} {VERSION}"),
        (tmp_path / "nowhere.tgz", "not found"),
        (tmp_path / "cut.tgz", "cannot be read as npm's archive"),
        (tmp_path / "text.tgz", "cannot be read as npm's archive"),
        (write_archive(tmp_path / "empty.tgz", {}), f"has no dist/{next(iter(CONTENTS))}"),
        (write_folder(tmp_path / "folder", {}), f"has no dist/{next(iter(CONTENTS))}"),
        (write_archive(tmp_path / "other.tgz", other), f"is not that of {PACKAGE} {VERSION}"),
    ):
        with pytest.raises(RuntimeFilesError) as caught:
            read_runtime(package)
        assert why in str(caught.value) and NPM_PACK in str(caught.value)


def test_the_docs_name_the_pinned_version() -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text("utf-8")
    assert f"npm pack --pack-destination work {PACKAGE}@{VERSION}\n" in page
    assert f"--runtime work/{ARCHIVE}\n" in page
