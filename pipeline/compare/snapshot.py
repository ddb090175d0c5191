"""Results of a git revision, of a clone's folder and of the workspace, read into the same form."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from handpose.data.labels import Labels
from handpose.errors import HandPoseError
from pipeline import git
from stages.paths import LABELS, PREDICTIONS

HOW_TO_RECORD = (
    "`git add dvc.lock params.yaml labels && git commit` after a `dvc repro` records its results"
)


WORKSPACE = "workspace"


class SnapshotError(HandPoseError):
    """A revision, or the workspace, has no results that can be read."""


@dataclass(frozen=True)
class Snapshot:
    """Results of one evaluation."""

    name: str  # of the revision or the folder, or "workspace"
    predictions: pa.Table
    labels: Labels
    md5s: Mapping[str, str]  # by path of every output, from dvc.lock
    params: Mapping[str, Any]  # by key, such as pose.lr, of every stage, from dvc.lock

    @property
    def title(self) -> str:
        """The name, as sentences have it."""
        return f"the {WORKSPACE}" if self.name == WORKSPACE else self.name

    def same(self, other: Snapshot, *paths: Path) -> bool:
        """Whether these outputs have the same bytes; tables with NaN never compare equal."""
        return all(self.md5s.get(str(path)) == other.md5s.get(str(path)) for path in paths)


def is_folder(name: str) -> bool:
    """Whether this names a folder; a name in git begins with neither a dot nor a slash."""
    return name.startswith((".", "/"))


def read_results(root: Path, name: str) -> Snapshot:
    """The results of a revision, an experiment, or of the clone in a folder.

    Raises:
        HandPoseError: it has none.
    """
    if not is_folder(name):
        return at_revision(root, name)
    return in_folder(root / name, name)


def at_revision(root: Path, rev: str) -> Snapshot:
    """The results whose `dvc.lock` was committed there, from DVC's cache or its remote.

    Raises:
        GitError: git cannot be asked.
        SnapshotError: git does not know the revision, it has no results, or they cannot be fetched.
    """
    commit = git.commit(root, rev) or _experiment(root, rev)
    if commit is None:
        raise SnapshotError(
            f"git knows no revision {rev!r}, nor is it an experiment: `git log --oneline` and "
            "`dvc exp show` list them" + f"; for the folder write ./{rev}" * (root / rev).is_dir()
        )
    lock = git.file_at(root, commit, "dvc.lock")
    if lock is None:
        raise SnapshotError(f"{rev} has no dvc.lock, so it has no results; {HOW_TO_RECORD}")
    md5s, params = _record(lock.decode("utf-8", "replace"), f"{rev}:dvc.lock")
    missing = [path for path in (PREDICTIONS, LABELS) if str(path) not in md5s]
    if missing:
        raise SnapshotError(
            f"dvc.lock of {rev} has no {missing[0]}: it had not been run; {HOW_TO_RECORD}"
        )
    from dvc.api import DVCFileSystem  # most of a second

    top = git.repository(root) or root
    below = root.resolve().relative_to(top.resolve())  # of a larger repository
    files = DVCFileSystem(str(top), rev=commit, subrepos=below != Path("."))

    def read(path: Path) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(files.read_bytes(str(below / path))))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                raise SnapshotError(
                    f"{path} of {rev} cannot be read ({error}); `handpose doctor` checks DVC's "
                    "cache and the remotes"
                ) from None
            raise SnapshotError(
                f"{path} of {rev} is neither in DVC's cache nor on a remote; where it was made, "
                f"`dvc push` uploads it, and here `dvc fetch` gets it. Otherwise run it again: "
                f"git worktree add ../{commit[:7]} {rev}, and `dvc repro` there"
            ) from None

    return Snapshot(rev, read(PREDICTIONS), Labels.of(read(LABELS)), md5s, params)


def _experiment(root: Path, name: str) -> str | None:
    """The commit of DVC's experiment of this name, which git itself does not look up."""
    refs = git.text(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    found = [line.split(" ") for line in refs.splitlines()]
    commits = {commit for commit, ref in found if ref.rpartition("/")[2] == name}
    return commits.pop() if len(commits) == 1 else None


def in_workspace(root: Path) -> Snapshot:
    """The results in this folder; see `in_folder`."""
    return in_folder(root, WORKSPACE)


def in_folder(root: Path, name: str) -> Snapshot:
    """The results in the clone at `root`.

    Raises:
        SnapshotError: there are none, or they do not match `dvc.lock`.
    """
    of = "" if name == WORKSPACE else f" of {name}"
    lock = root / "dvc.lock"
    if not (root / PREDICTIONS).is_file() or not lock.is_file():
        raise SnapshotError(f"{PREDICTIONS}{of}: not found; `dvc repro` writes it")
    md5s, params = _record(lock.read_text("utf-8"), f"dvc.lock{of}")
    for path in (PREDICTIONS, LABELS):
        content = (root / path).read_bytes() if (root / path).is_file() else b""
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5s.get(str(path)):
            raise SnapshotError(
                f"{path}{of} does not match dvc.lock: a run is in progress or was interrupted. "
                "`dvc repro` finishes it; `dvc checkout` restores the last complete results"
            )
    return Snapshot(
        name,
        pq.read_table(root / PREDICTIONS),
        Labels.read(root / LABELS),
        md5s,
        params,
    )


def _record(text: str, name: str) -> tuple[dict[str, str], dict[str, Any]]:
    """MD5 of every output in this dvc.lock by path, and every parameter by key."""
    try:
        content: Mapping[str, Any] = yaml.safe_load(text)
        stages = content["stages"].values()
        md5s = {
            out["path"]: out.get("md5", "") for stage in stages for out in stage.get("outs", [])
        }
        params: dict[str, Any] = {}
        for stage in stages:
            for values in stage.get("params", {}).values():
                params |= _flat(values)
        return md5s, params
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise SnapshotError(
            f"{name}: cannot be read; is a git conflict left in it? Take one side: "
            "`git checkout --ours dvc.lock`, or --theirs"
        ) from None


def _flat(node: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        inner = isinstance(value, Mapping)
        found |= _flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return found
