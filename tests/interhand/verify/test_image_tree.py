from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handpose.interhand.verify.image_tree import Missing, compare_with_disk

NAMES = [
    f"Capture{capture}/{seq}/cam{camera}/image{frame:05d}.jpg"
    for capture in (0, 1)
    for seq in ("0016_fist", "ROM07_Rt_Finger_Occlusions")
    for camera in (400026, 410010)
    for frame in (7, 8, 9)
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_nothing_is_missing_where_all_is_there(images: Path) -> None:
    looked_for: list[int] = []
    assert tuple(compare_with_disk(images, NAMES, looked_for.append)) == ([], 0, frozenset())
    assert sum(looked_for) == len(NAMES)


@pytest.mark.parametrize(
    ("gone", "photos"),
    [("Capture1", 12), ("Capture0/0016_fist", 6), ("Capture0/0016_fist/cam410010", 3)],
)
def test_a_missing_folder_is_reported_once_with_all_its_photos(
    images: Path, gone: str, photos: int
) -> None:
    shutil.rmtree(images / gone)
    assert compare_with_disk(images, NAMES).missing == [Missing(gone, photos, True, "")]


def test_all_is_missing(tmp_path: Path) -> None:
    assert compare_with_disk(tmp_path / "nowhere", NAMES).missing == [
        Missing(".", len(NAMES), True, "")
    ]


def test_single_photos_are_reported_folder_by_folder(images: Path) -> None:
    for name in (NAMES[1], NAMES[2], NAMES[5]):
        (images / name).unlink()
    assert compare_with_disk(images, NAMES).missing == [
        Missing(NAMES[1], 2, False, ""),
        Missing(NAMES[5], 1, False, ""),
    ]


def test_other_capitals_are_recognised(images: Path) -> None:
    folder = images / "Capture1" / "ROM07_Rt_Finger_Occlusions"
    folder.rename(folder.with_name("ROM07_RT_Finger_Occlusions"))
    (gone,) = compare_with_disk(images, NAMES).missing
    assert (gone.photos, gone.written_as) == (6, "ROM07_RT_Finger_Occlusions")


def test_photos_that_are_not_annotated_are_counted(images: Path) -> None:
    found = compare_with_disk(images, NAMES[::3])
    assert tuple(found) == ([], len(NAMES) - len(NAMES[::3]), frozenset())
