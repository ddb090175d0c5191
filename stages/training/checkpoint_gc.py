"""Finished trainings: the last checkpoint stays until DVC has recorded the results.

A training stage ends before DVC hashes its results, copies them into its cache and names them in
`dvc.lock`. If DVC is killed in between, or the disk is full, it runs the stage again; the stage
then finds the finished checkpoint and rewrites its results without training. Once they are in
`dvc.lock`, the next run of the stage removes the checkpoint.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

from handpose.training.checkpoint import MARK, Checkpoint

logger = logging.getLogger(__name__)

DVC_LOCK = Path("dvc.lock")


def results_id(out: Path) -> str:
    """How `dvc.lock` names the results in `out`: MD5 of model.json, unique to a run."""
    return hashlib.md5((out / "model.json").read_bytes(), usedforsecurity=False).hexdigest()


def is_recorded(mark: Path, dvc_lock: Path = DVC_LOCK) -> bool:
    """Whether the results of the finished checkpoint with this mark are in `dvc.lock`."""
    if not (mark.exists() and dvc_lock.exists()):
        return False
    results = mark.read_text("utf-8")
    return bool(results) and results in dvc_lock.read_text("utf-8")


def drop_recorded_checkpoints(checkpoint: Checkpoint) -> None:
    """Remove finished checkpoints whose results DVC has recorded; log which others there are.

    That of this very run is removed too if it was recorded: then the run is asked for again, as by
    `dvc repro --force`.
    """
    for mark in checkpoint.folder.glob(f"*/{MARK}"):
        if is_recorded(mark):
            mark.unlink()  # first, since an unfinished run must never have one
            shutil.rmtree(mark.parent, ignore_errors=True)
    others = {
        path.parent: path.stat().st_size
        for path in sorted(checkpoint.folder.glob("*/checkpoint.pt"))
        if path != checkpoint.path
    }
    if others:
        logger.info(
            "%d other unfinished or unrecorded runs left %.0f MB; each resumes when its parameters "
            "and labels come back. If they will not: rm -r %s",
            len(others),
            sum(others.values()) / 1e6,
            " ".join(map(str, others)),
        )
