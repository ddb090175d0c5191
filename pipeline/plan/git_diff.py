"""How a text file differs from what it was in the last run, as far as git remembers that."""

from __future__ import annotations

import difflib
import hashlib
import subprocess
from pathlib import Path

COMMITS = 30
"""How far back an old content is looked for."""

MOST_LINES = 8
WIDEST = 100


def changed_lines(root: Path, path: str, md5: str) -> list[str]:
    """Lines that went (`- old`) and came (`+ new`) since the file had this MD5; of code, how many.

    Empty when git has no such content, when it is no text, or when the file is gone.
    """
    old = _content(root, path, md5)
    try:
        new = (root / path).read_text("utf-8")
        before = old.decode("utf-8").splitlines() if old is not None else None
    except (OSError, UnicodeDecodeError):
        return []
    if before is None:
        return []
    now = new.splitlines()
    if before != now and sorted(before) == sorted(now):
        return [f"the same {len(now)} lines in another order"]
    if before == now:
        return ["only the ends of the lines differ"]
    lines = [
        f"{line[0]} {line[1:]}"[:WIDEST]
        for line in difflib.unified_diff(before, now, n=0, lineterm="")
        if line[0] in "+-" and not line.startswith(("---", "+++"))
    ]
    if len(lines) > MOST_LINES or path.endswith(".py"):
        went = sum(line[0] == "-" for line in lines)
        return [f"{went} lines went, {len(lines) - went} came"]
    return lines


def _content(root: Path, path: str, md5: str) -> bytes | None:
    """The committed content with this MD5; the newest commits are looked at first."""
    log = _git(root, "log", f"-{COMMITS}", "--format=%H", "--", path)
    for commit in (log or b"").decode().split():
        content = _git(root, "show", f"{commit}:./{path}")
        if content is not None and _md5(content) == md5:
            return content
    return None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _git(root: Path, *words: str) -> bytes | None:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True)
    return done.stdout if done.returncode == 0 else None
