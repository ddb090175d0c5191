"""Which photos are judged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.realism.frames import (
    MOST_OF_A_SEQUENCE,
    Frame,
    FramesError,
    Wanted,
    chosen,
    evenly,
    frames_of,
    read_frames,
)
from handpose.interhand.annotations import DatasetError
from tests.bench.realism.conftest import WANTED


def test_fewer_sequences_are_among_more() -> None:
    sizes = {(capture, f"{n:04d}_x"): 4 for capture in range(3) for n in range(50)}
    few, many = chosen(sizes, 40), chosen(sizes, 200)
    assert few < many
    assert (len(few), len(many)) == (10, 50)
    assert chosen(sizes, 10**6) == set(sizes)
    assert chosen(dict(reversed(sizes.items())), 40) == few


def test_a_long_sequence_counts_as_what_is_taken_of_it() -> None:
    assert len(chosen(dict.fromkeys(range(9), 10_000), 2 * MOST_OF_A_SEQUENCE)) == 2
    taken = list(evenly(list(range(1000))))
    assert len(taken) == MOST_OF_A_SEQUENCE
    assert list(evenly([5, 6])) == [5, 6]


def test_frames_are_of_the_gestures_and_people_asked_for(rendered: Path) -> None:
    found, lacking = frames_of(rendered, WANTED._replace(people=frozenset({1})))
    assert {frame.subject for frame in found} == {1}
    assert 0 < len(found) + lacking <= 30
    assert all(frame.is_left == ("/01" in frame.image) for frame in found)
    assert all(frame.gesture in frame.image for frame in found)


def test_joints_lie_in_their_photo(frames: list[Frame]) -> None:
    for frame in frames:
        inside = frame.uv[frame.valid]
        assert ((inside >= -0.5) & (inside < [frame.photo.width, frame.photo.height])).all()
        assert frame.photo.path.exists()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            Wanted("train", frozenset({7, 8}), 10, free=False),
            "has no gesture photos of one hand of people 7, 8 in train; there are people 0, 1. "
            "--people and --split choose others, --free takes free motion too",
        ),
        (
            Wanted("train", frozenset({7}), 10, free=True),
            r"has no photos of one hand of people 7 in train; there are people 0, 1\. --people and "
            "--split choose others$",
        ),
        (Wanted("val", None, 10, free=False), "has no split val; it has train"),
    ],
)
def test_people_and_splits_that_are_not_there(rendered: Path, wanted: Wanted, message: str) -> None:
    with pytest.raises(FramesError, match=message):
        read_frames(rendered, wanted)


def test_a_folder_without_annotations(tmp_path: Path, rendered: Path) -> None:
    shutil.copytree(rendered / "images", tmp_path / "images")
    with pytest.raises(DatasetError, match="annotations"):
        read_frames(tmp_path, WANTED)
