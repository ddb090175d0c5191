"""A split's `joint_3d` and `MANO_NeuralAnnot` files as arrays: 70,000 moments in 200 MB.

As in `data_columns.py`, frames that are as they should be are read by pyarrow, many at a time; if
one of these is not, all of them one by one by `interhand.py`, and those it refuses are kept as they
stand in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from handpose.interhand.annotations import (
    FLAGS,
    HANDS,
    FloatArray,
    FrameJoints,
    ManoFit,
    RecordError,
    in_our_order,
    load_frames,
    parse_fit,
    parse_frame_joints,
)
from handpose.interhand.json_windows import Frame, NotCut, frames, table

IntArray = NDArray[np.int64]
T = TypeVar("T", FrameJoints, ManoFit)
Key = tuple[int, int, int]  # capture, frame, place of the hand in HANDS; 0 for an instant

FRAMES_AT_A_TIME = 2000

CAPTURES, FRAMES = 1 << 30, 1 << 32
"""Numbers from here on are not kept in columns."""

NUMBERS = pa.list_(pa.float64())
FLAG_TYPES = (
    *(pa.list_(pa.list_(kind)) for kind in (pa.bool_(), pa.int64())),
    *(pa.list_(kind) for kind in (pa.bool_(), pa.int64())),
)
"""As [[true], ...] or [[1], ...] in the public files; bare flags are understood too."""

PARTS = {"pose": 48, "shape": 10, "trans": 3}
FITS = pa.schema({hand: pa.struct(dict.fromkeys(PARTS, NUMBERS)) for hand in HANDS})


class FrameTable(Generic[T]):
    """Instants or fits of many moments, as one whose arrays have a further first axis."""

    def __init__(self, columns: T, keys: IntArray, odd: Mapping[Key, Any]) -> None:
        """`keys` (N,) are those `code` gives; `odd` is what could not be read, as it stands."""
        self.columns: T = columns
        self.odd = odd
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, keys: IntArray) -> IntArray:
        """Place of each key (N,) in `columns`; -1 where it has none."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        near = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[near] == keys, self._order[near], -1)

    def get(self, key: Key) -> Any:
        """One of them, or what stands in the file for it; None if nothing."""
        if key in self.odd:
            return self.odd[key]
        capture, frame, hand = key
        if capture >= CAPTURES or frame >= FRAMES:
            return None
        place = int(self.find(np.array([code(capture, frame, hand)]))[0])
        return None if place < 0 else type(self.columns)(*(part[place] for part in self.columns))


def code(capture: Any, frame: Any, hand: Any) -> Any:
    """One whole number for a key's three, of ints or of arrays alike."""
    return (capture * FRAMES + frame) * len(HANDS) + hand


def read_frame_joints(path: Path) -> FrameTable[FrameJoints]:
    """The `joint_3d` file of a split.

    Raises:
        DatasetError: as `interhand.load_frames`.
    """
    try:
        parts = [_instants(some) for some in _batches(path)]
    except NotCut:
        parts = [_instants_one_by_one(_of_content(path))]
    return _joined(parts, FrameJoints(np.zeros((0, 2, 21, 3)), np.zeros((0, 2, 21), np.bool_)))


def read_fits(path: Path) -> FrameTable[ManoFit]:
    """The `MANO_NeuralAnnot` file of a split.

    Raises:
        DatasetError: as `interhand.load_frames`.
    """
    try:
        parts = [_fits(some) for some in _batches(path)]
    except NotCut:
        parts = [_fits_one_by_one(_of_content(path))]
    return _joined(parts, ManoFit(*(np.zeros((0, size)) for size in (3, 45, 10, 3))))


def _batches(path: Path) -> Iterator[list[Frame]]:
    every = frames(path.read_bytes())
    while some := list(islice(every, FRAMES_AT_A_TIME)):
        yield some


class ColumnPart(NamedTuple):
    """Some moments on their way into `FrameTable`."""

    columns: list[Any]  # `FrameJoints`s or `ManoFit`s of arrays, one for each run of moments
    keys: list[IntArray]
    odd: dict[Key, Any]


def _joined(parts: list[ColumnPart], none: T) -> FrameTable[T]:
    columns: list[Any] = [none, *(run for part in parts for run in part.columns)]
    keys = [np.zeros(0, np.int64), *(run for part in parts for run in part.keys)]
    whole = type(none)(*(np.concatenate(part) for part in zip(*columns, strict=True)))
    odd = {key: raw for part in parts for key, raw in part.odd.items()}
    return FrameTable(whole, np.concatenate(keys), odd)


