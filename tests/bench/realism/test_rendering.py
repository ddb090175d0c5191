"""Renderings of the same instants, with other keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.realism.frames import frames_of
from bench.realism.rendering import (
    ChangeError,
    Rendering,
    check_same_frames,
    planned,
    render_frames,
    with_keys,
)
from stages.params import Params, ParamsError
from stages.synthesize import synthesize
from tests.bench.realism.conftest import WANTED


def images(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.jpg")}


def test_what_is_rendered_is_a_part_of_the_data_set(tiny: Params, tmp_path: Path) -> None:
    synthesize(tiny, tmp_path / "whole")
    few = WANTED._replace(about=12, people=frozenset({1}))
    render_frames(Rendering("few", tiny), few, tmp_path / "few")
    whole, part = images(tmp_path / "whole"), images(tmp_path / "few")
    assert 12 <= len(part) < 30
    assert part.items() <= whole.items()
    read, lacking = frames_of(tmp_path / "few", WANTED)
    assert len(read) + lacking <= len(part)
    assert {frame.image for frame in read} <= set(part)
    assert {frame.image for frame in read} <= {
        frame.image for frame in frames_of(tmp_path / "whole", WANTED)[0]
    }


def test_free_motion_is_rendered_when_asked_for(tiny: Params) -> None:
    names = {one.seq_name for _, own in planned(tiny, WANTED._replace(free=True)) for one in own}
    assert any(name.startswith("ROM") for name in names)
    assert not any(name.startswith("02") for name in names)
    names = {one.seq_name for _, own in planned(tiny, WANTED) for one in own}
    assert all(name[:2] in ("00", "01") for name in names)


def test_keys_are_set_with_or_without_their_section(tiny: Params) -> None:
    changed = with_keys(tiny, ["creases=1", "synthesize.image_px=[96, 64]"], "--change")
    assert changed.synthesize.creases == 1
    assert changed.synthesize.image_px == (96, 64)
    assert changed.synthesize.frames == tiny.synthesize.frames
    assert changed.hand == tiny.hand


@pytest.mark.parametrize("text", ["creases", "=1", "creases=", "creases 1"])
def test_what_is_no_key_and_value(tiny: Params, text: str) -> None:
    with pytest.raises(ChangeError, match=f"--change {text}: expected KEY=VALUE .*as creases=1"):
        with_keys(tiny, [text], "--change")


def test_what_is_no_yaml(tiny: Params) -> None:
    with pytest.raises(ChangeError, match=r"\[1 is no value as params.yaml has them"):
        with_keys(tiny, ["creases=[1"], "--change")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("creasez=1", "synthesize.creasez: unknown key; did you mean synthesize.creases"),
        ("dark_studios=2", "synthesize.dark_studios: .*less than or equal to 1"),
    ],
)
def test_unknown_keys_and_wrong_values(tiny: Params, text: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as error:
        with_keys(tiny, [text], "--change")
    assert str(error.value).startswith(f"--change {text} has 1 fault:")


def test_other_photos_cannot_be_compared(tiny: Params) -> None:
    base = Rendering("base", tiny)
    for text in ("jpeg_quality=50", "image_px=[96, 64]"):
        check_same_frames(base, Rendering(text, with_keys(tiny, [text], "")), WANTED)
    other = Rendering("seed=1", with_keys(tiny, ["seed=1"], ""))
    with pytest.raises(ChangeError, match=r"seed=1 changes which photos there are .*with --set"):
        check_same_frames(base, other, WANTED)


def test_nobody_to_render(tiny: Params) -> None:
    with pytest.raises(ChangeError, match="plan no photos of people 7 in train; --people, --split"):
        planned(tiny, WANTED._replace(people=frozenset({7})))
