"""What SRC names: order, patterns, cameras, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.predict.sources import SourceError, SourceList


def test_a_folder_a_pattern_a_file_and_a_camera(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "v.mp4", "._a.png"):
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
