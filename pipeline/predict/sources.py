"""What SRC names: photos, videos and a camera, in the order in which they were given."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from handpose.errors import HandPoseError
from handpose.files import is_stray

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""What is taken from a folder; a file that is named by itself may be called anything."""

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CAMERA = "camera:"


class SourceError(HandPoseError):
    """Nothing that SRC names can be used."""


class Failed(NamedTuple):
    """A file or another source that could not be used, and why."""

    file: str
    why: str


class SourceList(NamedTuple):
    """What is to be looked at."""

    photos: list[Path]
    videos: list[Path]
    cameras: list[int]
    failed: list[Failed]

    @classmethod
    def find(cls, names: Iterable[str]) -> SourceList:
        """Files, folders, patterns and cameras; each file once.

        Raises:
            SourceError: none of them can be used.
        """
        found = cls([], [], [], [])
        for name in names:
            try:
                found._add(name)
            except SourceError as error:
                found.failed.append(Failed(name, str(error)))
        if not (found.photos or found.videos or found.cameras):
            lines = "; ".join(f"{name}: {why}" for name, why in found.failed)
            raise SourceError(lines or "nothing to look at: name photos, a folder or a video")
        return found

    def _add(self, name: str) -> None:
        path = Path(name)
        if name.startswith(CAMERA):
            self.cameras.append(_camera(name))
        elif path.is_dir():
            files = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in (*PHOTOS, *VIDEOS)
                and file.is_file()
                and not is_stray(Path(file.name))
            )
            if not files:
                raise SourceError(
                    f"the folder holds no photo and no video (*{', *'.join((*PHOTOS, *VIDEOS))}); "
                    "folders below it are not searched: name them by a pattern, 'FOLDER/*/*.jpg'"
                )
            self._take(files)
        elif path.exists():
            self._take([path])
        elif glob.has_magic(name):
            files = sorted(Path(file) for file in glob.glob(name, recursive=True))
            files = [file for file in files if file.is_file()]
            if not files:
                raise SourceError("no file matches this pattern")
            self._take(files)
        else:
            raise SourceError("no such file or folder")

    def _take(self, files: Iterable[Path]) -> None:
        for file in files:
            kind = self.videos if file.suffix.lower() in VIDEOS else self.photos
            if file not in kind:
                kind.append(file)

    @property
    def folders(self) -> set[Path]:
        """Where the files lie, resolved."""
        return {file.resolve().parent for file in (*self.photos, *self.videos)}


def _camera(name: str) -> int:
    number = name.removeprefix(CAMERA)
    if not number.isdecimal():
        raise SourceError(f"expected the camera's number, such as {CAMERA}0")
    return int(number)
