"""What is wrong with a download of InterHand2.6M, found before hours are spent on it.

Every annotation file is read, every annotated photo is looked for, and some or all are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from handpose.interhand.annotations import FILES, OFFICIAL_SPLITS, DatasetError, annotation_file
from handpose.interhand.verify.check_annotations import (
    ANNOTATIONS,
    Asked,
    SplitContents,
    State,
    check_annotations,
    check_asked,
)
from handpose.interhand.verify.check_photos import Start, Step, check_photos


class VerifyResult(NamedTuple):
    """Good, bad, or good to know; a FAIL's text tells the remedy."""

    state: State
    where: str  # the split, or layout
    text: str


def quiet(_what: str, _total: int, _unit: str) -> Step:
    """Nobody asks how far it is."""
    return lambda _done: None


def verify(
    root: Path, *, each: int | None = 1, asked: Asked | None = None, start: Start = quiet
) -> Iterator[VerifyResult]:
    """Every finding on the data set in this folder, split by split.

    Args:
        root: has images/ and annotations/.
        each: so many photos of every camera folder are opened; None: all of them.
        asked: what the parameters want of it, if they are about this data set.
        start: is told of work that takes long.
    """
    try:
        yield from _findings(root, each, asked, start)
    except OSError as error:
        yield VerifyResult("FAIL", "layout", _unreadable(error))


def _findings(
    root: Path, each: int | None, asked: Asked | None, start: Start
) -> Iterator[VerifyResult]:
    lacking = [f"{name}/" for name in ("images", "annotations") if not (root / name).is_dir()]
    if lacking:
        text = f"{root} has no {' and no '.join(lacking)}; name the folder that holds both"
        yield VerifyResult("FAIL", "layout", text)
        return
    for name in OFFICIAL_SPLITS:
        missing = [file for file in FILES if not annotation_file(root, name, file).is_file()]
        if missing == list(FILES) and name != "train":
            text = f"annotations/{name}/ is not there: official {name} will not be evaluated"
            yield VerifyResult("note", name, text)
        elif missing:
            files = ", ".join(annotation_file(root, name, file).name for file in missing)
            yield VerifyResult("FAIL", name, f"annotations/{name}/ lacks {files}; {ANNOTATIONS}")
        else:
            yield from _split(root, name, each, asked if name == "train" else None, start)


def _split(
    root: Path, name: str, each: int | None, asked: Asked | None, start: Start
) -> Iterator[VerifyResult]:
    try:
        split = SplitContents.read(root, name)
        for state, text in check_annotations(split):
            yield VerifyResult(state, name, text)
        for state, text in check_asked(split, asked) if asked else ():
            yield VerifyResult(state, name, text)
        for state, text in check_photos(split, each, start):
            yield VerifyResult(state, name, text)
    except DatasetError as error:
        yield VerifyResult("FAIL", name, str(error))
    except OSError as error:  # the other splits may be readable
        yield VerifyResult("FAIL", name, _unreadable(error))


def _unreadable(error: OSError) -> str:
    return f"{error.filename} cannot be read ({error.strerror}); mend its permissions, or the disk"
