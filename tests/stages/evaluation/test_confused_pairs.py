"""The most frequent confusions, and the images that show them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from handpose.evaluation.scores import STAGE_1, Scores
from handpose.sample import UNLABELLED
from stages.evaluation.confused_pairs import PAIRS, TILE_PX, confused_pairs, draw_pairs
from tests.stages.evaluation.made_up_scores import CLASSES, N


def with_classes(scores: Scores, truth: list[int], predicted: list[int]) -> Scores:
    filled = np.full(N, UNLABELLED), np.zeros(N, int)
    for values, given in zip(filled, (truth, predicted), strict=True):
        values[: len(given)] = given
    return dataclasses.replace(
        scores,
        classes=scores.classes | {"coarse": filled[0]},
        predicted={STAGE_1: {"coarse": filled[1], "fine": filled[1]}},
    )


def test_pairs_are_counted_from_the_most_frequent(scores: Scores, subjects: np.ndarray) -> None:
    #        0 taken for 1: twice; 1 for 0: three times; 2 is always right
    made = with_classes(scores, [0, 0, 0, 0, 1, 1, 1, 2], [0, 1, 1, 0, 0, 0, 0, 2])
    first, second = confused_pairs(made, subjects, CLASSES)
    assert (first.actual, first.predicted, first.images, first.share) == (1, 0, 3, 1.0)
    assert (second.actual, second.predicted, second.images, second.share) == (0, 1, 2, 0.5)
    assert list(first.confused) == [4, 5, 6]
    assert list(first.examples) == [0, 3, 1], "those that are recognised first"
    assert list(second.examples) == [4, 5, 6], "none is recognised"


def test_shown_images_are_of_different_people(scores: Scores) -> None:
    made = with_classes(scores, [0] * 6, [1] * 6)
    people = np.array([7, 7, 7, 8, 8, 9] + [1] * (N - 6))
    (pair,) = confused_pairs(made, people, CLASSES)
    assert [int(people[k]) for k in pair.confused] == [7, 8, 9]
    assert list(pair.examples) == []


def test_nothing_confused_has_no_pairs(scores: Scores, subjects: np.ndarray) -> None:
    assert confused_pairs(with_classes(scores, [0, 1, 2], [0, 1, 2]), subjects, CLASSES) == []
    assert len(confused_pairs(scores, subjects, CLASSES)) <= PAIRS


def test_a_row_for_each_pair_is_drawn(scores: Scores, tmp_path: Path) -> None:
    made = with_classes(scores, [0, 0, 1, 1], [1, 1, 0, 1])
    people = np.arange(N)
    pairs = confused_pairs(made, people, CLASSES)
    fetched: list[int] = []

    def fetch(position: int) -> Any:
        fetched.append(position)
        return SimpleNamespace(image=torch.full((1, 3, 48, 48), 20 * position, dtype=torch.uint8))

    draw_pairs(tmp_path / "pairs.png", pairs, fetch, people, ["a", "b", "c", "d"])
    assert fetched == [0, 1, 3, 2, 2, 0, 1]
    picture = Image.open(tmp_path / "pairs.png")
    assert picture.width > 6 * TILE_PX and picture.height > 2 * TILE_PX
