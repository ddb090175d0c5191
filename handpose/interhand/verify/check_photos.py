"""Whether a split's photos are all on disk, and whether those opened are intact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from handpose.data.photo import Photo
from handpose.interhand.verify.check_annotations import Findings, SplitContents, State
from handpose.interhand.verify.image_tree import Missing, compare_with_disk
from handpose.interhand.verify.photo_sample import PhotoTally, open_photos, sample_rows

SEED = 0
LISTED = 20
"""Missing folders that are reported one by one."""
MANY_BLACK = 0.01
"""Share of the photos opened: more black ones than this are not an accident of the studio."""

UNPACK = "unpack the image archive again, all of its parts (cat *.tar.part* | tar x)"

Step = Callable[[int], None]
Start = Callable[[str, int, str], Step]
"""(task, total, unit) -> function to be called with the number of items just done."""


def check_photos(split: SplitContents, each: int | None, start: Start) -> Findings:
    """Photos that are missing, and the condition of those that are opened.

    Args:
        split: its photos are below images/<split>/.
        each: number of photos to open in every camera folder; None: all of them.
        start: called before each task that takes long.
    """
    folder = split.root / "images" / split.name
    yield from _on_disk(split, folder, start)
    if each != 0 and len(split.images):
        yield from _opened(split, folder, each, start)


def _on_disk(split: SplitContents, folder: Path, start: Start) -> Findings:
    names = split.images["file_name"].to_pylist()
    step = start(f"{split.name}: looking for photos", len(names), "photos")
    found = compare_with_disk(folder, names, step)
    missing = sorted(found.missing, key=lambda gone: (-gone.photos, gone.path))
    for gone in missing[:LISTED]:
        yield "FAIL", _gone(gone, Path("images") / split.name / gone.path)
    if left := missing[LISTED:]:
        photos = sum(gone.photos for gone in left)
        yield "FAIL", f"and {photos:,} photos of {len(left)} more folders are missing; {UNPACK}"
    if not missing:
        yield "ok", f"all {len(names):,} annotated photos are on disk"
    if found.surplus > len(names):
        yield (
            "note",
            f"the same folders hold {found.surplus:,} photos that are not annotated: perhaps the "
            "30 fps photos with the 5 fps annotations; only annotated photos are used",
        )


def _gone(gone: Missing, path: Path) -> str:
    if not gone.is_folder:
        rest = f" and {gone.photos - 1:,} more of its folder" if gone.photos > 1 else ""
        return f"{path}{rest}: not found; {UNPACK}"
    if gone.written_as:
        text = f"{path} ({gone.photos:,} photos) is called {gone.written_as} on disk"
        return f"{text}; rename it as annotated"
    return f"{path}/ not found, of which {gone.photos:,} photos are annotated; {UNPACK}"


def _opened(split: SplitContents, folder: Path, each: int | None, start: Start) -> Findings:
    images = split.images
    rows = np.arange(len(images)) if each is None else sample_rows(images["file_name"], each, SEED)
    table = images.select(["file_name", "width", "height"]).take(pa.array(rows))
    columns = (table[name].to_pylist() for name in table.column_names)
    photos = [Photo(folder / name, *size) for name, *size in zip(*columns, strict=True)]
    tally = open_photos(photos, start(f"{split.name}: opening photos", len(photos), "photos"))
    yield from _faults(tally)
    sound = tally.photos - tally.faults.total()
    yield (
        "ok" if sound else "note",
        f"{sound:,} of {tally.photos:,} photos opened are sound; {tally.progressive:,} are "
        f"progressive JPEGs, {tally.grey:,} without colour",
    )


def _faults(tally: PhotoTally) -> Findings:
    for reason, count in tally.faults.most_common():
        state: State = "FAIL"
        if reason == "image_black":
            state = "FAIL" if count > MANY_BLACK * tally.photos else "note"
            remedy = f"ingest leaves black ones out; if they are many, {UNPACK}"
        elif reason == "image_unreadable":
            remedy = "fix the permissions, or the disk"
        elif reason == "image_size":
            remedy = "images and annotations must be of one version of the data set"
        else:
            remedy = f"{UNPACK}; --all opens every photo"
        text = f"{reason}: {count:,} of {tally.photos:,} photos opened, for example"
        yield state, f"{text} {tally.examples[reason]}; {remedy}"
