from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.profiles import PROFILES, ProfileError, configure
from stages.params import load_params

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("profile", sorted(p.stem for p in PROFILES.glob("*.yaml")))
def test_every_profile_gives_valid_parameters_and_keeps_comments(
    tmp_path: Path, profile: str
) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    changed = configure(profile, path)
    assert changed or profile == "demo"
    load_params(path)
    comments = [line.count("#") for line in (ROOT / "params.yaml").read_text("utf-8").splitlines()]
    assert sum(line.count("#") for line in path.read_text("utf-8").splitlines()) == sum(comments)
    assert configure(profile, path) == []


@pytest.mark.parametrize("profile", sorted(p.stem for p in PROFILES.glob("*.yaml")))
def test_demo_undoes_every_profile(tmp_path: Path, stand_in: Path, profile: str) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    root = tmp_path / "download"
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    configure(profile, path, data_root=root, mano=stand_in)
    params = load_params(path)
    assert (str(params.data.root), str(params.hand.mano)) == (str(root), str(stand_in))
    configure("demo", path)
    assert load_params(path) == load_params(ROOT / "params.yaml")
    assert configure("demo", path) == []


@pytest.mark.parametrize("before", sorted(p.stem for p in PROFILES.glob("*.yaml")))
@pytest.mark.parametrize("profile", sorted(p.stem for p in PROFILES.glob("*.yaml")))
def test_it_does_not_matter_which_profile_was_there(
    tmp_path: Path, profile: str, before: str
) -> None:
    direct, path = tmp_path / "direct.yaml", tmp_path / "params.yaml"
    for copy in (direct, path):
        shutil.copy(ROOT / "params.yaml", copy)
    configure(before, path)
    configure(profile, path)
    configure(profile, direct)
    assert path.read_text("utf-8") == direct.read_text("utf-8")


def test_where_the_data_are_is_kept_by_the_profile_for_real_data(
    tmp_path: Path, stand_in: Path
) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    configure("interhand26m", path, data_root=tmp_path, mano=stand_in)
    assert configure("interhand26m", path) == []
    assert any("data.root" in line for line in configure("tiny", path)), "its hands are synthetic"


def test_folders_are_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    with pytest.raises(ProfileError, match="has no folder images and no folder annotations"):
        configure("interhand26m", path, data_root=tmp_path)
    with pytest.raises(ProfileError, match="handpose mano import"):
        configure("interhand26m", path, mano=tmp_path)
    assert path.read_text("utf-8") == (ROOT / "params.yaml").read_text("utf-8")


def test_unknown_profile_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"'papre'; there are: .*interhand26m"):
        configure("papre", tmp_path / "params.yaml")
