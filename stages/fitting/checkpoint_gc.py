"""Finished trainings: the last checkpoint stays until DVC has recorded what came out.

A training door ends before DVC hashes its results, copies them into its cache and names them in
`dvc.lock`. Whoever kills DVC meanwhile, or a disk that is full then, makes DVC run the stage again;
the door finds the finished checkpoint and writes its results anew, without training. Once they are
in `dvc.lock`, the next run of the stage removes it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from handpose.training.checkpoint import MARK, Checkpoint

DVC_LOCK = Path("dvc.lock")


def mark_of(out: Path) -> str:
    """What `dvc.lock` calls the results in `out`: MD5 of model.json, which no two runs share."""
    return hashlib.md5((out / "model.json").read_bytes(), usedforsecurity=False).hexdigest()


def is_recorded(mark: Path, dvc_lock: Path = DVC_LOCK) -> bool:
    """Whether the results of this finished checkpoint are in `dvc.lock`."""
    if not (mark.exists() and dvc_lock.exists()):
        return False
    name = mark.read_text("utf-8")
    return bool(name) and name in dvc_lock.read_text("utf-8")


def forget_recorded(checkpoint: Checkpoint, tell: Callable[[str], None]) -> None:
    """Remove finished checkpoints whose results DVC has, and tell which others lie beside this one.

    That of this very run goes too if it was recorded: then somebody asked for it again, as
    `dvc repro --force` does.
    """
    for mark in checkpoint.folder.glob(f"*/{MARK}"):
        if is_recorded(mark):
            mark.unlink()  # first: beside a run that is under way it would tell a lie
            shutil.rmtree(mark.parent, ignore_errors=True)
    others = {
        path.parent: path.stat().st_size
        for path in sorted(checkpoint.folder.glob("*/checkpoint.pt"))
        if path != checkpoint.path
    }
    if others:
        tell(
            f"{len(others)} other unfinished or unrecorded runs left "
            f"{sum(others.values()) / 1e6:.0f} MB, taken up when their parameters and labels come "
            "back; if that will not be: "
            f"rm -r {' '.join(map(str, others))}"
        )
