"""Whether the commit that `make table` measured is part of this clone's history."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline import git
from pipeline.table.results_page import FACTS


class Ancestry(NamedTuple):
    """Whether a commit is part of the history of HEAD; None where git cannot say."""

    known: bool | None
    why: str


def ancestry(root: Path, commit: str) -> Ancestry:
    """Whether git knows this commit as one that HEAD comes from."""
    try:
        shallow = git.text(root, "rev-parse", "--is-shallow-repository").strip() == "true"
        known = git.commit(root, commit) is not None
        if known and git.answer(root, "merge-base", "--is-ancestor", commit, "HEAD") is not None:
            return Ancestry(True, "")
    except git.GitError as error:
        return Ancestry(None, f"git cannot be asked: {error}")
    if shallow:
        return Ancestry(None, f"this clone is shallow: its history may not reach back to {commit}")
    return Ancestry(False, f"{FACTS} names commit {commit}, which HEAD does not come from")
