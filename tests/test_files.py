"""Nothing appears half-written under its final name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from handpose.files import (
    STRAY,
    atomic_file,
    atomic_folder,
    check_writable,
    digest,
    remove_partial,
    write_durably,
)
from tests.stray_files import leave_strays


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as partial:
        partial.write_text("whole")
    assert path.read_text() == "whole"


def test_a_failed_folder_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "tars"
    with atomic_folder(path) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(path) as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["tars"]
    assert [p.name for p in path.iterdir()] == ["old"]


def test_digest_sees_bytes_and_names(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("1")
    before = digest(tmp_path / "x")
    (tmp_path / "x" / "a").rename(tmp_path / "x" / "b")
    renamed = digest(tmp_path / "x")
    (tmp_path / "x" / "b").write_text("2")
    assert len({before, renamed, digest(tmp_path / "x")}) == 3


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "folder" / "file"
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_files_that_nobody_reads_change_no_digest(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.json").write_text("{}")
    before = digest(folder)
    leave_strays(folder)
    assert digest(folder) == before
    (folder / "train" / "b.json").write_text("{}")
    assert digest(folder) != before


def test_dvc_ignores_the_same_names() -> None:
    lines = (Path(__file__).parents[1] / ".dvcignore").read_text("utf-8").splitlines()
    assert {line.replace("\\", "") for line in lines} >= set(STRAY)


def test_partial_output_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tars.partial").mkdir()
    (tmp_path / ".tars.partial" / "x").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".y.json.partial").touch()
    (tmp_path / ".other.partial").touch()
    removed = remove_partial([tmp_path / "tars", tmp_path / "out", tmp_path / "nowhere"])
    assert [path.name for path in removed] == [".tars.partial", ".y.json.partial"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".other.partial", "out"]


def test_a_folder_in_which_no_file_can_be_made_is_found_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    check_writable(Path("a/b"))
    check_writable(Path())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for folder in ("file", "file/a/b"):
        with pytest.raises(NotADirectoryError) as raised:
            check_writable(Path(folder))
        assert raised.value.filename == "file"
    with pytest.raises(OSError, match="too long"):
        check_writable(Path("x" * 300))
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(PermissionError) as denied:
        check_writable(tmp_path / "a" / "b")
    assert denied.value.filename == str(tmp_path)
