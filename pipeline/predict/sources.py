"""What SRC names: photos, videos and a camera, in the order in which they were given."""

from __future__ import annotations

import glob
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from handpose.errors import HandPoseError
from handpose.files import is_stray

PHOTOS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"),
    *(".gif", ".avif", ".jp2"),
)
"""What is taken from a folder; a file that is named by itself may be called anything."""

VIDEOS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"),
    *(".mpg", ".mpeg", ".wmv", ".mts", ".m2ts", ".3gp", ".3g2", ".flv"),
)

UNREADABLE = (
    *(".heic", ".heif", ".jxl"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
"""Pictures in a folder that no decoder here reads; they are reported, other files are not."""

NAMED = 3
"""Files that are left out and named; the others are counted."""

SEVERAL = ("GIF", "WEBP", "TIFF", "PNG", "AVIF")
"""Formats of which a file may hold several pictures, by Pillow's names. Not JPEG's MPO: what a
camera adds there is a preview or the other eye's view."""

CAMERA = "camera:"
CAMERA_DIGITS = 4


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
            except OSError as error:  # of a folder that may not be listed, or a name too long
                found.failed.append(Failed(name, f"cannot be read ({error.strerror})"))
        if not (found.photos or found.videos or found.cameras):
            lines = "; ".join(f"{name}: {why}" for name, why in found.failed)
            raise SourceError(lines or "nothing to look at: name photos, a folder or a video")
        return found

    def _add(self, name: str) -> None:
        path = Path(name)
        if name.startswith(CAMERA):
            self.cameras.append(_camera(name))
        elif path.is_dir():
            known = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in (*PHOTOS, *VIDEOS, *UNREADABLE)
                and file.is_file()
                and not is_stray(Path(file.name))
            )
            files = [file for file in known if file.suffix.lower() not in UNREADABLE]
            left_out = [file for file in known if file.suffix.lower() in UNREADABLE]
            if not known:
                raise SourceError(
                    f"the folder holds no photo and no video (*{', *'.join((*PHOTOS, *VIDEOS))}); "
                    "folders below it are not searched: name them by a pattern, 'FOLDER/*/*.jpg'"
                )
            self._take(files)
            if left_out:
                raise SourceError(_left_out(left_out))
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
    def names(self) -> list[str]:
        """Everything that is named or was found, also what failed."""
        files = [str(file) for file in (*self.photos, *self.videos)]
        cameras = [f"{CAMERA}{number}" for number in self.cameras]
        return [*files, *cameras, *(failure.file for failure in self.failed)]

    @property
    def folders(self) -> set[Path]:
        """Where the files lie, resolved."""
        return {file.resolve().parent for file in (*self.photos, *self.videos)}


def _camera(name: str) -> int:
    number = name.removeprefix(CAMERA)
    if not number.isdecimal():
        raise SourceError(f"expected the camera's number, such as {CAMERA}0")
    if len(number) > CAMERA_DIGITS:
        raise SourceError(
            f"the camera's number has {len(number)} digits, expected at most {CAMERA_DIGITS}, such "
            f"as {CAMERA}0"
        )
    return int(number)


def _left_out(files: Sequence[Path]) -> str:
    """That these files of a folder cannot be read, and what to do."""
    counts = sorted(Counter(file.suffix.lower() for file in files).items())
    names = [file.name for file in files[:NAMED]] + ["..."] * (len(files) > NAMED)
    return (
        f"left out: {', '.join(f'{n} {suffix}' for suffix, n in counts)} ({', '.join(names)}), "
        "which cannot be read: convert them to JPEG"
    )


def pictures_in(path: Path) -> int:
    """How many pictures a file holds, of which the first is read: frames of a GIF, pages of a TIFF.

    1 where that is unknown.
    """
    try:
        with warnings.catch_warnings(), Image.open(path, formats=SEVERAL) as picture:
            warnings.simplefilter("ignore")  # of its size: it has been read
            return int(getattr(picture, "n_frames", 1))
    except Exception:  # Pillow's readers raise whatever they come across; the first picture is read
        return 1
