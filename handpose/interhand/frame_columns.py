"""A split's `joint_3d` and `MANO_NeuralAnnot` files as arrays: 70,000 frames in 200 MB.

As in `data_columns.py`, a record that does not fit its struct is parsed by `json` and then by
`annotations.py`; one that `annotations.py` rejects is kept as parsed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder
from numpy.typing import NDArray

from handpose.data.annotation_table import ManoFit
from handpose.interhand.annotations import (
    FLAGS,
    HANDS,
    FrameJoints,
    RecordError,
    by_capture_and_frame,
    in_our_order,
    load_frames,
    parse_fit,
    parse_frame_joints,
)
from handpose.interhand.raw_json import RawJson, read_flags

IntArray = NDArray[np.int64]
T = TypeVar("T", FrameJoints, ManoFit)
S = TypeVar("S")
Key = tuple[int, int, int]  # capture, frame, index of the hand in HANDS; 0 for joints

CAPTURES, FRAMES = 1 << 30, 1 << 32
"""Captures and frames with these numbers or higher are not put into arrays."""

Point = tuple[float, float, float]


class JointsRecord(Struct, gc=False):
    """A frame of the `joint_3d` file."""

    world_coord: Annotated[list[Point], Meta(min_length=FLAGS, max_length=FLAGS)]
    joint_valid: Raw


class FitRecord(Struct, gc=False):
    """The fit of one hand."""

    pose: Annotated[list[float], Meta(min_length=48, max_length=48)]
    shape: Annotated[list[float], Meta(min_length=10, max_length=10)]
    trans: Point


class FitsRecord(TypedDict, total=False):
    """A frame of the `MANO_NeuralAnnot` file, by hand."""

    right: FitRecord | None
    left: FitRecord | None


class FrameTable(Generic[T]):
    """JointsRecord or fits of many frames, as one whose arrays have a further first axis."""

    def __init__(self, columns: T, keys: IntArray, odd: Mapping[Key, Any]) -> None:
        """`keys` (N,) are those of `frame_key`; `odd` are the rejected records, as parsed."""
        self.columns: T = columns
        self.odd = odd
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, keys: IntArray) -> IntArray:
        """Index of each key (N,) in `columns`; -1 where it has none."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        near = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[near] == keys, self._order[near], -1)

    def get(self, key: Key) -> Any:
        """The joints or fit with this key, or the rejected record in its place; None if neither."""
        if key in self.odd:
            return self.odd[key]
        capture, frame, hand = key
        if capture >= CAPTURES or frame >= FRAMES:
            return None
        index = int(self.find(np.array([frame_key(capture, frame, hand)]))[0])
        return None if index < 0 else type(self.columns)(*(part[index] for part in self.columns))


def frame_key(capture: Any, frame: Any, hand: Any) -> Any:
    """The three numbers of a `Key` packed into one; ints or arrays of ints."""
    return (capture * FRAMES + frame) * len(HANDS) + hand


def read_frame_joints(path: Path) -> FrameTable[FrameJoints]:
    """The `joint_3d` file of a split.

    Raises:
        DatasetError: as `annotations.load_frames`.
    """
    found: dict[Key, FrameJoints] = {}
    odd: dict[Key, Any] = {}
    for capture, frame, record in _frames(path):
        try:
            found[capture, frame, 0] = _frame_joints(record, capture, frame)
        except RecordError:
            odd[capture, frame, 0] = _parsed(record)
    return _table(found, odd, FrameJoints(np.zeros((2, 21, 3)), np.zeros((2, 21), np.bool_)))


def read_fits(path: Path) -> FrameTable[ManoFit]:
    """The `MANO_NeuralAnnot` file of a split.

    Raises:
        DatasetError: as `annotations.load_frames`.
    """
    found: dict[Key, ManoFit] = {}
    odd: dict[Key, Any] = {}
    for capture, frame, record in _frames(path):
        hands: Any = _decode(record, FITS)
        if hands is None:
            hands = _parsed(record)
        for hand, name in enumerate(HANDS):
            content = hands.get(name) if isinstance(hands, dict) else None
            try:
                fit = _fit(content, capture, frame, name)
                if fit is not None:
                    found[capture, frame, hand] = fit
            except RecordError:
                odd[capture, frame, hand] = content
    return _table(found, odd, ManoFit(*(np.zeros(size) for size in (3, 45, 10, 3))))


def _table(found: dict[Key, T], odd: dict[Key, Any], blank: T) -> FrameTable[T]:
    """Everything found, stacked into arrays; `blank` is one item, for the shapes."""
    for key in [key for key in found if not (0 <= key[0] < CAPTURES and 0 <= key[1] < FRAMES)]:
        odd[key] = found.pop(key)
    columns = _columns(list(found.values()), blank)
    keys = np.array(list(found), np.int64).reshape(-1, 3)
    return FrameTable(type(blank)(*columns), frame_key(*keys.T), odd)


def _columns(items: Sequence[tuple[Any, ...]], blank: tuple[Any, ...]) -> Iterator[NDArray[Any]]:
    """Field by field, the items' arrays stacked; `blank` gives the shapes where there is none."""
    for i, part in enumerate(blank):
        yield np.stack([*(item[i] for item in items), part])[:-1]


# --- one record ----------------------------------------------------------------------------------

JOINTS, FITS = Decoder(JointsRecord), Decoder(FitsRecord)


def _frames(path: Path) -> Iterator[tuple[int, int, Any]]:
    """Capture, frame number and record: `Raw`, or parsed if only `json` can read the file."""
    raw = RawJson.read(path, dict[str, dict[str, Raw]])
    captures = load_frames(path) if raw is None else by_capture_and_frame(path, raw.content)
    for capture, frames in captures.items():
        for frame, record in frames.items():
            yield capture, frame, record


def _parsed(record: Any) -> Any:
    return json.loads(bytes(record)) if isinstance(record, Raw) else record


def _decode(record: Any, decoder: Decoder[S]) -> S | None:
    """The record as its struct, all numbers finite; None if it does not fit."""
    try:
        return decoder.decode(record) if isinstance(record, Raw) else None
    except msgspec.ValidationError:
        return None


def _frame_joints(record: Any, capture: int, frame: int) -> FrameJoints:
    decoded = _decode(record, JOINTS)
    flags = None if decoded is None else read_flags(bytes(decoded.joint_valid))
    if decoded is None or flags is None:
        return parse_frame_joints(_parsed(record), capture, frame)
    numbers = chain.from_iterable(decoded.world_coord)
    world = np.fromiter(numbers, np.float64, 3 * FLAGS).reshape(FLAGS, 3)
    return in_our_order(world, np.frombuffer(flags, np.bool_))


def _fit(content: Any, capture: int, frame: int, hand: str) -> ManoFit | None:
    if not isinstance(content, FitRecord):
        return parse_fit(content, capture, frame, hand)
    pose, betas, transl = map(np.array, (content.pose, content.shape, content.trans))
    return ManoFit(pose[:3], pose[3:], betas, transl)
