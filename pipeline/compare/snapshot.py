"""The results that a git revision keeps, and those in the workspace, read alike."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from handpose.data.labels import Labels
from handpose.errors import HandPoseError

PREDICTIONS = "results/predictions.parquet"
LABELS = "data/labels/labels.parquet"
SAMPLES = "data/ingest/samples.parquet"

KEEP = "`git add dvc.lock params.yaml labels && git commit` after a `dvc repro` keeps its results"


class KeptError(HandPoseError):
    """A revision, or the workspace, has no results that can be read."""


@dataclass(frozen=True)
class Kept:
    """What an evaluation left."""

    name: str  # of the revision, or "workspace"
    predictions: pa.Table
    labels: Labels
    md5s: Mapping[str, str]  # by path of every output, as dvc.lock tells them

    def same(self, other: Kept, *paths: str) -> bool:
        """Whether both have these outputs to the byte; tables with NaN are never equal."""
        return all(self.md5s.get(path) == other.md5s.get(path) for path in paths)


def at_revision(root: Path, rev: str) -> Kept:
    """The results whose `dvc.lock` was committed there, from DVC's cache or its remote.

    Raises:
        KeptError: git does not know the revision, it has no results, or they are not to be had.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    commit = commit.strip() if commit else _experiment(root, rev)
    if commit is None:
        raise KeptError(
            f"git knows no revision {rev!r}, nor is it an experiment: `git log --oneline` and "
            "`dvc exp show` list them"
        )
    text = _git(root, "show", f"{commit}:./dvc.lock")
    if text is None:
        raise KeptError(f"{rev} has no dvc.lock, so no results were kept there; {KEEP}")
    md5s = _outs(text, f"{rev}:dvc.lock")
    missing = [path for path in (PREDICTIONS, LABELS) if path not in md5s]
    if missing:
        raise KeptError(f"dvc.lock of {rev} names no {missing[0]}: it had not been run; {KEEP}")
    from dvc.api import DVCFileSystem  # most of a second

    files = DVCFileSystem(str(root), rev=commit)

    def read(path: str) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(files.read_bytes(path)))
        except OSError:
            raise KeptError(
                f"{path} of {rev} is neither in DVC's cache nor on a remote; where it was made, "
                f"`dvc push` sends it, and here `dvc fetch` brings it. Otherwise run it again: "
                f"git worktree add ../{commit[:7]} {rev}, and `dvc repro` there"
            ) from None

    return Kept(rev, read(PREDICTIONS), Labels.of(read(LABELS)), md5s)


def _experiment(root: Path, name: str) -> str | None:
    """The commit of DVC's experiment of this name; git itself does not look for one there."""
    refs = _git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    found = [line.split(" ") for line in refs.splitlines()]
    commits = {commit for commit, ref in found if ref.rpartition("/")[2] == name}
    return commits.pop() if len(commits) == 1 else None


def in_workspace(root: Path) -> Kept:
    """The results that lie here.

    Raises:
        KeptError: there are none, or they are not those that `dvc.lock` tells of.
    """
    lock = root / "dvc.lock"
    if not (root / PREDICTIONS).is_file() or not lock.is_file():
        raise KeptError(f"{PREDICTIONS}: not found; `dvc repro` makes it")
    md5s = _outs(lock.read_text("utf-8"), "dvc.lock")
    for path in (PREDICTIONS, LABELS):
        content = (root / path).read_bytes() if (root / path).is_file() else b""
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5s.get(path):
            raise KeptError(
                f"{path} is not what dvc.lock tells of: a run is under way or was broken off. "
                "`dvc repro` finishes it; `dvc checkout` brings the last whole results back"
            )
    return Kept(
        "workspace",
        pq.read_table(root / PREDICTIONS),
        Labels.read(root / LABELS),
        md5s,
    )


def _outs(text: str, name: str) -> dict[str, str]:
    """MD5 of every output that this dvc.lock lists."""
    try:
        content: Mapping[str, Any] = yaml.safe_load(text)
        stages = content["stages"].values()
        return {
            out["path"]: out.get("md5", "") for stage in stages for out in stage.get("outs", [])
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise KeptError(
            f"{name}: cannot be read; is a git conflict left in it? Take one side: "
            "`git checkout --ours dvc.lock`, or --theirs"
        ) from None


def _git(root: Path, *words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None
