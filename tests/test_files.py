"""Nothing appears half-written under its final name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from handpose.files import atomic_file, atomic_folder, digest, write_durably


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
