"""The doctor's checks of the repository: whether git answers, and the ends of its lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline import dvc_internals, git
from pipeline.doctor.finding import Finding

SHOWN = 3
CRLF = re.compile(r" w/(crlf|mixed) ")

WRITTEN = (".", ".dvc", "data", "models", "results", "work")
"""Folders that commands write into."""


def repository(root: Path) -> Iterator[Finding]:
    """Whether there is a repository and git answers in it."""
    top = git.repository(root)
    if top is None:
        if str(dvc_internals.config(root).get("core", {}).get("no_scm")).lower() == "true":
            yield Finding(
                "note", "no repository, and core.no_scm is set: compare and table need one"
            )
        else:
            yield Finding("FAIL", git.NO_REPOSITORY)
        return
    if git.commit(root, "HEAD") is None:
        yield Finding("note", f"{top} has no commit yet: git add -A && git commit -m 'First'")
    elif top != root.resolve():
        yield Finding("ok", f"a folder of the repository {top}")
    else:
        yield Finding("ok", "answers")


def files(root: Path) -> Iterator[Finding]:
    """Whether tracked text ends its lines in LF, and whether this user may write here."""
    denied = [name for name in WRITTEN if _is_denied(root / name)]
    if denied:
        yield Finding(
            "FAIL",
            f"you may not write to {', '.join(denied)} of {root}; make a clone of your own, or "
            f"ask its owner for: chmod -R u+w {root}",
        )
    crlf = []
    if git.repository(root):
        listed = git.text(root, "ls-files", "--eol", "-z").split("\0")
        crlf = [line.partition("\t")[2] for line in listed if CRLF.search(line.split("\t")[0])]
    if crlf:
        yield Finding(
            "FAIL",
            f"lines end in CR LF in {len(crlf)} files, such as {', '.join(crlf[:SHOWN])}, by "
            "core.autocrlf or an editor: git ls-files --eol | grep -E 'w/(crlf|mixed)' | cut -f2 | "
            r"xargs -d '\n' sed -i 's/\r$//'",
        )
    if not denied and not crlf:
        yield Finding("ok", "may be written, and lines end in LF")


def _is_denied(folder: Path) -> bool:
    return folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)