# --- many at a time ------------------------------------------------------------------------------


def _instants(some: list[Frame]) -> ColumnPart:
    for kind in FLAG_TYPES:
        schema = pa.schema({"world_coord": pa.list_(NUMBERS), "joint_valid": kind})
        found = _table(some, schema)
        if found is not None:
            world = _uniform(found["world_coord"], FLAGS, 3)
            nested = [1] if pa.types.is_list(kind.value_type) else []
            flags = _uniform(found["joint_valid"], FLAGS, *nested)
            if world is not None and flags is not None:
                joints = in_our_order(world, flags.reshape(-1, FLAGS) == 1)
                return ColumnPart([joints], [_keys(some)], {})
    return _instants_one_by_one(_parsed(some))


def _fits(some: list[Frame]) -> ColumnPart:
    found = _table(some, FITS)
    part = ColumnPart([], [], {})
    for hand, name in enumerate(HANDS):
        there = None if found is None else pc.is_valid(found[name])
        if found is None or there is None:
            return _fits_one_by_one(_parsed(some))
        fits = found[name].filter(there)
        arrays = [_uniform(pc.struct_field(fits, key), size) for key, size in PARTS.items()]
        if any(array is None or not np.isfinite(array).all() for array in arrays):
            return _fits_one_by_one(_parsed(some))
        pose, betas, transl = (array for array in arrays if array is not None)
        part.columns.append(ManoFit(pose[:, :3], pose[:, 3:], betas, transl))
        part.keys.append(_keys(some, hand)[there.to_numpy()])
    return part


def _table(some: list[Frame], schema: pa.Schema) -> pa.Table | None:
    if any(frame.text == b"null" for frame in some):
        return None
    one_line = (frame.text.replace(b"\n", b" ") for frame in some)
    return table(b"\n".join(one_line), schema)


def _uniform(column: pa.ChunkedArray, *lengths: int) -> FloatArray | None:
    """Lists of these lengths as one array (N, *lengths); None if one has another or a null."""
    values = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    for length in lengths:
        if values.null_count or not pc.all(pc.equal(pc.list_value_length(values), length)).as_py():
            return None
        values = values.flatten()
    if values.null_count:
        return None
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), *lengths)


def _keys(some: list[Frame], hand: int = 0) -> IntArray:
    if any(frame.capture >= CAPTURES or frame.frame >= FRAMES for frame in some):
        raise NotCut
    return np.array([code(frame.capture, frame.frame, hand) for frame in some], np.int64)


# --- one by one ----------------------------------------------------------------------------------

Parsed = Iterable[tuple[int, int, Any]]


def _parsed(some: list[Frame]) -> Parsed:
    try:
        return [(frame.capture, frame.frame, json.loads(frame.text)) for frame in some]
    except ValueError:  # the whole file is read again, to tell the place
        raise NotCut from None


def _of_content(path: Path) -> Parsed:
    content = load_frames(path)
    return ((c, f, raw) for c, frames_ in content.items() for f, raw in frames_.items())


def _instants_one_by_one(parsed: Parsed) -> ColumnPart:
    part = ColumnPart([], [], {})
    for capture, frame, raw in parsed:
        try:
            _add(part, (capture, frame, 0), raw, parse_frame_joints(raw, capture, frame))
        except RecordError:
            part.odd[capture, frame, 0] = raw
    return part


def _fits_one_by_one(parsed: Parsed) -> ColumnPart:
    part = ColumnPart([], [], {})
    for capture, frame, raw in parsed:
        for hand, name in enumerate(HANDS):
            one = raw.get(name) if isinstance(raw, dict) else None
            try:
                fit = parse_fit(one, capture, frame, name)
                if fit is not None:
                    _add(part, (capture, frame, hand), one, fit)
            except RecordError:
                part.odd[capture, frame, hand] = one
    return part


def _add(part: ColumnPart, key: Key, raw: Any, read: FrameJoints | ManoFit) -> None:
    capture, frame, _ = key
    if 0 <= capture < CAPTURES and 0 <= frame < FRAMES:
        part.columns.append(tuple(array[None] for array in read))
        part.keys.append(np.array([code(*key)], np.int64))
    else:
        part.odd[key] = raw
