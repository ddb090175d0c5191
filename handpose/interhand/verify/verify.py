"""Verification of a download of InterHand2.6M, before hours are spent on it.

Every annotation file is read, every annotated photo is looked for, and some or all are opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from handpose.interhand.annotations import FILES, OFFICIAL_SPLITS, DatasetError, annotation_file
from handpose.interhand.layout import layout_faults
from handpose.interhand.verify.check_annotations import (
    ANNOTATIONS,
    Expected,
    Findings,
    State,
    check_annotations,
    check_expected,
)
from handpose.interhand.verify.check_photos import Faults, Start, Step, check_photos
from handpose.interhand.verify.split_contents import SplitContents

Taken = Callable[[SplitContents, Faults], Findings]


class VerifyResult(NamedTuple):
    """One finding; the text of a FAIL includes the remedy."""

    state: State
    where: str  # the split, or layout
    text: str


def quiet(_what: str, _total: int, _unit: str) -> Step:
    """Reports no progress."""
    return lambda _done: None


def verify(
    root: Path,
    *,
    each: int | None = 1,
    expected: Expected | None = None,
    start: Start = quiet,
    taken: Taken = lambda _, __: iter(()),
    each_hand: bool = False,
) -> Iterator[VerifyResult]:
    """Every finding on the data set in this folder, split by split.

    Args:
        root: has images/ and annotations/.
        each: number of photos to open in every camera folder; None: all of them.
        expected: what the parameters expect in it, if they refer to this data set.
        start: called before each task that takes long.
        taken: what is taken of a split, given the photos that cannot be used.
        each_hand: annotations of both hands are used, as two.
    """
    try:
        yield from _findings(root, each, expected, start, taken, each_hand)
    except OSError as error:
        yield VerifyResult("FAIL", "layout", _unreadable(error))


def _findings(
    root: Path,
    each: int | None,
    expected: Expected | None,
    start: Start,
    taken: Taken,
    each_hand: bool,
) -> Iterator[VerifyResult]:
    if faults := layout_faults(root):
        yield from (VerifyResult("FAIL", "layout", text) for text in faults)
        return
    for name in OFFICIAL_SPLITS:
        missing = [file for file in FILES if not annotation_file(root, name, file).is_file()]
        if missing == list(FILES) and name != "train":
            text = f"annotations/{name}/ not found: official {name} will not be evaluated"
            yield VerifyResult("note", name, text)
        elif missing:
            files = ", ".join(annotation_file(root, name, file).name for file in missing)
            yield VerifyResult("FAIL", name, f"annotations/{name}/ lacks {files}; {ANNOTATIONS}")
        else:
            own = expected if name == "train" else None
            yield from _split(root, name, each, own, start, taken, each_hand)


def _split(
    root: Path,
    name: str,
    each: int | None,
    expected: Expected | None,
    start: Start,
    taken: Taken,
    each_hand: bool,
) -> Iterator[VerifyResult]:
    try:
        split = SplitContents.read(root, name, each_hand=each_hand)
        for state, text in check_annotations(split):
            yield VerifyResult(state, name, text)
        for state, text in check_expected(split, expected) if expected else ():
            yield VerifyResult(state, name, text)
        faults: Faults = {}
        for state, text in check_photos(split, each, faults, start):
            yield VerifyResult(state, name, text)
        for state, text in taken(split, faults):
            yield VerifyResult(state, name, text)
    except DatasetError as error:
        yield VerifyResult("FAIL", name, str(error))
    except OSError as error:  # the other splits may be readable
        yield VerifyResult("FAIL", name, _unreadable(error))


def _unreadable(error: OSError) -> str:
    return f"{error.filename} cannot be read ({error.strerror}); fix its permissions, or the disk"
