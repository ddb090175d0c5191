"""Check objects of DVC's cache, here or on a remote, against their names, which are their md5.

DVC never hashes an object again. One that a disk or a person changed later is restored as if it
were intact, and its copy in the workspace then counts as intact too, even after the object itself
was repaired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import yaml

from handpose.errors import HandPoseError
from pipeline.remote.storage import Storage

READERS = 8
"""Objects of a remote that are read at a time."""


class ObjectError(HandPoseError):
    """Objects, or results copied from them, are corrupted."""


def check_cache(cache: Path, results: Mapping[str, list[Path]]) -> Iterator[str]:
    """Hash every object of a cache folder, then the results; yields lines that report both.

    Args:
        cache: DVC's cache.
        results: files of the workspace by the md5 that they should have, see `results_of`.

    Raises:
        ObjectError: an object does not match its name, or a result does not match `dvc.lock`.
    """
    bad, count, partial = [], 0, 0
    for path in sorted((cache / "files" / "md5").glob("??/*")):
        if path.suffix == ".tmp":
            partial += 1
            continue
        count += 1
        if _md5_of(path) != _name(path):
            bad.append(path)
    if bad:
        commands = "\n".join(f"  {_remedy(path, results)}" for path in bad)
        raise ObjectError(
            f"{len(bad)} of {count} objects in {cache} are corrupted. Run\n{commands}\n"
            "then dvc pull, or without a remote dvc repro, which makes what is missing"
        )
    yield f"{count} objects in {cache} match their names"
    if partial:
        yield (
            f"{partial} partial objects, left by an interrupted pull; to free their space: "
            f"find {cache} -name '*.tmp' -delete"
        )
    yield from _check_results(results)


def check_remote(storage: Storage) -> Iterator[str]:
    """Read and hash every object of a remote; yields a line that reports it.

    Raises:
        ObjectError: an object does not match its name.
    """
    listed = list(storage.objects())
    with ThreadPoolExecutor(READERS) as pool:
        intact = list(pool.map(_is_intact, listed))
    bad = [path for (_, _, path), good in zip(listed, intact, strict=True) if not good]
    if bad:
        names = "\n".join(f"  {path}" for path in bad)
        raise ObjectError(
            f"{len(bad)} of {len(listed)} objects of remote {storage.name} are corrupted. Delete "
            f"them there, then run `dvc push -r {storage.name}` in a clone that has them intact:\n"
            f"{names}"
        )
    yield f"{len(listed)} objects of remote {storage.name} match their names"


def results_of(root: Path, cache: Path) -> dict[str, list[Path]]:
    """The files of the workspace that `dvc.lock` lists, by md5."""
    path = root / "dvc.lock"
    lock = yaml.safe_load(path.read_text("utf-8")) if path.exists() else None
    found: dict[str, list[Path]] = {}
    for stage in (lock or {}).get("stages", {}).values():
        for out in stage.get("outs", []):
            for md5, file in _files(out, root, cache):
                found.setdefault(md5, []).append(file)
    return found


def _is_intact(item: tuple[str, Any, str]) -> bool:
    """Whether an object of a remote matches its name, see `Storage.objects`."""
    name, system, path = item
    with system.open(path, "rb") as stream:
        return _md5(stream) == name


def _files(out: Mapping[str, Any], root: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    """Files of an output; those of a folder are listed in an object of their own."""
    md5, path = str(out.get("md5", "")), root / str(out["path"])
    if not md5.endswith(".dir"):
        yield md5, path
        return
    listing = cache / "files" / "md5" / md5[:2] / md5[2:]
    for entry in json.loads(listing.read_bytes()) if listing.exists() else []:
        yield str(entry["md5"]), path / str(entry["relpath"])


def _check_results(results: Mapping[str, list[Path]]) -> Iterator[str]:
    existing = [(md5, path) for md5, paths in results.items() for path in paths if path.is_file()]
    wrong = [str(path) for md5, path in existing if _md5_of(path) != md5]
    if wrong:
        raise ObjectError(
            f"{len(wrong)} of {len(existing)} results do not match dvc.lock: {', '.join(wrong)}. "
            "They were edited or are of an unfinished run (dvc status then names them), or were "
            f"copied from a corrupted object; in that case: rm -f {' '.join(wrong)}; dvc checkout"
        )
    yield f"{len(existing)} results match dvc.lock"


def _remedy(path: Path, results: Mapping[str, list[Path]]) -> str:
    """Restore the object from an intact copy in the workspace, or remove it and its copies."""
    copies = [copy for copy in results.get(_name(path), []) if copy.is_file()]
    intact = next((copy for copy in copies if _md5_of(copy) == _name(path)), None)
    if intact is not None:
        return f"cp -f {intact} {path}"
    return f"rm -f {' '.join(map(str, [path, *copies]))}"


def _name(path: Path) -> str:
    """The md5 in an object's path."""
    return path.parent.name + path.name.removesuffix(".dir")


def _md5_of(path: Path) -> str:
    with path.open("rb") as stream:
        return _md5(stream)


def _md5(stream: IO[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
