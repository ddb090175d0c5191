"""Gesture classes at random: `label.shuffle`, controls that teach no gesture.

Neither changes which classes there are, that both hands of a gesture have classes of the same
names, or, as far as possible, how many images a class has. A seed decides; the order of rows does
not.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from handpose.gesture_row import GestureRow

DRAWS = 1000
"""Permutations of which the one is taken that leaves the fewest gestures in their coarse class."""

UNIT = {
    "sequences": ("split", "sequence", "subject", "session"),
    "images": ("split", "sequence", "subject", "session", "sample_id"),
}
"""Columns of samples.parquet that tell apart what gets a class of its own."""


def shuffled_gestures(rows: Iterable[GestureRow], seed: int) -> tuple[GestureRow, ...]:
    """These labelled rows with the classes of other gestures; both hands of one take the same.

    A folder whose twin is dropped exchanges its classes with other such folders of its hand.
    """
    by_folder = {row.folder: row for row in rows}
    pairs = {frozenset({row.folder, row.twin} & by_folder.keys()) for row in by_folder.values()}
    alike: defaultdict[tuple[str, ...], list[list[GestureRow]]] = defaultdict(list)
    for pair in sorted(pairs, key=sorted):
        hands = sorted((by_folder[folder] for folder in pair), key=lambda row: row.hand)
        alike[tuple(row.hand for row in hands)].append(hands)
    rng = np.random.default_rng(seed)
    changed: dict[str, GestureRow] = {}
    for key in sorted(alike):
        own = alike[key]
        for gesture, other in zip(own, _permutation(own, rng), strict=True):
            for row, donor in zip(gesture, own[other], strict=True):
                changed[row.folder] = dataclasses.replace(
                    row,
                    coarse_id=donor.coarse_id,
                    coarse=donor.coarse,
                    fine_id=donor.fine_id,
                    fine=donor.fine,
                )
    return tuple(changed[folder] for folder in by_folder)


def _permutation(gestures: Sequence[Sequence[GestureRow]], rng: np.random.Generator) -> list[int]:
    """Of `DRAWS` permutations the first that leaves the fewest in their coarse class."""
    coarse = np.unique([one[0].coarse for one in gestures], return_inverse=True)[1]
    draws = [rng.permutation(len(gestures)) for _ in range(DRAWS)]
    stay = [int((coarse[draw] == coarse).sum()) for draw in draws]
    chosen: list[int] = draws[int(np.argmin(stay))].tolist()
    return chosen


def donors(
    images: pa.Table,
    rows: Iterable[GestureRow],
    per: Literal["sequences", "images"],
    seed: int,
) -> list[str]:
    """For each image the folder whose classes it gets.

    Within a split and a hand, the sequences or the images exchange their classes: as many of them
    have each class as before.

    Args:
        images: the columns of `UNIT`; their `sequence` is the folder of a labelled row.
        rows: the labelled rows of the map.
        per: what gets a class: each image, or all of a person's images of one sequence.
        seed: of the permutation.
    """
    hand = {row.folder: row.hand for row in rows}
    keys = list(zip(*(images[name].to_pylist() for name in UNIT[per]), strict=True))
    pools: defaultdict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for key in sorted(set(keys)):
        split, folder = key[:2]
        pools[split, hand[folder]].append(key)
    rng = np.random.default_rng(seed)
    donor: dict[tuple[Any, ...], str] = {}
    for pool in (pools[name] for name in sorted(pools)):
        for key, other in zip(pool, rng.permutation(len(pool)), strict=True):
            donor[key] = pool[other][1]
    return [donor[key] for key in keys]
