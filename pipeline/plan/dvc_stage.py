"""One stage as DVC sees it: what changed since `dvc.lock`, and what the run-cache knows.

With `pipeline/plan/forecast.py` the only module that leans on DVC's insides (3.67.1, pinned).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from dvc.dependency import ParamsDependency
from dvc.stage import PipelineStage
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta

Known = tuple[HashInfo, Meta]
"""A content: its hash, and its size."""


class CannotRunError(Exception):
    """DVC would stop at this stage."""


class FileVersion(NamedTuple):
    """A file or folder as `dvc.lock` knows it; the MD5 of a folder ends in `.dir`."""

    md5: str
    size: int | None


class DepChange(NamedTuple):
    """What is not as it was in the last run. None: it was not there."""

    kind: str  # first, command, always, parameter, input, output
    name: str
    old: Any = None
    new: Any = None


@dataclass
class Moved:
    """An output that will not be what lies in the workspace now."""

    path: str
    stage: str
    known: Known | None = None  # what it will be; None before its stage has run
    out: Any = None  # DVC's own record of it, to look into a folder


def changed_params(dep: ParamsDependency) -> list[DepChange]:
    """Leaf by leaf; afterwards `dep` holds the new values.

    Raises:
        CannotRunError: a declared key is not in the file.
    """
    old = dep.hash_info.value if dep.hash_info else {}
    new = dep.read_params()
    if missing := sorted(set(dep.params) - set(new)):
        raise CannotRunError(f"{dep.def_path}: {', '.join(missing)} is missing; put it back")
    before, now = dict(_leaves(old or {})), dict(_leaves(new))
    dep.hash_info = HashInfo(dep.PARAM_PARAMS, new)
    return [
        DepChange("parameter", key, before.get(key), now.get(key))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) or (key in before) != (key in now)
    ]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def content(dep: Any, moved: list[Moved]) -> Known | None:
    """What an input will be when its stage's turn comes; None while that is unknown.

    Args:
        dep: the input.
        moved: outputs that touch it and will change before.

    Raises:
        CannotRunError: it is not there, and no stage writes it.
    """
    if not moved:
        return _from_workspace(dep)
    if len(moved) > 1 or moved[0].known is None:
        return None
    (one,) = moved
    if one.path == dep.fs_path:
        return one.known
    if one.out is None or not _inside(dep.fs_path, one.path):
        return None
    part = one.out.get_obj(filter_info=dep.fs_path)
    return (part.hash_info, Meta()) if part is not None else None


def _from_workspace(dep: Any) -> Known:
    if not dep.exists:
        raise CannotRunError(f"{dep.def_path}: not found, and no stage writes it")
    _, meta, obj = dep._build(
        dep.local_cache, dep.fs_path, dep.fs, "md5", ignore=dep.dvcignore, dry_run=True
    )
    return obj.hash_info, meta


def changed_outs(stage: PipelineStage) -> list[DepChange]:
    """Outputs that are not what `dvc.lock` says, or are missing in the cache."""
    found = ((out, out.status()) for out in stage.outs)
    return [DepChange("output", out.def_path, new=s[str(out)]) for out, s in found if s]


def kept_outs(stage: PipelineStage, *, as_locked: bool) -> list[Any] | None:
    """Outputs that DVC would take from the cache instead of running the stage; None: it runs.

    Args:
        stage: holds the inputs that it will run with.
        as_locked: these are the ones of `dvc.lock`.
    """
    if as_locked:
        known = all(out.hash_info for out in stage.outs)
        entry = to_single_stage_lockfile(stage) if known else None
    else:
        entry = _newest_run(stage)
    if entry is None:
        return None
    outs: list[Any] = stage.repo.stage_cache._create_stage(entry, wdir=stage.wdir).outs
    return None if any(out.changed_cache() for out in outs) else outs


def _newest_run(stage: PipelineStage) -> dict[str, Any] | None:
    """The newest run that DVC's run-cache remembers of just these inputs."""
    if stage.always_changed or any(out.persist for out in stage.outs):
        return None
    cache = stage.repo.stage_cache
    key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
    folder = Path(cache._get_cache_dir(key))
    runs = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime) if folder.is_dir() else []
    entry: dict[str, Any] | None = cache._load_cache(key, runs[-1].name) if runs else None
    return entry


def manifest(stage: PipelineStage) -> Path | None:
    """The last run's manifest: in the cache, or in the workspace."""
    for out in stage.outs:
        if out.fs_path.endswith("manifest.json") and out.hash_info:
            cached = Path(stage.repo.cache.local.oid_to_path(out.hash_info.value))
            return next((p for p in (cached, Path(out.fs_path)) if p.is_file()), None)
    return None


def size(outs: list[Any]) -> int | None:
    """Bytes of outputs; None if they never were."""
    sizes = [out.meta.size for out in outs if out.hash_info and out.meta]
    return sum(one or 0 for one in sizes) if sizes else None


def version(hash_info: HashInfo, meta: Meta | None) -> FileVersion | None:
    """The same in plain types; None for what was not there."""
    return FileVersion(str(hash_info.value), meta.size if meta else None) if hash_info else None


def overlap(a: str, b: str) -> bool:
    """Whether one path is the other or lies in it."""
    return a == b or _inside(a, b) or _inside(b, a)


def _inside(path: str, folder: str) -> bool:
    return PurePath(folder) in PurePath(path).parents
