"""A share of the training images: nested, by whole sequences, of as many classes as it can."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from handpose.data.labels import ClassIds
from stages.training.training_share import SequenceKey, TrainingPart, choose

FOLDERS = [f"{hand}{number:02d}_x" for hand in ("00", "01") for number in range(10)]
CLASSES = {folder: ClassIds(0, i // 2, 0, 0) for i, folder in enumerate(FOLDERS)}  # two each
SUBJECTS = range(6)


def labels(*, per_sequence: int = 5) -> list[Mapping[str, Any]]:
    """Every person in every folder, and without a gesture."""
    places = [(folder, subject) for folder in (*FOLDERS, "ROM01") for subject in SUBJECTS]
    return [
        {
            "sample_id": number,
            "sequence": folder,
            "subject": subject,
            "session": subject // 2,
            "kind": "gesture" if folder in CLASSES else "rom",
        }
        for number, (folder, subject) in enumerate(places * per_sequence)
    ]


def part(share: float, seed: int = 0) -> TrainingPart:
    return choose(labels(), CLASSES, share, seed)


@pytest.mark.parametrize(("share", "images"), [(1.0, 600), (0.5, 300), (0.1, 60), (0.01, 10)])
def test_a_share_is_reached_by_the_least_number_of_whole_sequences(
    share: float, images: int
) -> None:
    found = part(share)
    assert len(found.sample_ids) == images, "a sequence has 5 images"
    of = {one["sample_id"]: one for one in labels()}
    keys = [(of[i]["sequence"], of[i]["subject"], of[i]["session"]) for i in found.sample_ids]
    assert set(keys) == set(found.sequences)
    assert set(Counter(keys).values()) == {5}
    assert found.of_images == 600, "images without a gesture do not count"


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    shares = [part(share) for share in (0.01, 0.05, 0.1, 0.3, 0.7, 1.0)]
    for smaller, larger in pairwise(shares):
        assert set(smaller.sample_ids) < set(larger.sample_ids)


def test_classes_take_turns() -> None:
    """With as many sequences as classes there is one of each; of twice as many, two."""
    found = part(0.5)
    for turns in (1, 2, 6):
        begun = [CLASSES[key.folder].fine for key in found.sequences[: 10 * turns]]
        assert set(Counter(begun).values()) == {turns}
    assert part(0.01).classes == 2 and part(0.1).classes == 10


def test_the_seed_chooses_and_the_order_of_the_samples_does_not() -> None:
    shuffled = labels()
    random.Random(3).shuffle(shuffled)
    assert choose(shuffled, CLASSES, 0.1, 0) == part(0.1)
    assert part(0.1, seed=1).sample_ids != part(0.1).sample_ids
    people = {key.subject for key in part(0.1).sequences}
    assert len(people) > 3


def test_a_sequence_of_images_with_their_own_classes_counts_as_its_first() -> None:
    own = {f"{i:09d}": ClassIds(0, i % 7, 0, 0) for i in range(600)}
    found = choose(labels()[:600], own, 1.0, 0)
    assert len(found.sample_ids) == 600
    assert SequenceKey("ROM01", 0, 0) in found.sequences, "its images have classes here"


def test_it_is_reported_in_words_and_numbers() -> None:
    assert str(part(1.0)) == (
        "600 of 600 labelled images: 120 sequences of 6 people in 10 fine classes"
    )
    assert part(1.0).counts() == {
        "images": 600, "of_images": 600, "sequences": 120, "people": 6, "fine_classes": 10
    }  # fmt: skip


def test_images_without_a_gesture_can_be_chosen_and_take_their_turn() -> None:
    found = choose(labels(), CLASSES, 1.0, 0, unlabelled=True)
    assert str(found) == "630 of 630 images: 126 sequences of 6 people in 10 fine classes"
    first = [CLASSES.get(key.folder) for key in found.sequences[:11]]
    assert first.count(None) == 1 and len(set(first)) > 10, "one of the ten classes, one of none"
