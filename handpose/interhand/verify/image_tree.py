"""Which annotated photos are not on disk, grouped by the topmost folder that is missing."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from handpose.cores import usable_cores

FOLDERS_AT_A_TIME = 500


class Missing(NamedTuple):
    """A folder that is missing, or photos that are missing from a folder."""

    path: str  # below images/<split>/; '.' is that folder itself
    photos: int  # annotated there
    is_folder: bool  # else `path` is the first of the photos missing from one folder
    written_as: str  # its name on disk if that differs in case alone; else ''


class DiskComparison(NamedTuple):
    """Photos on disk compared with the annotated ones."""

    missing: list[Missing]
    surplus: int  # photos in annotated folders that are not annotated
    absent: frozenset[str]  # every annotated photo that is not there


def compare_with_disk(
    images: Path, file_names: Iterable[str], step: Callable[[int], None] = lambda _: None
) -> DiskComparison:
    """The annotated photos that are not below `images`, one entry per folder.

    Every folder is listed once; no photo is opened.

    Args:
        images: images/<split>/.
        file_names: as annotated, Capture0/<sequence>/cam<camera>/image<frame>.jpg.
        step: called with the number of photos just looked for.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for name in file_names:
        folder, _, photo = name.rpartition("/")
        wanted[folder].add(photo)
    lost: Counter[str] = Counter()
    some_left: list[Missing] = []
    surplus = 0
    absent: set[str] = set()
    folders = sorted(wanted)
    with ThreadPoolExecutor(min(16, 4 * usable_cores())) as pool:  # waits for the disk
        for start in range(0, len(folders), FOLDERS_AT_A_TIME):
            part = folders[start : start + FOLDERS_AT_A_TIME]
            for folder, there in zip(
                part, pool.map(lambda f: _names(images / f), part), strict=True
            ):
                if there is None:
                    lost[folder] += len(wanted[folder])
                    gone = wanted[folder]
                else:
                    gone = wanted[folder] - there
                    if gone:
                        some_left.append(Missing(f"{folder}/{min(gone)}", len(gone), False, ""))
                    surplus += len(there) - len(wanted[folder]) + len(gone)
                absent.update(f"{folder}/{photo}" if folder else photo for photo in gone)
                step(len(wanted[folder]))
    return DiskComparison(_largest(images, lost) + some_left, surplus, frozenset(absent))


def _largest(images: Path, lost: Counter[str]) -> list[Missing]:
    """Missing folders, each counted for the topmost folder that is missing."""
    top: Counter[str] = Counter()
    known: dict[PurePosixPath, bool] = {}

    def there(folder: PurePosixPath) -> bool:
        if folder not in known:
            known[folder] = (images / folder).is_dir()
        return known[folder]

    for name, photos in lost.items():
        folder = PurePosixPath(name)
        above = [folder, *folder.parents]
        topmost = next(f for f in reversed(above) if not there(f))
        top[str(topmost)] += photos
    return [Missing(path, photos, True, _otherwise(images, path)) for path, photos in top.items()]


def _otherwise(images: Path, path: str) -> str:
    """The folder's name on disk if it differs in case alone; else ''."""
    folder = images / path
    for name in _names(folder.parent) or ():
        if name.lower() == folder.name.lower() and name != folder.name:
            return name
    return ""


def _names(folder: Path) -> set[str] | None:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return None
