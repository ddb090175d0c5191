"""What SRC names: order, patterns, cameras, and what is refused."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from handpose.estimator_input import read_photo
from pipeline.predict.clip import Clip
from pipeline.predict.sources import (
    PHOTOS,
    UNREADABLE,
    VIDEOS,
    SourceError,
    SourceList,
    pictures_in,
)


def test_a_folder_a_pattern_a_file_and_a_camera(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "v.mp4", "._a.png", "._b.heic"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "below.jpg").mkdir()
    found = SourceList.find([str(tmp_path), str(tmp_path / "*.txt"), "camera:1"])
    assert [file.name for file in found.photos] == ["a.png", "b.JPG", "notes.txt"]
    assert [file.name for file in found.videos] == ["v.mp4"]
    assert found.cameras == [1] and found.failed == []
    assert found.folders == {tmp_path.resolve()}


def test_a_file_that_is_named_twice_is_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    assert len(SourceList.find([str(tmp_path), str(tmp_path / "a.png")]).photos) == 1


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").write_bytes(b"x")
    assert len(SourceList.find([str(tmp_path / "a[1].png")]).photos) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.jpg", "missing.jpg: no such file or folder"),
        ("*.jpg", "no file matches this pattern"),
        ("empty", "the folder holds no photo and no video"),
        ("camera:front", "expected the camera's number, such as camera:0"),
        ("camera:99999999999999999999", "number has 20 digits, expected at most 4"),
        ("n" * 300, "cannot be read (File name too long)"),
    ],
)
def test_what_is_not_there_is_listed_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("here.png").write_bytes(b"x")
    with pytest.raises(SourceError) as caught:
        SourceList.find([name])
    assert words in str(caught.value)
    found = SourceList.find([name, "here.png"])
    assert [file.name for file in found.photos] == ["here.png"]
    assert [failure.file for failure in found.failed] == [name]


def test_a_folder_that_may_not_be_listed_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    iterdir = Path.iterdir

    def listed(self: Path) -> Iterator[Path]:
        if self.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", listed)
    found = SourceList.find([str(tmp_path / "locked"), str(tmp_path / "open")])
    assert found.photos == [tmp_path / "open" / "a.png"]
    assert found.failed == [(str(tmp_path / "locked"), "cannot be read (Permission denied)")]


def test_pictures_in_a_folder_that_nothing_reads_are_named(tmp_path: Path) -> None:
    for name in ("1.HEIC", "2.heic", "3.dng", "4.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    left_out = (
        "left out: 1 .dng, 3 .heic (1.HEIC, 2.heic, 3.dng, ...), which cannot be read: convert "
        "them to JPEG"
    )
    with pytest.raises(SourceError) as caught:
        SourceList.find([str(tmp_path)])
    assert str(caught.value) == f"{tmp_path}: {left_out}"
    (tmp_path / "a.png").write_bytes(b"x")
    found = SourceList.find([str(tmp_path)])
    assert found.photos == [tmp_path / "a.png"]
    assert found.failed == [(str(tmp_path), left_out)]


@pytest.mark.parametrize("suffix", sorted(PHOTOS))
def test_what_is_taken_from_a_folder_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    Image.new("RGB", (32, 24), (200, 80, 30)).save(path)
    assert SourceList.find([str(tmp_path)]).photos == [path]
    assert read_photo(path).shape == (24, 32, 3)


@pytest.mark.parametrize(("suffix", "code"), [("mpg", "MPG1"), ("wmv", "WMV2"), ("3gp", "mp4v")])
def test_videos_of_cameras_are_taken_and_read(tmp_path: Path, suffix: str, code: str) -> None:
    path = tmp_path / f"v.{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25.0, (64, 48))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {code}")
    writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    assert SourceList.find([str(tmp_path)]).videos == [path]
    (frame,) = Clip.of_file(path).frames()
    assert frame.shape == (48, 64, 3)


def test_a_suffix_is_read_or_left_out() -> None:
    assert not {*PHOTOS, *VIDEOS} & {*UNREADABLE}


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tif", ".png"])
def test_pictures_of_a_file_are_counted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    red, green, blue = (Image.new("RGB", (16, 12), colour) for colour in ("red", "green", "blue"))
    red.save(path, save_all=True, append_images=[green, blue])
    assert pictures_in(path) == 3
    red.save(path)
    assert pictures_in(path) == 1


def test_a_jpeg_with_a_preview_is_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    red = Image.new("RGB", (16, 12), "red")
    red.save(path, "MPO", save_all=True, append_images=[red])
    assert pictures_in(path) == 1
    path.write_text("a login page")
    assert pictures_in(path) == 1
