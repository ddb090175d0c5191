"""Checks of DVC: its files, its cache, its locks, and the checkpoints that training has left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handpose.training.checkpoint import MARK
from pipeline import dvc_internals
from pipeline.dag import read_dag
from pipeline.doctor.finding import Finding
from pipeline.remote.objects import check_cache, results_of
from stages.training.checkpoint_gc import DVC_LOCK, is_recorded

LOCK_TABLE = Path("/proc/locks")


def stages(root: Path) -> Iterator[Finding]:
    """`dvc.yaml`."""
    yield Finding("ok", f"{len(read_dag(root))} stages in dvc.yaml")


def lock_file(root: Path) -> Iterator[Finding]:
    """`dvc.lock`: whole, or left in conflict by a merge."""
    path = root / "dvc.lock"
    if not path.exists():
        yield Finding("note", "none yet; dvc repro writes it, and git should keep it")
        return
    marks = [
        number
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.startswith(("<<<<<<<", ">>>>>>>"))
    ]
    if marks:
        yield Finding(
            "FAIL",
            f"line {marks[0]} has a git conflict. Take either side, git checkout --ours dvc.lock, "
            "then dvc repro: it runs what that side does not have",
        )
    else:
        yield Finding("ok", "no conflict in it")


def cache(root: Path, *, deep: bool) -> Iterator[Finding]:
    """How DVC links the workspace to its cache; `deep` hashes every object."""
    kinds, folder = _cache_settings(root)
    if "copy" not in kinds:
        yield Finding(
            "FAIL",
            f"cache.type is {','.join(kinds)}: where the disk cannot do that, dvc checkout "
            f"removes results from the workspace; dvc config cache.type {','.join(kinds)},copy",
        )
    elif {"hardlink", "symlink"} & set(kinds) and os.geteuid() == 0:
        yield Finding(
            "FAIL",
            f"cache.type is {','.join(kinds)} and you are root, who can write through a link "
            "into the cache and corrupt it; dvc config --local cache.type copy",
        )
    else:
        yield Finding("ok", f"{folder}: {','.join(kinds)}")
    if deep:
        for line in check_cache(folder, results_of(root, folder)):
            yield Finding("ok", line)


def locks(root: Path) -> Iterator[Finding]:
    """Which processes hold the locks of DVC and of the training stages."""
    running: set[str] = set()
    stale: set[str] = set()
    rwlock = root / ".dvc" / "tmp" / "rwlock"
    try:
        entries = list(_rwlock(rwlock))
    except (ValueError, AttributeError):
        yield Finding("FAIL", f"{rwlock} is not JSON; where no dvc runs, rm {rwlock}")
        return
    for entry in entries:
        alive = Path(f"/proc/{entry.get('pid')}").exists()
        (running if alive else stale).add(f"{entry.get('cmd')} (process {entry.get('pid')})")
    if not LOCK_TABLE.exists():
        yield Finding("note", f"unknown: this machine has no {LOCK_TABLE}")
        return
    held = {f"{path.relative_to(root)} (process {pid})" for path, pid in _held(root)}
    if running or held:
        yield Finding("note", f"at work now: {', '.join(sorted(running | held))}")
    if stale:
        yield Finding(
            "note",
            f"left by a command that was killed: {', '.join(sorted(stale))}; harmless. Where "
            "nothing runs, rm .dvc/tmp/rwlock removes it",
        )
    if not running and not held and not stale:
        yield Finding("ok", "nothing is locked")


def work(root: Path) -> Iterator[Finding]:
    """Checkpoints of unfinished or unrecorded trainings."""
    left = sorted((root / "work").glob("**/*.pt"))
    for path in left:
        info = path.stat()
        hours = (time.time() - info.st_mtime) / 3600
        use = (
            "its results are in dvc.lock, and the stage's next training removes it. Sooner"
            if is_recorded(path.with_name(MARK), root / DVC_LOCK)
            else "dvc repro resumes it if nothing it depends on changed. Not wanted"
        )
        yield Finding(
            "note",
            f"{path.relative_to(root)}: {info.st_size / 1e6:.0f} MB, {hours:.1f} h old; {use}: "
            f"rm -r {path.parent}",
        )
    if not left:
        yield Finding("ok", "no checkpoint waits to be resumed")


def plots(root: Path) -> Iterator[Finding]:
    """The page template that lets `dvc plots` work without internet."""
    template = _config(root).get("plots", {}).get("html_template")
    if not template:
        yield Finding(
            "note",
            "no template: pages of dvc plots need internet to show "
            "curves; python -m pipeline.offline_plots makes one",
        )
    elif not (root / ".dvc" / template).is_file():
        yield Finding("FAIL", f"{root / '.dvc' / template} is not there; git checkout brings it")
    else:
        yield Finding("ok", f"pages take {template}, without internet")


def _config(root: Path) -> dict[str, Any]:
    """DVC's merged configuration."""
    return dict(dvc_internals.config(root))


def _cache_settings(root: Path) -> tuple[list[str], Path]:
    section = _config(root).get("cache", {})
    kinds = section.get("type") or ["reflink", "copy"]  # DVC's default
    kinds = kinds.split(",") if isinstance(kinds, str) else list(kinds)
    return [kind.strip() for kind in kinds], Path(section.get("dir") or root / ".dvc" / "cache")


def _rwlock(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of DVC's file of locked paths."""
    try:
        content = json.loads(path.read_text("utf-8") or "{}")
    except FileNotFoundError:
        return
    yield from content.get("write", {}).values()
    for readers in content.get("read", {}).values():
        yield from readers


def _held(root: Path) -> Iterator[tuple[Path, int]]:
    """Lock files that a process holds, as the kernel lists them; reading that disturbs nobody."""
    files = [root / ".dvc" / "tmp" / "lock", *sorted((root / "work").glob("*/lock"))]
    numbers = {file.stat().st_ino: file for file in files if file.exists()}
    for line in LOCK_TABLE.read_text(
        "utf-8"
    ).splitlines():  # 1: FLOCK  ADVISORY  WRITE 10459 fe:01:1234 0 EOF
        words = line.split()
        number = int(words[5].rpartition(":")[2])
        if words[1] == "FLOCK" and number in numbers:
            yield numbers[number], int(words[4])
