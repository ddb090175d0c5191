"""The photos that are judged, with what is known of the hand in each.

Whole sequences are taken, in an order that depends on their names alone: the first hundred photos
are among the first thousand, and a rendering of the same plan has the same ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.realism.crop import BOXED
from handpose.data.annotation_table import AnnotationTable, of_words
from handpose.data.photo import Photo
from handpose.errors import HandPoseError
from handpose.hand.camera import project, world_to_camera
from handpose.hand.facing import FACINGS, facing
from handpose.interhand.annotations import official_splits
from handpose.interhand.reader import SPLITS, InterHandReader

Array = NDArray[np.floating[Any]]
Key = TypeVar("Key", bound=Hashable)

MOST_OF_A_SEQUENCE = 12
"""Photos judged of one sequence, evenly spread; real ones have thousands."""

FREE_MOTION = "free motion"


class FramesError(HandPoseError):
    """There is no photo to judge."""


class Wanted(NamedTuple):
    """Which photos."""

    split: str  # train, val or test
    people: frozenset[int] | None  # None: everybody
    about: int  # so many
    free: bool  # free motion too, not only gestures

    @property
    def whom(self) -> str:
        """For messages and the record."""
        if self.people is None:
            return f"of everybody in {self.split}"
        return f"of people {', '.join(map(str, sorted(self.people)))} in {self.split}"


class Frame(NamedTuple):
    """A photo of one hand."""

    photo: Photo
    image: str  # path below the data set
    subject: int
    gesture: str
    facing: str  # palm, back or edge
    is_left: bool
    uv: Array  # (21, 2) px
    joints: Array  # (21, 3) m, camera
    valid: NDArray[np.bool_]  # (21,) annotated and inside the photo

    @property
    def box_px(self) -> float:
        """Longer side of the box of all joints inside the photo."""
        return float(np.ptp(self.uv[self.valid], axis=0).max())


def read_frames(root: Path, wanted: Wanted) -> tuple[list[Frame], int]:
    """The photos of a data set in InterHand2.6M's layout, and how many others lack a joint.

    Those joints are the ones that the crop follows: without them there is none.

    Raises:
        DatasetError: the folder is missing, or is not in that layout.
        FramesError: there is no such folder, or nobody of those people in it.
    """
    if not root.is_dir():
        raise FramesError(
            f"{root}: no such folder; --data names one in InterHand2.6M's layout, `dvc repro "
            "synthesize` makes data/synthetic, and --render renders frames without it"
        )
    splits = official_splits(root)
    if wanted.split not in splits:
        raise FramesError(f"{root} has no split {wanted.split}; it has {', '.join(splits)}")
    return frames_of(root, wanted)


def frames_of(root: Path, wanted: Wanted) -> tuple[list[Frame], int]:
    """As `read_frames`, also of a data set without a train split."""
    table = InterHandReader(root).read(SPLITS[wanted.split]).usable.in_order()
    subjects = table.table["subject"].to_numpy()
    asked = table.is_kind("gesture") | (table.is_kind("rom") & wanted.free)
    if wanted.people is not None:
        asked &= np.isin(subjects, list(wanted.people))
    if not asked.any():
        there = ", ".join(map(str, np.unique(subjects))) or "nobody"
        raise FramesError(
            f"{root} has no {'' if wanted.free else 'gesture '}photos of one hand {wanted.whom}; "
            f"there are people {there}. --people and --split choose others"
            + ("" if wanted.free else ", --free takes free motion too")
        )
    frames, lacking = _frames(root, table.take(_spread(table, np.flatnonzero(asked), wanted.about)))
    if not frames:
        raise FramesError(
            f"{root}: each of {lacking} photos {wanted.whom} lacks joints of the palm"
        )
    return frames, lacking


def chosen(sizes: Mapping[Key, int], count: int) -> set[Key]:
    """Sequences of these sizes that have about `count` photos together, by name alone.

    A key's text must name capture and sequence.
    """
    keys = sorted(sizes, key=lambda key: (zlib.crc32(str(key).encode()), str(key)))
    found, total = set(), 0
    for key in keys:
        if total >= count:
            break
        found.add(key)
        total += min(sizes[key], MOST_OF_A_SEQUENCE)
    return found


def _spread(table: AnnotationTable, rows: NDArray[np.intp], count: int) -> list[int]:
    """The rows of the chosen sequences, of each evenly spread ones."""
    sessions = table.table["session"].to_numpy()
    names = of_words(table.table["sequence"], str)
    members: dict[tuple[int, str], list[int]] = {}
    for row in rows.tolist():
        members.setdefault((int(sessions[row]), str(names[row])), []).append(row)
    keys = chosen({key: len(own) for key, own in members.items()}, count)
    return [row for key, own in members.items() if key in keys for row in evenly(own)]


def evenly(rows: list[int]) -> Iterable[int]:
    """At most `MOST_OF_A_SEQUENCE` of these, spread evenly."""
    least = min(len(rows), MOST_OF_A_SEQUENCE)
    return (rows[k * len(rows) // least] for k in range(least))


def _frames(root: Path, table: AnnotationTable) -> tuple[list[Frame], int]:
    hands = table.hands()
    joints = world_to_camera(hands.joints, hands.camera.R, hands.camera.C)  # (N, 21, 3)
    known = hands.joint_valid & np.isfinite(joints).all(-1) & (joints[..., 2] > 0)
    uv = project(np.where(known[..., None], joints, [0.0, 0.0, 1.0]), hands.camera.K)  # (N, 21, 2)
    faces = facing(*map(torch.from_numpy, (joints, known, hands.is_left)))
    subjects = table.table["subject"].to_numpy()
    images, names = (table.plain(name).to_pylist() for name in ("image", "sequence"))
    is_gesture = table.is_kind("gesture")
    valid = known & hands.visible
    whole = known[:, BOXED].all(1) & (valid.sum(1) >= 3)
    frames = [
        Frame(
            Photo(root / images[i], *map(int, hands.size[i])),
            images[i],
            int(subjects[i]),
            names[i].partition("_")[2] if is_gesture[i] else FREE_MOTION,
            FACINGS[int(faces[i])],
            bool(hands.is_left[i]),
            uv[i],
            joints[i],
            valid[i],
        )
        for i in np.flatnonzero(whole).tolist()
    ]
    return frames, int((~whole).sum())
