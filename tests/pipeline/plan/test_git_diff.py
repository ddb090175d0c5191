"""What a file was in the last run is found in git by its MD5."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from pipeline.plan.git_diff import MOST_LINES, changed_code, changed_lines
from stages.code_digest import code_only, digest_of


def commit(root: Path, name: str, text: str) -> str:
    """Commit this content; its MD5."""
    (root / name).write_text(text, encoding="utf-8")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "add", name], cwd=root, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=root, check=True)
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_changed_rows_are_shown_old_and_new(root: Path) -> None:
    md5 = commit(root, "map.csv", "a,1\nb,2\nc,3\n")
    (root / "map.csv").write_text("a,1\nb,9\nc,3\n")
    assert changed_lines(root, "map.csv", md5) == ["- b,2", "+ b,9"]


def test_the_content_of_the_last_run_counts_and_not_the_last_commit(root: Path) -> None:
    md5 = commit(root, "map.csv", "a,1\n")
    commit(root, "map.csv", "a,2\n")
    (root / "map.csv").write_text("a,3\n")
    assert changed_lines(root, "map.csv", md5) == ["- a,1", "+ a,3"]


def test_another_order_is_reported_as_such(root: Path) -> None:
    md5 = commit(root, "map.csv", "a,1\nb,2\n")
    (root / "map.csv").write_text("b,2\na,1\n")
    assert changed_lines(root, "map.csv", md5) == ["the same 2 lines in another order"]


def test_ends_of_lines_are_reported_as_such(root: Path) -> None:
    md5 = commit(root, "map.csv", "a,1\nb,2\n")
    (root / "map.csv").write_bytes(b"a,1\r\nb,2\r\n")
    assert changed_lines(root, "map.csv", md5) == ["only the ends of the lines differ"]


def test_many_lines_and_code_are_counted(root: Path) -> None:
    rows = "".join(f"{k}\n" for k in range(MOST_LINES + 1))
    md5 = commit(root, "map.csv", rows)
    (root / "map.csv").write_text("")
    assert changed_lines(root, "map.csv", md5) == [f"{MOST_LINES + 1} lines removed, 0 added"]
    md5 = commit(root, "a.py", "x = 1\n")
    (root / "a.py").write_text("x = 2\n")
    assert changed_lines(root, "a.py", md5) == ["1 line removed, 1 added"]


def test_what_git_does_not_have_is_not_made_up(root: Path) -> None:
    commit(root, "map.csv", "a,1\n")
    assert changed_lines(root, "map.csv", "0" * 32) == []
    assert changed_lines(root, "never.csv", "0" * 32) == []
    md5 = commit(root, "gone.csv", "a\n")
    (root / "gone.csv").unlink()
    assert changed_lines(root, "gone.csv", md5) == []


def test_lines_of_code_are_counted_and_comments_are_not(root: Path) -> None:
    old = '"""Doc."""\n\nA = 1  # one\nB = 1\n'
    commit(root, "a.py", old)
    commit(root, "a.py", "broken(\n")
    (root / "a.py").write_text('"""Other."""\n\n# all\nA = 1\nB = 2\nC = 3\n')
    assert changed_code(root, "a.py", digest_of(code_only(old))) == ["1 line removed, 2 added"]
    assert changed_code(root, "a.py", "0" * 64) == []
    commit(root, "a.csv", "1,2\n")
    (root / "a.csv").write_text("1,3\n")
    assert changed_code(root, "a.csv", digest_of("1,2\n")) == ["1 line removed, 1 added"]
    (root / "a.csv").unlink()
    assert changed_code(root, "a.csv", digest_of("1,2\n")) == []
