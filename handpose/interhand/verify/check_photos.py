"""Whether a split's photos are all on disk, and whether those opened are intact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.counted import counted
from handpose.data.photo import Photo
from handpose.interhand.verify.check_annotations import Findings, State
from handpose.interhand.verify.image_tree import Missing, compare_with_disk
from handpose.interhand.verify.photo_sample import (
    PhotoCheck,
    PhotoTally,
    open_photos,
    sample_rows,
)
from handpose.interhand.verify.split_contents import SplitContents

SEED = 0
LISTED = 20
"""Missing folders that are reported one by one."""
MANY_BLACK = 0.01
"""Share of the photos opened: more black ones than this are not an accident of the studio."""
MOST_TURNED = 0.25
"""Share of the cameras: if the photos of more are turned, they are of another version."""

UNPACK = "unpack the image archive again, all of its parts (cat *.tar.part* | tar x)"

Step = Callable[[int], None]
Start = Callable[[str, int, str], Step]
"""(task, total, unit) -> function to be called with the number of items just done."""


Faults = dict[str, tuple[str, str]]
"""Reason and detail of each photo that cannot be used, by its path below data.root."""


def check_photos(split: SplitContents, each: int | None, faults: Faults, start: Start) -> Findings:
    """Photos that are missing, and the condition of those that are opened.

    Args:
        split: its photos are below images/<split>/.
        each: number of photos to open in every camera folder; None: all that ingest opens.
        faults: gets what is found.
        start: called before each task that takes long.
    """
    yield from _on_disk(split, faults, start)
    if each != 0 and len(split.once):
        yield from _opened(split, each, faults, start)


def _on_disk(split: SplitContents, faults: Faults, start: Start) -> Findings:
    above = f"images/{split.name}/"
    images = pc.unique(split.everyone["image"]).drop_null().to_pylist()
    names = [name.removeprefix(above) for name in images]
    step = start(f"{split.name}: looking for photos", len(names), "photos")
    found = compare_with_disk(split.root / above, names, step)
    for name in found.absent:
        faults[above + name] = ("image_missing", str(split.root / above / name))
    missing = sorted(found.missing, key=lambda gone: (-gone.photos, gone.path))
    for gone in missing[:LISTED]:
        yield "FAIL", _gone(gone, Path("images") / split.name / gone.path)
    if left := missing[LISTED:]:
        photos = sum(gone.photos for gone in left)
        more = f"{counted(photos, 'photo')} of {counted(len(left), 'more folder')}"
        yield "FAIL", f"and missing too: {more}; {UNPACK}"
    if not names:
        yield "FAIL", "no annotation names a photo, so none was looked for"
    elif not missing:
        yield "ok", f"all {len(names):,} annotated photos are on disk"
    if found.surplus > len(names):
        yield (
            "note",
            f"the same folders hold {counted(found.surplus, 'photo')} not annotated: perhaps the "
            "30 fps photos with the 5 fps annotations; only annotated photos are used",
        )


def _gone(gone: Missing, path: Path) -> str:
    if not gone.is_folder:
        rest = f" and {gone.photos - 1:,} more of its folder" if gone.photos > 1 else ""
        return f"{path}{rest}: not found; {UNPACK}"
    if gone.written_as:
        text = f"{path} ({counted(gone.photos, 'photo')}) is called {gone.written_as} on disk"
        return f"{text}; rename it as annotated"
    return f"{path}/ not found, with {counted(gone.photos, 'annotated photo')}; {UNPACK}"


def _opened(split: SplitContents, each: int | None, faults: Faults, start: Start) -> Findings:
    usable = split.once.table
    rows = np.arange(len(usable)) if each is None else sample_rows(usable["image"], each, SEED)
    table = usable.select(["image", "width", "height", "session", "camera"]).take(pa.array(rows))
    camera_of: dict[Path, tuple[int, str]] = {}
    photos = []
    for row in table.to_pylist():
        photo = Photo(split.root / row["image"], row["width"], row["height"])
        photos.append(photo)
        camera_of[photo.path] = row["session"], row["camera"]
    turned: Counter[tuple[int, str]] = Counter()
    other_size: Counter[tuple[int, str]] = Counter()

    def fault(photo: Photo, check: PhotoCheck) -> None:
        faults[photo.path.relative_to(split.root).as_posix()] = check.reason, check.detail
        if check.reason == "image_size":
            is_turned = f"{photo.height}x{photo.width} px" in check.detail
            (turned if is_turned else other_size)[camera_of[photo.path]] += 1

    step = start(f"{split.name}: opening photos", len(photos), "photos")
    tally = open_photos(photos, step, fault)
    opened = Counter(
        camera_of[p.path]
        for p in photos
        if faults.get(p.path.relative_to(split.root).as_posix(), ("", ""))[0] != "image_missing"
    )
    sound = tally.photos - tally.faults.total()
    few = [camera for camera in turned if turned[camera] == opened[camera]]
    if len(few) < len(opened) and len(few) <= max(1, MOST_TURNED * len(opened)):
        yield from _turned(few, turned)
        tally.faults["image_size"] -= sum(turned[camera] for camera in few)
    yield from _faults(+tally.faults, tally)
    yield (
        "ok" if sound else "FAIL",
        f"{sound:,} of {counted(tally.photos, 'photo')} opened "
        f"{'is' if sound == 1 else 'are'} sound; {counted(tally.progressive, 'progressive JPEG')}, "
        f"{tally.grey:,} without colour{_formats(tally)}",
    )


def _turned(cameras: list[tuple[int, str]], turned: Counter[tuple[int, str]]) -> Findings:
    """Cameras all of whose photos lie on their side: no fault of the download."""
    for session, name in sorted(cameras):
        count = turned[session, name]
        known = "as known of cam400412 of the real set; " if name == "400412" else ""
        yield (
            "note",
            f"camera {name} of Capture{session}: width and height of all its photos ({count:,} "
            f"opened) are exchanged against the annotations, {known}ingest leaves them out",
        )


def _faults(counts: Counter[str], tally: PhotoTally) -> Findings:
    for reason, count in counts.most_common():
        state: State = "FAIL"
        if reason == "image_black":
            state = "FAIL" if count > MANY_BLACK * tally.photos else "note"
            remedy = f"ingest leaves black ones out; if they are many, {UNPACK}"
        elif reason == "image_unreadable":
            remedy = "fix the permissions, or the disk"
        elif reason == "image_damaged":
            remedy = f"a part of the archive is missing or damaged: {UNPACK}; --all opens all"
        elif reason == "image_size":
            remedy = "images and annotations must be of one version of the data set"
        else:
            remedy = f"{UNPACK}; --all opens every photo"
        text = f"{reason}: {count:,} of {counted(tally.photos, 'photo')} opened, for example"
        yield state, f"{text} {tally.examples[reason]}; {remedy}"


def _formats(tally: PhotoTally) -> str:
    """Photos that are no JPEGs whatever their names say; they are used all the same."""
    found = [
        counted(count, f"is a {name} file", f"are {name} files")
        for name, count in tally.other_formats.most_common()
    ]
    return f"; {', '.join(found)}, which are used as they are" if found else ""
