"""Labels of images have the contract of labels of folders: ids, names and twins agree."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from handpose.data.labels import NO_CLASS, ClassIds, Labels
from handpose.gesture_map import GestureMap
from stages.label import labels_table
from stages.labelling.image_labels import NONE, Codes, of_codes, of_donors

TABLE = GestureMap.read(Path(__file__).parents[3] / "labels" / "gesture_map.csv")
FOLDERS = ("0003_fake_gun", "0103_fake_gun", "0016_fist", "0116_fist")
IMAGES = pa.table(
    {"sample_id": [3, 5, 8, 9], "sequence": FOLDERS, "is_left": [False, True, False, True]}
)
KINDS = ("gesture",) * 4
CODES = Codes(
    number=np.array([0, 2, NONE, 1]),
    names={"coarse": ["open", "shut"], "fine": ["flat", "fist", "hook"]},
    parent=np.array([0, 1, 1]),
)


@pytest.mark.parametrize("canonical", [False, True])
def test_an_image_has_the_classes_of_its_donor_and_the_names_are_the_maps(canonical: bool) -> None:
    folders = labels_table(TABLE, canonical=canonical)
    given = ("0016_fist", "0103_fake_gun", "0003_fake_gun", "0116_fist")
    labels, true = Labels.of(of_donors(folders, IMAGES, given)), Labels.of(folders)
    assert dataclasses.replace(labels, own={}) == true
    found = labels.classes(IMAGES["sample_id"].to_pylist(), FOLDERS, KINDS)
    assert found == [true.ids[folder] for folder in given]


def test_codes_of_both_hands_are_twins() -> None:
    labels = Labels.of(of_codes(IMAGES, CODES, canonical=False))
    assert labels.ids == {}, "folders have no class"
    assert labels.coarse == ["open", "shut"] * 2 and labels.fine == ["flat", "fist", "hook"] * 2
    assert labels.hands == ["right", "right", "left", "left"]
    assert labels.classes([3, 5, 8, 9], FOLDERS, KINDS) == [
        ClassIds(0, 0, 2, 3),
        ClassIds(3, 5, 1, 2),
        NO_CLASS,
        ClassIds(3, 4, 1, 1),
    ]


def test_canonical_codes_are_one_class_and_their_own_twin() -> None:
    labels = Labels.of(of_codes(IMAGES, CODES, canonical=True))
    assert labels.coarse == ["open", "shut"] and labels.fine == ["flat", "fist", "hook"]
    assert labels.classes([3, 5, 9], FOLDERS[:3], KINDS[:3]) == [
        ClassIds(0, 0, 0, 0),
        ClassIds(1, 2, 1, 2),
        ClassIds(1, 1, 1, 1),
    ]


def test_every_class_is_named_whatever_the_images_show() -> None:
    """A network has an output for the twin of what only one hand shows."""
    few = of_codes(IMAGES.slice(0, 1), dataclasses.replace(CODES, number=np.array([0])),
                   canonical=False)  # fmt: skip
    labels = Labels.of(few)
    assert len(labels.fine) == 6 and len(labels.coarse) == 4
    whole = of_codes(IMAGES, CODES, canonical=False)
    assert few.schema == whole.schema
    handed = labels_table(TABLE, canonical=False)
    assert set(whole.column_names) == {*handed.column_names, "sample_id"}
