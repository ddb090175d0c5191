"""Compares a split's annotation files with each other and with the official counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.interhand.annotations import HANDS, annotation_file, read_cameras
from handpose.interhand.data_columns import DataColumns, read_data
from handpose.interhand.folders import folder_kind
from handpose.interhand.frame_columns import frame_key, read_fits, read_frame_joints
from handpose.interhand.verify.releases import CAPTURES, GREY, PHOTO_SIZES, Counts, Release, version

CALIBRATION = ("campos", "camrot", "focal", "princpt")

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


@dataclass(frozen=True)
class SplitContents:
    """One split, as described by its `data` file."""

    root: Path
    name: str
    data: DataColumns

    @classmethod
    def read(cls, root: Path, name: str) -> SplitContents:
        """The split of this name.

        Raises:
            DatasetError: the file is not JSON, or has another structure.
        """
        return cls(root, name, read_data(annotation_file(root, name, "data")))

    @property
    def images(self) -> pa.Table:
        """The images with a valid record; columns as in `data_columns.IMAGE`."""
        table = self.data.images.table
        return table.filter(pc.is_valid(table["id"]))

    @property
    def counts(self) -> Counts:
        """The number of annotations of one hand, and of both."""
        kinds = self.data.hands.table["hand_type"].value_counts().to_pylist()
        count = {kind["values"]: kind["counts"] for kind in kinds}
        return Counts(sum(count.get(hand, 0) for hand in HANDS), count.get("interacting", 0))


def check_annotations(split: SplitContents) -> Findings:
    """Counts, records, captures, photo sizes, cameras, joints and fits.

    Raises:
        DatasetError: a file is not JSON, or has another structure.
    """
    found = version(split.name, split.counts)
    yield from _release(found)
    yield from _records(split.data)
    yield from _captures(split, found)
    yield from _sizes(split.images)
    yield from _cameras(split)
    yield from _frames(split)


def _release(found: Release) -> Findings:
    if found.kind == "incomplete":
        yield "FAIL", f"{found.text}; {ANNOTATIONS}"
    else:
        yield "ok" if found.kind in ("5 fps", "30 fps") else "note", found.text


def _records(data: DataColumns) -> Findings:
    if len(data.images.table) != len(data.hands.table):
        text = f"{len(data.images.table):,} images, {len(data.hands.table):,} annotations"
        yield "note", f"{text}: InterHand2.6M has one annotation per image"
    for what, odd in (("images", data.images.odd), ("annotations", data.hands.odd)):
        if odd:
            text = f"{len(odd):,} {what} lack a value or have one of a wrong type"
            first = f"the first is number {min(odd)} of the list, counted from 0"
            yield "note", f"{text}; {first}. ingest rejects them with reasons"


def _captures(split: SplitContents, found: Release) -> Findings:
    images = split.images
    captures = set(pc.unique(images["capture"]).to_pylist())
    gone = sorted(set(range(CAPTURES[split.name])) - captures)
    if gone and found.kind in ("5 fps", "30 fps", "incomplete"):
        yield "FAIL", f"no image of {some([f'Capture{n}' for n in gone])}; {ANNOTATIONS}"
    visits = images.group_by(["subject", "capture"]).aggregate([])
    times = visits["subject"].value_counts().to_pylist()
    again = sum(entry["counts"] > 1 for entry in times)
    kinds = [folder_kind(name) for name in pc.unique(images["seq_name"]).to_pylist()]
    yield (
        "ok",
        f"captures: {len(captures)}, people: {len(times)} ({again} came more than once), folders: "
        f"{kinds.count('gesture')} gesture, {kinds.count('rom')} ROM, "
        f"{kinds.count('two_hands')} two-hand",
    )


def _sizes(images: pa.Table) -> Findings:
    sizes = images.group_by(["width", "height"]).aggregate([([], "count_all")])
    rows = list(zip(*(sizes[name].to_pylist() for name in sizes.column_names), strict=True))
    landscape = sum(n for width, height, n in rows if width > height)
    portrait = sum(n for width, height, n in rows if width < height)
    square = len(images) - landscape - portrait
    text = f"{landscape:,} landscape and {portrait:,} portrait photos"
    text += f", {square:,} square" if square else ""
    others = sorted(f"{w}x{h}" for w, h, _ in rows if (w, h) not in PHOTO_SIZES)
    if others:
        text += f"; sizes besides InterHand2.6M's 512x334 and 334x512 px: {some(others)}"
    yield "note" if others else "ok", text


def _cameras(split: SplitContents) -> Findings:
    calibrated = read_cameras(split.root, split.name)
    table = split.images.group_by(["capture", "camera"]).aggregate([([], "count_all")])
    columns = (table[name].to_pylist() for name in ("capture", "camera", "count_all"))
    cameras = sorted(zip(*columns, strict=True))
    missing = [
        f"camera {name} of Capture{capture} ({photos:,} photos)"
        for capture, name, photos in cameras
        if not _is_calibrated(calibrated.get(capture), name)
    ]
    if missing:
        yield "FAIL", f"not in the camera file: {some(missing)}; {ANNOTATIONS}"
    grey = [photos for _, name, photos in cameras if name.startswith(GREY)]
    yield (
        "ok",
        f"{len(cameras)} cameras over all captures; {len(grey)} are grey ({GREY}0xxx), with "
        f"{sum(grey):,} photos",
    )


def _is_calibrated(capture: Any, camera: str) -> bool:
    return isinstance(capture, dict) and all(camera in capture.get(k, ()) for k in CALIBRATION)


def _frames(split: SplitContents) -> Findings:
    """Whether each annotated frame has joints and fits."""
    frames = split.images.group_by(["capture", "frame_idx"]).aggregate([])
    capture, frame = (frames[name].to_numpy() for name in ("capture", "frame_idx"))
    joints = read_frame_joints(annotation_file(split.root, split.name, "joint_3d"))
    without = int((joints.find(frame_key(capture, frame, 0)) < 0).sum())
    if without:
        yield (
            "FAIL" if without > MOST_LACKING * len(frames) else "note",
            f"{without:,} of {len(frames):,} frames have no joints in the joint_3d file, and "
            f"ingest rejects their photos; if they are many, {ANNOTATIONS}",
        )
    fits = read_fits(annotation_file(split.root, split.name, "MANO_NeuralAnnot"))
    has_fit = np.zeros(len(frames), np.bool_)
    for hand in range(len(HANDS)):
        has_fit |= fits.find(frame_key(capture, frame, hand)) >= 0
    share = 1 - has_fit.mean() if len(frames) else 0.0
    text = f"{len(frames):,} frames, {share:.1%} of them without a MANO fit"
    if share > MOST_LACKING:
        remedy = f"without fits the second stage learns no shape; {ANNOTATIONS}"
        yield "FAIL", f"{text} in the MANO_NeuralAnnot file; {remedy}"
    else:
        yield "ok", text


def check_expected(split: SplitContents, expected: Expected) -> Findings:
    """Whether official train has the held-out people, and only gesture folders of the map."""
    subjects = set(pc.unique(split.images["subject"]).to_pylist())
    for parameter, held_out in expected.held_out.items():
        unknown = sorted(set(held_out) - subjects)
        if unknown:
            text = f"{parameter} names {unknown}, who are not in official train"
            yield "FAIL", f"{text}; its people are {sorted(subjects)}"
    folders = pc.unique(split.images["seq_name"]).to_pylist()
    strange = sorted(
        name
        for name in folders
        if folder_kind(name) == "gesture" and name not in expected.known_folders
    )
    if strange:
        text = f"gesture folders that the gesture map does not list: {some(strange)}"
        yield "FAIL", f"{text}; add a row for each (labels/README.md), with drop to leave it out"


def some(names: list[str], most: int = 4) -> str:
    """The first `most` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
