"""Compares a split's annotation files with each other and with the official counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from handpose.counted import counted
from handpose.interhand.folders import folder_kind
from handpose.interhand.layout import EARLY
from handpose.interhand.verify.releases import CAPTURES, GREY, PHOTO_SIZES, Release, version
from handpose.interhand.verify.split_contents import SplitContents

MOST_LACKING = 0.5
"""Share of frames: if more than this lack joints or a fit, the file is of another split."""

ANNOTATIONS = "unpack the annotations of v1.0 again"

State = Literal["ok", "note", "FAIL"]
Findings = Iterator[tuple[State, str]]
"""State and text of each finding; the text of a FAIL includes the remedy."""


class Expected(NamedTuple):
    """What the parameters expect in official train."""

    held_out: Mapping[str, Collection[int]]  # subjects, by the parameter that names them
    known_folders: Collection[str]  # gesture folders in the gesture map, dropped ones included


def check_annotations(split: SplitContents) -> Findings:
    """Counts, captures, photo sizes, cameras, joints and fits."""
    found = version(split.name, split.counts)
    yield from _release(found)
    if split.unused_images:
        yield "note", f"{counted(split.unused_images, 'image record')} that no annotation uses"
    yield from _captures(split, found)
    yield from _sizes(split.one_hand.table)
    yield from _cameras(split)
    yield from _frames(split)


def _release(found: Release) -> Findings:
    if found.kind == "incomplete":
        yield "FAIL", f"{found.text}; {ANNOTATIONS}"
    else:
        yield "ok" if found.kind in ("5 fps", "30 fps") else "note", found.text


def _captures(split: SplitContents, found: Release) -> Findings:
    everyone = split.everyone.filter(pc.is_valid(split.everyone["session"]))
    captures = set(pc.unique(everyone["session"]).to_pylist())
    gone = sorted(set(range(CAPTURES[split.name])) - captures)
    if gone and found.kind in ("5 fps", "30 fps", "incomplete"):
        yield "FAIL", f"no image of {some([f'Capture{n}' for n in gone])}; {ANNOTATIONS}"
    visits = everyone.group_by(["subject", "session"]).aggregate([])
    times = visits["subject"].value_counts().to_pylist()
    again = sum(entry["counts"] > 1 for entry in times)
    names = pc.unique(everyone["sequence"]).drop_null().to_pylist()
    kinds = [folder_kind(name) for name in names]
    text = (
        f"captures: {len(captures)}, people: {len(times)} ({again} came more than once), folders: "
        f"{kinds.count('gesture')} gesture, {kinds.count('rom')} ROM, "
        f"{kinds.count('two_hands')} two-hand"
    )
    if captures and times and kinds:
        yield "ok", text
    else:
        yield "FAIL", f"{text}: no annotation has an image; {ANNOTATIONS}"


def _sizes(usable: pa.Table) -> Findings:
    sizes = usable.group_by(["width", "height"]).aggregate([([], "count_all")])
    rows = list(zip(*(sizes[name].to_pylist() for name in sizes.column_names), strict=True))
    landscape = sum(n for width, height, n in rows if width > height)
    portrait = sum(n for width, height, n in rows if width < height)
    square = len(usable) - landscape - portrait
    text = f"{landscape:,} landscape and {counted(portrait, 'portrait photo')} of one hand"
    text += f", {square:,} square" if square else ""
    others = sorted(f"{w}x{h}" for w, h, _ in rows if (w, h) not in PHOTO_SIZES)
    if others:
        text += f"; sizes besides InterHand2.6M's 512x334 and 334x512 px: {some(others)}"
    yield "note" if others else "ok", text


def _cameras(split: SplitContents) -> Findings:
    cameras = _count(split.everyone.filter(pc.is_valid(split.everyone["camera"])), "camera")
    missing = [
        f"camera {name} of Capture{capture} ({counted(photos, 'photo')})"
        for capture, name, photos in _count(split.rejects_of("no_camera"), "camera")
    ]
    if missing:
        yield "FAIL", f"not in the camera file: {some(missing)}; {ANNOTATIONS}"
    grey = [photos for _, name, photos in cameras if name.startswith(GREY)]
    yield (
        "ok" if cameras else "FAIL",
        f"{counted(len(cameras), 'camera')} over all captures; "
        f"{len(grey)} {'is' if len(grey) == 1 else 'are'} grey ({GREY}0xxx), with "
        f"{counted(sum(grey), 'photo')}",
    )


def _count(table: pa.Table, column: str) -> list[tuple[int, Any, int]]:
    """Each capture and value of this column, and how many annotations have it."""
    counts = table.group_by(["session", column]).aggregate([([], "count_all")])
    columns = (counts[name].to_pylist() for name in ("session", column, "count_all"))
    return sorted(zip(*columns, strict=True), key=str)


def _frames(split: SplitContents) -> Findings:
    """Whether each annotated frame has joints and fits."""
    frames, fitted = split.frames()
    if early := len(split.rejects_of("early_release")):
        what = counted(early, "annotation has its", "annotations have their")
        yield "FAIL", f"{what} frame in the joint_3d file as {EARLY}"
    elif without := len(_count(split.rejects_of("no_joint_3d"), "frame")):
        total = frames + without
        yield (
            "FAIL" if without > MOST_LACKING * total else "note",
            f"{without:,} of {counted(total, 'frame')} {'has' if without == 1 else 'have'} "
            "no joints in the joint_3d file, and ingest rejects their photos; if they are many, "
            f"{ANNOTATIONS}",
        )
    share = 1 - fitted / frames if frames else 0.0
    text = f"{counted(frames, 'frame')} of a hand, {share:.1%} of them without a MANO fit of it"
    if share > MOST_LACKING:
        remedy = (
            "gestures can be learnt without (stage pretrain), but the pose of InterHand2.6M (stage "
            f"pose) needs them; {ANNOTATIONS}"
        )
        yield "FAIL", f"{text} in the MANO_NeuralAnnot file; {remedy}"
    elif frames:
        yield "ok", text


def check_expected(split: SplitContents, expected: Expected) -> Findings:
    """Whether official train has the held-out people, and only gesture folders of the map."""
    subjects = set(pc.unique(split.everyone["subject"]).drop_null().to_pylist())
    for parameter, held_out in expected.held_out.items():
        unknown = sorted(set(held_out) - subjects)
        if unknown:
            text = f"{parameter} names {unknown}, who are not in official train"
            yield "FAIL", f"{text}; its people are {sorted(subjects)}"
    folders = pc.unique(split.one_hand.plain("sequence")).to_pylist()
    strange = sorted(
        name
        for name in folders
        if folder_kind(name) == "gesture" and name not in expected.known_folders
    )
    if strange:
        text = f"gesture folders that the gesture map does not list: {some(strange)}"
        yield "FAIL", f"{text}; add a row for each (labels/README.md), with drop to leave it out"


def some(names: list[str]) -> str:
    """The first four names, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
