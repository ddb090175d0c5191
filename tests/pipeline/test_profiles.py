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
    assert changed
    load_params(path)
    comments = [line.count("#") for line in (ROOT / "params.yaml").read_text("utf-8").splitlines()]
    assert sum(line.count("#") for line in path.read_text("utf-8").splitlines()) == sum(comments)
    assert configure(profile, path) == []


def test_unknown_profile_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"'papre'; there are: .*paper"):
        configure("papre", tmp_path / "params.yaml")
