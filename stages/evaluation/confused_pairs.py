"""The gestures that Stage 1 confuses most, with images of both side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.evaluation import draw
from handpose.evaluation.scores import STAGE_1, Scores
from handpose.render.tiles import Style, Tile, draw_page
from handpose.sample import UNLABELLED, HandBatch
from stages.evaluation.summary import Classes, confusion

PAIRS = 6
OF_EACH = 3
"""Images of a pair that are shown of the confused samples, and of the class they are taken for."""

TILE_PX = 150


class ConfusedPair(NamedTuple):
    """Images of one class that Stage 1 takes for another."""

    actual: int  # coarse ids
    predicted: int
    images: int
    share: float  # of the images of the actual class
    confused: Sequence[int]  # positions of some of them, of as many people as possible
    examples: Sequence[int]  # of the other class, those that are recognised first


def confused_pairs(scores: Scores, subjects: NDArray[Any], classes: Classes) -> list[ConfusedPair]:
    """The most frequent confusions of the labelled samples, at most `PAIRS`."""
    truth, predicted = scores.classes["coarse"], scores.predicted[STAGE_1]["coarse"]
    known = truth != UNLABELLED
    size = len(classes.coarse)
    matrix = confusion(truth[known], predicted[known], size)
    totals = matrix.sum(1)
    wrong = matrix * ~np.eye(size, dtype=bool)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:PAIRS]
    found = []
    for actual, other in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if not wrong[actual, other]:
            break
        mistaken = np.flatnonzero((truth == actual) & (predicted == other))
        right = np.flatnonzero((truth == other) & (predicted == other))
        missed = np.flatnonzero((truth == other) & (predicted != other))
        examples = [*_spread(right, subjects), *_spread(missed, subjects)]
        found.append(
            ConfusedPair(
                int(actual),
                int(other),
                int(wrong[actual, other]),
                float(wrong[actual, other] / totals[actual]),
                _spread(mistaken, subjects)[:OF_EACH],
                examples[:OF_EACH],
            )
        )
    return found


def _spread(positions: NDArray[Any], subjects: NDArray[Any]) -> list[int]:
    """These positions, one of each person first, then the second of each, and so on."""
    seen: dict[Any, int] = {}
    turns = []
    for position in positions.tolist():
        person = subjects[position]
        turns.append((seen.get(person, 0), position))
        seen[person] = seen.get(person, 0) + 1
    return [position for _, position in sorted(turns)]


def draw_pairs(
    out: Path,
    pairs: Sequence[ConfusedPair],
    fetch: Callable[[int], HandBatch],
    subjects: NDArray[Any],
    names: Sequence[str],
) -> None:
    """Write a PNG with a row for each pair: left the confused images, right the other class.

    Args:
        out: the PNG file.
        pairs: at least one.
        fetch: position -> a batch of that one sample.
        subjects: (N,) person of each sample.
        names: of the coarse classes, by id.
    """

    def tiles(positions: Sequence[int]) -> list[Tile]:
        shown = []
        for position in positions:
            photo = fetch(position).image[0].permute(1, 2, 0).cpu().numpy()
            zoom = max(1, TILE_PX // photo.shape[0])
            shown.append(Tile(draw.enlarge(photo, zoom), f"person {subjects[position]}"))
        return shown + [Tile(None)] * (OF_EACH - len(shown))

    rows = [[*tiles(pair.confused), *tiles(pair.examples)] for pair in pairs]
    headings = [
        f"{names[pair.actual]} taken for {names[pair.predicted]}: {pair.images} images, "
        f"{100 * pair.share:.0f} % of {names[pair.actual]}"
        for pair in pairs
    ]
    draw_page(
        [tile for row in rows for tile in row],
        out,
        size=(TILE_PX, TILE_PX),
        columns=2 * OF_EACH,
        column_titles=["confused"] * OF_EACH + ["taken for"] * OF_EACH,
        row_headings=headings,
        style=Style(gap_px=6, row_gap_px=14, line_px=18, font_px=13, bold=False, centred=True),
    )
