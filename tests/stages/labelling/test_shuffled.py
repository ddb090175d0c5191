"""Shuffled classes: as many of each as before, the hands alike, and none where it was."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from handpose.gesture_map import GestureMap
from handpose.gesture_row import GestureRow
from stages.labelling.shuffled import donors, shuffled_gestures

TABLE = GestureMap.read(Path(__file__).parents[3] / "labels" / "gesture_map.csv")
ROWS = TABLE.labelled


def classes(rows: tuple[GestureRow, ...]) -> dict[str, tuple[str, str]]:
    return {row.folder: (row.coarse, row.fine) for row in rows}


def test_every_class_has_as_many_folders_on_each_hand_as_before() -> None:
    found = shuffled_gestures(ROWS, 0)
    for side in ("right", "left"):
        before, after = (
            Counter((r.coarse_id, r.coarse, r.fine_id, r.fine) for r in rows if r.hand == side)
            for rows in (ROWS, found)
        )
        assert before == after
    assert [row.folder for row in found] == [row.folder for row in ROWS]


def test_no_gesture_keeps_its_coarse_class_and_both_hands_have_the_same() -> None:
    found, true = classes(shuffled_gestures(ROWS, 0)), classes(ROWS)
    assert all(found[folder][0] != true[folder][0] for folder in true)
    assert all(found[row.folder] == found[row.twin] for row in ROWS)


def test_the_seed_chooses_and_the_order_of_the_rows_does_not() -> None:
    mixed = list(ROWS)
    random.Random(0).shuffle(mixed)
    found = classes(shuffled_gestures(ROWS, 0))
    assert classes(shuffled_gestures(mixed, 0)) == found
    assert classes(shuffled_gestures(ROWS, 1)) != found


def test_a_folder_without_its_twin_exchanges_with_its_like() -> None:
    """Whose class must have a folder on the other hand, as the map demands."""
    lone = {"0006_thumbup_relaxed", "0016_fist", "0001_neutral_rigid"}
    rows = tuple(row for row in ROWS if row.twin not in lone)
    found = classes(shuffled_gestures(rows, 0))
    true = classes(rows)
    assert Counter(found[f] for f in lone) == Counter(true[f] for f in lone)
    assert all(found[r.folder] == found[r.twin] for r in rows if r.folder not in lone)


FOLDERS = ("0003_fake_gun", "0016_fist", "0103_fake_gun", "0116_fist")


def images() -> pa.Table:
    """Two people a split, each in every folder, with as many images as the folder has letters."""
    rows = [
        {"split": split, "sequence": folder, "subject": subject, "session": subject}
        for split, people in (("train", range(9)), ("test", range(9, 15)))
        for subject in people
        for folder in FOLDERS
        for _ in range(len(folder))
    ]
    return pa.Table.from_pylist([{**row, "sample_id": i} for i, row in enumerate(rows)])


@pytest.mark.parametrize("per", ["sequences", "images"])
def test_classes_are_exchanged_within_a_split_and_a_hand(per: str) -> None:
    table = images()
    found = donors(table, ROWS, per, 0)  # type: ignore[arg-type]
    rows = [{**row, "donor": donor} for row, donor in zip(table.to_pylist(), found, strict=True)]
    unit = ["split", "sequence", "subject", "sample_id"][: 3 if per == "sequences" else 4]
    units = {tuple(row[name] for name in unit): row["donor"] for row in rows}
    assert all(units[tuple(row[n] for n in unit)] == row["donor"] for row in rows), "one each"
    for split in ("train", "test"):
        for hand in ("00", "01"):
            own = [(k[1], d) for k, d in units.items() if k[0] == split and k[1].startswith(hand)]
            before, after = map(Counter, zip(*own, strict=True))
            assert before == after
            assert 0.2 < sum(a != b for a, b in own) / len(own) < 0.8, "half, by chance"


@pytest.mark.parametrize("per", ["sequences", "images"])
def test_neither_the_order_of_the_images_nor_another_split_matters_but_the_seed(per: str) -> None:
    table = images()
    found = donors(table, ROWS, per, 0)  # type: ignore[arg-type]
    order = list(range(len(table)))
    random.Random(0).shuffle(order)
    again = donors(table.take(pa.array(order)), ROWS, per, 0)  # type: ignore[arg-type]
    assert again == [found[i] for i in order]
    assert donors(table, ROWS, per, 1) != found  # type: ignore[arg-type]
