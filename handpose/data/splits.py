"""Names of our splits: the training data divided by subject, and what is evaluated whole."""

from __future__ import annotations

from collections.abc import Iterable

TRAIN, VALIDATION, TEST = "train", "validation", "test"

HELD_OUT_GESTURES = "held_out_gestures"
"""The test people's images of gestures that nobody trained on (`ingest.held_out_gestures`)."""

LABELLED_SPLITS = (TRAIN, VALIDATION, TEST)
"""The training data of a data set, divided by subject; each must hold samples with a gesture.

A data set may have further splits, which are evaluated whole and need no gesture. Their names are
its reader's."""


def all_splits(found: Iterable[str]) -> tuple[str, ...]:
    """The labelled splits, whether found or not, then the others in the order they are found in."""
    return tuple(dict.fromkeys((*LABELLED_SPLITS, *found)))
