"""A split's photos: are they all there, and are those that are opened whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from handpose.data.photo import Photo
from handpose.interhand.verify.check_annotations import SplitContents, State, Told
from handpose.interhand.verify.image_tree import Missing, on_disk
from handpose.interhand.verify.photo_sample import Tally, chosen, look

SEED = 0
LISTED = 20
"""Missing folders that are told one by one."""
MANY_BLACK = 0.01
"""Of the photos opened: more black ones than this are no accident of the studio."""

UNPACK = "unpack the image archive again, all of its parts (cat *.tar.part* | tar x)"

Step = Callable[[int], None]
Start = Callable[[str, int, str], Step]
"""(what, how many, their unit) -> told how many are done, as it goes on."""


def check_photos(split: SplitContents, each: int | None, start: Start) -> Told:
    """Photos that are missing, and what those look like that are opened.

    Args:
        split: whose photos lie below images/<split>/.
        each: so many photos of every camera folder are opened; None: all of them.
        start: is told of work that takes long.
    """
    folder = split.root / "images" / split.name
    yield from _on_disk(split, folder, start)
    if each != 0 and len(split.images):
        yield from _opened(split, folder, each, start)


def _on_disk(split: SplitContents, folder: Path, start: Start) -> Told:
    names = split.images["file_name"].to_pylist()
    step = start(f"{split.name}: looking for photos", len(names), "photos")
    found = on_disk(folder, names, step)
    missing = sorted(found.missing, key=lambda gone: (-gone.photos, gone.path))
    for gone in missing[:LISTED]:
        yield "FAIL", _gone(gone, Path("images") / split.name / gone.path)
    if left := missing[LISTED:]:
        photos = sum(gone.photos for gone in left)
        yield "FAIL", f"and {photos:,} photos of {len(left)} more folders are missing; {UNPACK}"
    if not missing:
        yield "ok", f"all {len(names):,} annotated photos are there"
    if found.surplus > len(names):
        yield (
            "note",
            f"the same folders hold {found.surplus:,} photos that are not annotated: perhaps the "
            "30 fps photos with the 5 fps annotations; only annotated photos are used",
        )


def _gone(gone: Missing, path: Path) -> str:
    if not gone.is_folder:
        rest = f" and {gone.photos - 1:,} more of its folder" if gone.photos > 1 else ""
        return f"{path}{rest}: not there; {UNPACK}"
    if gone.written_as:
        told = f"{path} ({gone.photos:,} photos) is called {gone.written_as} on disk"
        return f"{told}; rename it as it is annotated"
    return f"{path}/ is not there, of which {gone.photos:,} photos are annotated; {UNPACK}"


def _opened(split: SplitContents, folder: Path, each: int | None, start: Start) -> Told:
    images = split.images
    rows = np.arange(len(images)) if each is None else chosen(images["file_name"], each, SEED)
    table = images.select(["file_name", "width", "height"]).take(pa.array(rows))
    columns = (table[name].to_pylist() for name in table.column_names)
    photos = [Photo(folder / name, *size) for name, *size in zip(*columns, strict=True)]
    tally = look(photos, start(f"{split.name}: opening photos", len(photos), "photos"))
    yield from _faults(tally)
    sound = tally.photos - tally.faults.total()
    yield (
        "ok" if sound else "note",
        f"{sound:,} of {tally.photos:,} photos opened are sound; {tally.progressive:,} are "
        f"progressive JPEGs, {tally.grey:,} without colour",
    )


def _faults(tally: Tally) -> Told:
    for reason, count in tally.faults.most_common():
        state: State = "FAIL"
        if reason == "image_black":
            state = "FAIL" if count > MANY_BLACK * tally.photos else "note"
            remedy = f"ingest leaves black ones out; if they are many, {UNPACK}"
        elif reason == "image_unreadable":
            remedy = "mend the permissions, or the disk"
        elif reason == "image_size":
            remedy = "images and annotations must be of one version of the data set"
        else:
            remedy = f"{UNPACK}; --all opens every photo"
        told = f"{reason}: {count:,} of {tally.photos:,} photos opened, for example"
        yield state, f"{told} {tally.examples[reason]}; {remedy}"
