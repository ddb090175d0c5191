"""Objects of DVC's cache, here or on a remote: does each still hold what its name, its md5, says?

DVC does not look again at what it has hashed once. An object that a disk or a person changed later
is restored as if it were whole, and its copy in the workspace is then taken for whole too, even
after the object itself was mended.
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
    """Hash every object of a cache folder, then the results; yields lines of what was seen.

    Args:
        cache: DVC's cache.
        results: md5 to the files of the workspace that should have it, see `results_of`.

    Raises:
        ObjectError: an object is not what its name says, or a result not what `dvc.lock` says.
    """
    bad, count, halves = [], 0, 0
    for path in sorted((cache / "files" / "md5").glob("??/*")):
        if path.suffix == ".tmp":
            halves += 1
            continue
        count += 1
        if _md5_of(path) != _name(path):
            bad.append(path)
    if bad:
        commands = "\n".join(f"  {_remedy(path, results)}" for path in bad)
        raise ObjectError(
            f"{len(bad)} of {count} objects in {cache} are corrupted. Run\n{commands}\n"
            "then dvc pull, or without a remote dvc repro: it makes anew what is missing"
        )
    yield f"{count} objects in {cache} hold what their names say"
    if halves:
        yield (
            f"{halves} halves of objects, left by a pull that was cut off; to free their space: "
            f"find {cache} -name '*.tmp' -delete"
        )
    yield from _check_results(results)


def check_remote(storage: Storage) -> Iterator[str]:
    """Read every object of a remote; yields a line of what was seen.

    Raises:
        ObjectError: an object is not what its name says.
    """
    listed = list(storage.objects())
    with ThreadPoolExecutor(READERS) as pool:
        whole = list(pool.map(_is_whole, listed))
    bad = [path for (_, _, path), good in zip(listed, whole, strict=True) if not good]
    if bad:
        names = "\n".join(f"  {path}" for path in bad)
        raise ObjectError(
            f"{len(bad)} of {len(listed)} objects of remote {storage.name} are corrupted. Delete "
            f"them there, then run `dvc push -r {storage.name}` in a clone that has them whole:\n"
            f"{names}"
        )
    yield f"{len(listed)} objects of remote {storage.name} hold what their names say"


def results_of(root: Path, cache: Path) -> dict[str, list[Path]]:
    """The files that `dvc.lock` says are in the workspace, by md5."""
    path = root / "dvc.lock"
    lock = yaml.safe_load(path.read_text("utf-8")) if path.exists() else None
    found: dict[str, list[Path]] = {}
    for stage in (lock or {}).get("stages", {}).values():
        for out in stage.get("outs", []):
            for md5, file in _files(out, root, cache):
                found.setdefault(md5, []).append(file)
    return found


def _is_whole(item: tuple[str, Any, str]) -> bool:
    """Whether an object of a remote is what its name says, see `Storage.objects`."""
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
    there = [(md5, path) for md5, paths in results.items() for path in paths if path.is_file()]
    wrong = [str(path) for md5, path in there if _md5_of(path) != md5]
    if wrong:
        raise ObjectError(
            f"{len(wrong)} of {len(there)} results are not what dvc.lock says: {', '.join(wrong)}. "
            "They were edited or are of an unfinished run (then dvc status names them), or were "
            f"copied from a corrupted object; then: rm -f {' '.join(wrong)}; dvc checkout"
        )
    yield f"{len(there)} results hold what dvc.lock says"


def _remedy(path: Path, results: Mapping[str, list[Path]]) -> str:
    """Put back what the workspace still has whole, or remove the object and its copies."""
    copies = [copy for copy in results.get(_name(path), []) if copy.is_file()]
    whole = next((copy for copy in copies if _md5_of(copy) == _name(path)), None)
    if whole is not None:
        return f"cp -f {whole} {path}"
    return f"rm -f {' '.join(map(str, [path, *copies]))}"


def _name(path: Path) -> str:
    """The md5 that an object's path says."""
    return path.parent.name + path.name.removesuffix(".dir")


def _md5_of(path: Path) -> str:
    with path.open("rb") as stream:
        return _md5(stream)


def _md5(stream: IO[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
