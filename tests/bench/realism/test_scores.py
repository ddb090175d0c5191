"""What the judge says is held against the annotations, and counted right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bench.realism.frames import Frame
from bench.realism.judge import LEAST, logit
from bench.realism.scores import METRICS, Judged, changes, groups, judged, summary
from tests.bench.realism.conftest import LOGIT, Knowing


def shown(frames: Sequence[Frame], knowing: Knowing) -> Judged:
    return judged(knowing.judge, frames)


@pytest.fixture(scope="session")
def perfect(frames: list[Frame]) -> Judged:
    return shown(frames, Knowing(frames))


def of_face(frames: Sequence[Frame], face: str) -> list[int]:
    return [number for number, frame in enumerate(frames) if frame.facing == face]


def values(found: Judged) -> dict[str, float]:
    everything = np.ones(len(found.frames), np.bool_)
    return {name: one.value for name, one in summary(found, everything).items()}


def test_who_knows_everything_makes_no_error(perfect: Judged) -> None:
    own = values(perfect)
    assert own["logit"] == pytest.approx(LOGIT, abs=1e-4)
    assert own["error_2d"] == pytest.approx(0, abs=1e-5)
    assert own["pa_mm"] == pytest.approx(0, abs=1e-2)
    right = ("side", "pck", "palm_found")
    assert [own[name] for name in right] == [1, 1, 1]
    assert (own["palm_as_back"], own["back_as_palm"]) == (0, 0)


def test_palm_and_back_are_scored_where_they_are_seen(perfect: Judged) -> None:
    for face, name in (("palm", "palm_as_back"), ("back", "back_as_palm")):
        scored = np.flatnonzero(~np.isnan(perfect.columns[name])).tolist()
        assert scored == of_face(perfect.frames, face)
        assert len(scored) > 5


def test_a_wrong_side_alone_turns_palm_into_back(frames: list[Frame]) -> None:
    palm = of_face(frames, "palm")
    wrong = palm[:3] + of_face(frames, "back")[:2]
    found = shown(frames, Knowing(frames, wrong_side=wrong))
    assert found.columns["side"].sum() == len(frames) - 5
    assert np.flatnonzero(found.columns["palm_as_back"] == 1).tolist() == palm[:3]
    assert np.nansum(found.columns["back_as_palm"]) == 2
    assert values(found)["error_2d"] == pytest.approx(0, abs=1e-5)


def test_mirrored_joints_of_the_right_side_turn_palm_into_back(frames: list[Frame]) -> None:
    palm = of_face(frames, "palm")
    found = shown(frames, Knowing(frames, mirrored=palm[:4]))
    assert values(found)["side"] == 1
    assert np.flatnonzero(found.columns["palm_as_back"] == 1).tolist() == palm[:4]
    assert found.columns["error_2d"][palm[:4]].min() > 0.01


def test_both_together_are_a_palm_again(frames: list[Frame]) -> None:
    palm = of_face(frames, "palm")
    found = shown(frames, Knowing(frames, wrong_side=palm, mirrored=palm))
    assert values(found)["palm_as_back"] == 0


def test_the_error_is_relative_to_the_box(frames: list[Frame]) -> None:
    found = shown(frames, Knowing(frames, shift_px=4.0))
    expected = [4.0 / frame.box_px for frame in frames]
    np.testing.assert_allclose(found.columns["error_2d"], expected, atol=1e-5)
    near = [0.1 * frame.box_px > 4.0 for frame in frames]
    assert found.columns["pck"].tolist() == near


def test_every_photo_is_in_one_group_of_each_kind(perfect: Judged) -> None:
    for members in groups(perfect).values():
        assert (np.sum(list(members.values()), axis=0) == 1).all()
    grey = [frame.image.split("/cam")[1].startswith("410") for frame in perfect.frames]
    assert perfect.is_grey.tolist() == grey
    assert 0 < sum(grey) < len(grey)


def test_changes_are_paired_by_photo(frames: list[Frame], perfect: Judged) -> None:
    wrong = [0, 3, 4]
    other = shown(
        frames[::-1], Knowing(frames[::-1], wrong_side=[len(frames) - 1 - k for k in wrong])
    )
    side = changes(perfect, other)["side"]
    assert (side.better, side.worse) == (0, 3)
    assert side.comparison.difference.value == pytest.approx(-3 / len(frames))
    back = changes(other, perfect)["side"]
    assert (back.better, back.worse) == (3, 0)


def test_the_same_twice_is_no_change(perfect: Judged) -> None:
    found = changes(perfect, perfect)
    assert set(found) == set(METRICS)
    assert all(
        (c.better, c.worse, c.comparison.difference.value) == (0, 0, 0) for c in found.values()
    )


@pytest.mark.parametrize("x", [-9.0, -1.0, 0.0, 3.7, 9.0])
def test_logit_undoes_the_sigmoid(x: float) -> None:
    assert logit(1 / (1 + math.exp(-x))) == pytest.approx(x)


def test_logit_of_certainty_is_finite() -> None:
    least = math.log(LEAST / (1 - LEAST))
    assert logit(0.0) == pytest.approx(least)
    assert logit(1.0) == pytest.approx(-least)
