"""Files and folders that appear whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Find before long work that no file could be made in this folder, which may not exist yet.

    Raises:
        NotADirectoryError: the folder, or one that it would lie in, is a file.
        OSError: the first of them that exists may not be written to, or a name is too long.
    """
    for place in (folder, *folder.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new temporary folder beside `path` that replaces it when the block ends without exception.

    The old folder is deleted just before the renaming, so a crash in between leaves neither.
    """
    with temporary_folder(path) as partial:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder under the temporary name of `path`, which goes when the block ends."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial(paths: Iterable[Path]) -> list[Path]:
    """Remove what a killed process left under the temporary names of these paths, and in them.

    Returns what was there.
    """
    found = []
    for path in paths:
        own = path.with_name(f".{path.name}.partial")
        found += [own] if own.exists() else []
        found += sorted(path.glob(".*.partial")) if path.is_dir() else []
    for partial in found:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    return found


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file that is the old or the new one as a whole even after a power failure."""
    with atomic_file(path) as partial, partial.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the renaming itself
    finally:
        os.close(folder)


STRAY = (
    *(".DS_Store", "._*", ".Spotlight-V100", ".Trashes", ".fseventsd"),  # macOS
    *("Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN"),  # Windows
    *(".directory", ".Trash-*", ".nfs*", ".fuse_hidden*"),  # Linux
    *("*~", "*.swp", "*.swo", ".#*", "#*#", "*.bak", "*.orig", "*.tmp"),  # editors
    *("__pycache__", "*.pyc", ".ipynb_checkpoints"),
)
"""Names of files and folders that systems and editors leave, and no reader reads."""


def is_stray(path: Path) -> bool:
    """Whether a part of this path is one of `STRAY`."""
    return any(fnmatch.fnmatchcase(part, name) for part in path.parts for name in STRAY)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's file names and bytes in sorted order.

    Files that are `STRAY` do not count.
    """
    if path.is_file():
        return _sha256([(path, b"")])
    files = sorted(p for p in path.rglob("*") if p.is_file())
    names = {file: file.relative_to(path) for file in files}
    return _sha256([(p, str(name).encode()) for p, name in names.items() if not is_stray(name)])


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 of the names and bytes of these files, in sorted order."""
    return _sha256([(file, file.name.encode()) for file in sorted(files)])


def _sha256(files: Iterable[tuple[Path, bytes]]) -> str:
    """Of each file's bytes, after the text given with it."""
    sha = hashlib.sha256()
    for file, name in files:
        sha.update(name)
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()
