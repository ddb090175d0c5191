"""How a file differs from what it was in the last run, as far as git has that version."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from pathlib import Path

from handpose.counted import counted
from pipeline import git
from stages.code_digest import code_only, digest_of, unix_text

COMMITS = 30
"""How many commits of a file are searched for an old version."""

MOST_LINES = 8
WIDEST = 100


def changed_lines(root: Path, path: str, md5: str) -> list[str]:
    """Lines removed (`- old`) and added (`+ new`) since the file had this MD5.

    Where they are many, or code, they are counted. Empty when git has no such version, when the
    file is not text, or when it is gone.
    """
    old = _version(root, path, lambda content: _md5(content) == md5)
    try:
        now = (root / path).read_text("utf-8").splitlines()
        before = old.decode("utf-8").splitlines() if old is not None else None
    except (OSError, UnicodeDecodeError):
        return []
    if before is None:
        return []
    if before != now and sorted(before) == sorted(now):
        return [f"the same {len(now)} lines in another order"]
    if before == now:
        return ["only the ends of the lines differ"]
    lines = _diff(before, now)
    return _counted(lines) if len(lines) > MOST_LINES or path.endswith(".py") else lines


def changed_code(root: Path, path: str, digest: str) -> list[str]:
    """How many lines of code were removed and added since the file had this digest.

    Empty when git has no such version, or when the file is gone. `digest` is the file's in a record
    of `stages/code_digest.py`, so comments and docstrings do not count.
    """
    old = _version(root, path, lambda content: digest_of(_code(path, content)) == digest)
    if old is None or not (root / path).is_file():
        return []
    new = (root / path).read_bytes()
    return _counted(_diff(_code(path, old).splitlines(), _code(path, new).splitlines()))


def unknown(root: Path) -> str:
    """Why git cannot say how files differ; empty where it can, and where there is no repository."""
    try:
        if git.repository(root) is not None:
            git.text(root, "rev-parse", "--git-dir")
    except git.GitError as error:
        return str(error)
    return ""


def _diff(before: list[str], now: list[str]) -> list[str]:
    return [
        f"{line[0]} {line[1:]}"[:WIDEST]
        for line in difflib.unified_diff(before, now, n=0, lineterm="")
        if line[0] in "+-" and not line.startswith(("---", "+++"))
    ]


def _counted(lines: list[str]) -> list[str]:
    removed = sum(line[0] == "-" for line in lines)
    return [f"{counted(removed, 'line')} removed, {len(lines) - removed:,} added"]


def _code(path: str, content: bytes) -> str:
    """What of a file's text counts as code; all of it where it is not valid Python."""
    text = unix_text(content)
    try:
        return code_only(text) if path.endswith(".py") else text
    except SyntaxError:
        return text


def _version(root: Path, path: str, is_it: Callable[[bytes], bool]) -> bytes | None:
    """The newest committed content of which this is true; None too where git cannot be asked."""
    try:
        if git.repository(root) is None or git.commit(root, "HEAD") is None:
            return None
        log = git.text(root, "log", f"-{COMMITS}", "--format=%H", "--", path)
        contents = (git.file_at(root, commit, path) for commit in log.split())
        return next((content for content in contents if content and is_it(content)), None)
    except git.GitError:
        return None  # `unknown` says why


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
