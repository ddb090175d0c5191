"""Names of our splits: the training data divided by subject, and what is evaluated whole."""

from __future__ import annotations

from collections.abc import Iterable

TRAIN, VALIDATION, TEST = "train", "validation", "test"

HELD_OUT_GESTURES = "held_out_gestures"
"""The test people's images of gestures that nobody trained on (`ingest.held_out_gestures`)."""

INTERACTING_HANDS = "interacting"
"""The test people's hands of photos that show two (`ingest.interacting`). Those of a split that is
evaluated whole are `official_test_interacting`, say."""

GESTURE_PHOTOS = "gesture_photos"
GESTURE_PHOTOS_VALIDATION = "gesture_photos_validation"
PHOTO_SPLITS = (GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION)
"""Photos with a gesture and no pose, of a data set beside the main one (`data.hagrid`): Stage 1
trains on the first and is measured on the second, and nothing else reads them."""

LABELLED_SPLITS = (TRAIN, VALIDATION, TEST)
"""The training data of a data set, divided by subject; each must hold samples with a gesture.

A data set may have further splits, which are evaluated whole and need no gesture. Their names are
its reader's."""


def of_two_hands(split: str) -> str:
    """The split of those hands of an evaluated split that stand beside another annotated hand."""
    return INTERACTING_HANDS if split == TEST else f"{split}_{INTERACTING_HANDS}"


def shows_two_hands(split: str) -> bool:
    """Whether a split is one of those."""
    return split == INTERACTING_HANDS or split.endswith(f"_{INTERACTING_HANDS}")


def all_splits(found: Iterable[str]) -> tuple[str, ...]:
    """The labelled splits, whether found or not, then the others in the order they are found in."""
    return tuple(dict.fromkeys((*LABELLED_SPLITS, *found)))
