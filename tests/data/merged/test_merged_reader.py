"""Data sets side by side: who is who, which photo is where, what a file is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from handpose.data.merged.merged_reader import PEOPLE_FROM, Beside, ReaderWithOthers, names_of
from handpose.freihand.reader import FreiHandReader
from handpose.hand.mano import Mano
from handpose.ho3d.reader import Ho3dReader
from tests.freihand.made_up_freihand import write_freihand
from tests.ho3d.made_up_ho3d import write_ho3d


@pytest.fixture
def reader(tmp_path: Path, mano: Mano) -> ReaderWithOthers:
    """Two benchmarks beside each other; the first stands for the main data set."""
    main, other = tmp_path / "main", tmp_path / "elsewhere" / "HO3D"
    write_freihand(main, mano, photos=False)
    write_ho3d(other, mano, "v3", evaluation=6)
    others = {"ho3d_v3": Beside(other, Ho3dReader(other, version="v3"))}
    return ReaderWithOthers(main, FreiHandReader(main), others)


def test_splits_are_those_of_all_the_main_ones_first(reader: ReaderWithOthers) -> None:
    assert [split.evaluated_as for split in reader.splits()] == ["freihand", "ho3d_v3"]


def test_people_and_sessions_of_another_data_set_are_others(reader: ReaderWithOthers) -> None:
    own, other = (reader.read(split).usable.table for split in reader.splits())
    for name in ("subject", "session"):
        assert max(own[name].to_pylist()) < PEOPLE_FROM <= min(other[name].to_pylist())


def test_photos_of_another_data_set_are_found_from_the_main_ones_folder(
    reader: ReaderWithOthers, tmp_path: Path
) -> None:
    images = reader.read(reader.splits()[1]).usable.table["image"].to_pylist()
    assert len(images) == 6
    assert all((tmp_path / "main" / image).is_file() for image in images)
    assert not any(os.path.isabs(image) for image in images)


def test_photos_are_found_through_links_too(reader: ReaderWithOthers, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    link = tmp_path / "deep" / "er" / "link"
    link.symlink_to(tmp_path / "main")
    other = Beside(
        tmp_path / "elsewhere/HO3D", Ho3dReader(tmp_path / "elsewhere/HO3D", version="v3")
    )
    linked = ReaderWithOthers(link, FreiHandReader(link), {"ho3d_v3": other})
    images = linked.read(linked.splits()[1]).usable.table["image"].to_pylist()
    assert all((link / image).is_file() for image in images)


def test_files_of_one_name_are_told_apart_and_others_keep_theirs(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a/x.json", "b/x.json", "b/y.json")]
    names = names_of(files, tmp_path / "a")
    assert names == {"x.json": files[0], "../b/x.json": files[1], "y.json": files[2]}
