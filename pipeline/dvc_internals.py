"""Everything that this project asks of DVC beyond its public interface (`dvc.api`).

DVC may move or rename any of it in a release (3.67.1 is pinned). Only this file imports such
modules; `tests/pipeline/test_dvc_internals.py` checks each name and signature. The imports stand in
functions because some of them take a second.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from handpose.errors import HandPoseError

Known = tuple[Any, Any]
"""A content as DVC holds it: its `HashInfo` and its `Meta`, which has the size."""


class DvcError(HandPoseError):
    """DVC cannot do what it was asked; the message is DVC's own."""


class CannotRunError(Exception):
    """DVC would stop at this stage."""


class FileVersion(NamedTuple):
    """A file or folder as `dvc.lock` has it; the MD5 of a folder ends in `.dir`."""

    md5: str
    size: int | None


class DepChange(NamedTuple):
    """What is not as it was in the last run. None: it was not there."""

    kind: str  # first, command, always, parameter, input, code, output
    name: str
    old: Any = None
    new: Any = None


@dataclass
class ChangedOut:
    """An output that will not be what is in the workspace now."""

    path: str
    stage: str
    known: Known | None = None  # what it will be; None before its stage has run
    out: Any = None  # DVC's own record of it, to look into a folder
    content: bytes | None = None  # of a file that a rehearsal wrote


# --- the repository ------------------------------------------------------------------------------


@contextlib.contextmanager
def dvc_errors() -> Iterator[None]:
    """A block in which DVC's exceptions become `DvcError`, with their cause in the message."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise DvcError(f"{error}{cause}") from None


def config(root: Path) -> Any:
    """DVC's `Config` of the clone at `root`: `read(level)`, `edit(level)`, `files`, `dvc_dir`.

    Raises:
        DvcError: a configuration file cannot be read.
    """
    from dvc.config import Config

    with dvc_errors():
        return Config(str(root / ".dvc"))


def file_system(settings: Mapping[str, Any]) -> tuple[Any, str]:
    """DVC's file system of a remote with these settings, `url` among them; and the folder there."""
    from dvc.fs import get_cloud_fs

    kind, options, folder = get_cloud_fs({}, **settings)
    return kind(**options), folder


def stages_of_repro(root: Path, targets: list[str]) -> list[Any]:
    """The stages that `dvc repro TARGETS` looks at, in its order.

    Raises:
        DvcException: no DVC repository, `dvc.yaml` cannot be used, or a target is unknown.
    """
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
    from dvc.stage import PipelineStage

    repo = Repo(str(root))
    graph = get_active_graph(repo.index.graph)
    chosen = collect_stages(repo, targets or [os.path.join(repo.root_dir, "dvc.yaml")])
    return [stage for stage in plan_repro(graph, chosen) if isinstance(stage, PipelineStage)]


# --- an input of a stage -------------------------------------------------------------------------


def is_params(dep: Any) -> bool:
    """Whether a dep is not a file but keys of `params.yaml`."""
    from dvc.dependency import ParamsDependency

    return isinstance(dep, ParamsDependency)


def changed_params(dep: Any) -> list[DepChange]:
    """Leaf by leaf; afterwards `dep` holds the new values.

    Raises:
        CannotRunError: a declared key is not in the file.
    """
    from dvc_data.hashfile.hash_info import HashInfo

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


def known_file(md5: str, size: int) -> Known:
    """A file as DVC would record it."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    return HashInfo("md5", md5), Meta(size=size)


def known_input(dep: Any, changed: list[ChangedOut]) -> Known | None:
    """What an input will be when its stage's turn comes; None while that is unknown.

    Args:
        dep: the input.
        changed: outputs that overlap it and will change before.

    Raises:
        CannotRunError: it is not there, and no stage writes it.
    """
    from dvc_data.hashfile.meta import Meta

    if not changed:
        return _from_workspace(dep)
    if len(changed) > 1 or changed[0].known is None:
        return None
    (one,) = changed
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


def cached_file(stage: Any, hash_info: Any) -> Path | None:
    """Where DVC's cache has a file with this hash; None: it has it not, or it is a folder."""
    if not hash_info or hash_info.isdir:
        return None
    path = Path(stage.repo.cache.local.oid_to_path(hash_info.value))
    return path if path.is_file() else None


# --- a stage and its outputs ---------------------------------------------------------------------


def changed_outs(stage: Any) -> list[DepChange]:
    """Outputs that are not what `dvc.lock` records, or are missing in the cache."""
    found = ((out, out.status()) for out in stage.outs)
    return [DepChange("output", out.def_path, new=s[str(out)]) for out, s in found if s]


def restorable_outs(stage: Any, *, as_locked: bool) -> list[Any] | None:
    """Outputs that DVC would take from the cache instead of running the stage; None: it runs.

    Args:
        stage: holds the inputs that it will run with.
        as_locked: these are the ones of `dvc.lock`.
    """
    from dvc.stage.serialize import to_single_stage_lockfile

    if as_locked:
        known = all(out.hash_info for out in stage.outs)
        entry = to_single_stage_lockfile(stage) if known else None
    else:
        entry = _newest_run(stage)
    if entry is None:
        return None
    outs: list[Any] = stage.repo.stage_cache._create_stage(entry, wdir=stage.wdir).outs
    return None if any(out.changed_cache() for out in outs) else outs


def _newest_run(stage: Any) -> dict[str, Any] | None:
    """The newest run with exactly these inputs in DVC's run cache."""
    from dvc.stage.cache import _get_cache_hash
    from dvc.stage.serialize import to_single_stage_lockfile

    if stage.always_changed or any(out.persist for out in stage.outs):
        return None
    cache = stage.repo.stage_cache
    key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
    folder = Path(cache._get_cache_dir(key))
    runs = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime) if folder.is_dir() else []
    entry: dict[str, Any] | None = cache._load_cache(key, runs[-1].name) if runs else None
    return entry


def manifest(stage: Any) -> Path | None:
    """The last run's manifest: in the cache, or in the workspace."""
    for out in stage.outs:
        if out.fs_path.endswith("manifest.json") and out.hash_info:
            candidates = (cached_file(stage, out.hash_info), Path(out.fs_path))
            return next((path for path in candidates if path and path.is_file()), None)
    return None


def size(outs: Iterable[Any]) -> int | None:
    """Bytes of outputs; None if the size of one is not recorded."""
    sizes = [out.meta.size if out.hash_info and out.meta else None for out in outs]
    known = [one for one in sizes if one is not None]
    return sum(known) if len(known) == len(sizes) else None


def recorded(outs: Iterable[Any]) -> bool:
    """Whether `dvc.lock` has a run that wrote one of these outputs."""
    return any(out.hash_info for out in outs)


def version(hash_info: Any, meta: Any) -> FileVersion | None:
    """The same in plain types; None for what was not there."""
    return FileVersion(str(hash_info.value), meta.size if meta else None) if hash_info else None


def overlap(a: str, b: str) -> bool:
    """Whether one path is the other or lies in it."""
    return a == b or _inside(a, b) or _inside(b, a)


def _inside(path: str, folder: str) -> bool:
    return PurePath(folder) in PurePath(path).parents
