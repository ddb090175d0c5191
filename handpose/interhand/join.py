"""Annotations joined with their image, camera, frame and fit, a million at a time.

Clear cases are handled here, column by column: a usable hand, or two hands, which are left out or
become a row each. All others, malformed
or unusual, go one by one through `hand_annotation.py`, which knows every reason for a reject. A
clear case that takes that path costs time, but gives the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.annotation_table import (
    FIT_FAULTS,
    NO_FIT,
    BoolArray,
    Camera,
    ManoFit,
    map_words,
    of_words,
)
from handpose.interhand.annotations import (
    HANDS,
    Annotations,
    FrameJoints,
    Json,
    RecordError,
    annotation_file,
    parse_fit,
    read_cameras,
)
from handpose.interhand.data_columns import Columns, DataColumns, read_data
from handpose.interhand.folders import folder_hand
from handpose.interhand.frame_columns import (
    CAPTURES,
    FRAMES,
    FrameTable,
    IntArray,
    frame_key,
    read_fits,
    read_frame_joints,
)
from handpose.interhand.hand_annotation import (
    BOTH,
    HandAnnotation,
    Reject,
    hand_annotations,
    whole,
)
from handpose.interhand.hand_rows import ORIGIN, ROW, HandRows, joined, of_annotations

NO_IMAGE, NO_ID = np.iinfo(np.int64).max, np.iinfo(np.int64).min
"""Replace the image id of an odd annotation, and the id of an odd record: they never match."""


class JoinedSplit(NamedTuple):
    """Every annotation of one official split."""

    rows: HandRows  # usable so far
    two_hands: pa.Table  # as ORIGIN; annotations of both hands that are left out
    rejects: list[Reject]  # all others that are not used
    unused_images: int  # records of images that no annotation names


class Sources(NamedTuple):
    """The contents of a split's four files."""

    split: str
    data: DataColumns
    cameras: dict[int, Any]  # as in the file
    joints: FrameTable[FrameJoints]
    fits: FrameTable[ManoFit]


def read_split(root: Path, split: str, *, each_hand: bool = False) -> JoinedSplit:
    """The annotations of this split, joined; `each_hand` as in `join`.

    Raises:
        DatasetError: a file is not JSON (with line and column), or has another structure.
    """
    return join(
        Sources(
            split,
            read_data(annotation_file(root, split, "data")),
            read_cameras(root, split),
            read_frame_joints(annotation_file(root, split, "joint_3d")),
            read_fits(annotation_file(root, split, "MANO_NeuralAnnot")),
        ),
        each_hand=each_hand,
    )


def join(sources: Sources, *, each_hand: bool = False) -> JoinedSplit:
    """Every annotation as a row or as a reject; with `each_hand`, one of both hands as two rows."""
    images, hands = sources.data
    image_at = _image_index(images, hands)
    sound = (image_at >= 0) & (_numbers(hands, "id", NO_ID) >= 0) & _unique(hands)
    sound[sound] = _sound_images(images)[image_at[sound]]
    two_hands = sound & of_words(hands.table["hand_type"], lambda hand: hand == BOTH)
    one_hand = sound & of_words(hands.table["hand_type"], lambda hand: hand in HANDS)
    one_hand &= _numbers(hands, "hand_type_valid", 0) == 1

    table = _table(sources.data, one_hand, image_at)
    count, left_out = len(table), two_hands
    if each_hand:
        both = _table(sources.data, two_hands, image_at)
        table = pa.concat_tables([table, *(_of_side(both, side) for side in HANDS)])
        table, left_out = table.unify_dictionaries().combine_chunks(), np.zeros_like(two_hands)
    rows, usable = _rows(sources, table)
    one_hand[one_hand] = usable[:count]
    if each_hand:  # of both sides the same: the camera and the frame decide
        two_hands[two_hands] = usable[count:].reshape(2, -1)[0]
    found = _one_by_one(sources, np.flatnonzero(~(one_hand | two_hands)), each_hand)
    late = [item for item in found if isinstance(item, HandAnnotation)]
    if late:
        rows = joined(rows, of_annotations(sources.split, late))
    return JoinedSplit(
        rows,
        _table(sources.data, left_out, image_at).select(list(ORIGIN)),
        [item for item in found if isinstance(item, Reject)],
        _unused_images(images, hands),
    )


# --- clear cases ---------------------------------------------------------------------------------


def _numbers(columns: Columns, name: str, missing: int) -> IntArray:
    return np.asarray(columns.table[name].fill_null(missing).to_numpy())


def _image_index(images: Columns, hands: Columns) -> IntArray:
    """The index of each annotation's image (N,); -1 for none, several, or an unclear one."""
    ids, wanted = _numbers(images, "id", NO_ID), _numbers(hands, "image_id", NO_IMAGE)
    if not len(ids):
        return np.full(len(wanted), -1)
    if np.array_equal(ids, wanted) and (np.diff(ids) > 0).all():
        index = np.arange(len(ids))  # as in the public files: no need to search
    else:
        order = np.argsort(ids, kind="stable")
        first, end = (np.searchsorted(ids, wanted, side, order) for side in ("left", "right"))
        index = np.where(end - first == 1, order[first.clip(max=len(ids) - 1)], -1)
    # an odd image may yet have an ordinary id
    index[(wanted < 0) | np.isin(wanted, _ids(images.odd.values(), "id"))] = -1
    return index


def _unused_images(images: Columns, hands: Columns) -> int:
    ids, named = _numbers(images, "id", NO_ID), _numbers(hands, "image_id", NO_IMAGE)
    ids = np.concatenate([ids[ids != NO_ID], _ids(images.odd.values(), "id")])
    named = np.concatenate([named, _ids(hands.odd.values(), "image_id")])
    return int((~np.isin(ids, named)).sum())


def _ids(records: Iterable[Json], key: str) -> IntArray:
    """Every whole number that these records may mean: 7.0 finds 7, in a dictionary too."""
    numbers = []
    for record in records:
        with suppress(TypeError, ValueError, OverflowError):  # null, text, NaN, infinity
            numbers.append(int(record.get(key, "none")))
    return np.array([number for number in numbers if NO_ID < number < NO_IMAGE], np.int64)


def _unique(hands: Columns) -> BoolArray:
    """Whether no other annotation may have the same id (N,)."""
    ids = _numbers(hands, "id", NO_ID)
    if not hands.odd and (np.diff(ids) > 0).all():
        return np.ones(len(ids), np.bool_)
    _, index, times = np.unique(ids, return_inverse=True, return_counts=True)
    alone: BoolArray = times[index] == 1
    return alone & ~np.isin(ids, _ids(hands.odd.values(), "id"))


def _sound_images(images: Columns) -> BoolArray:
    """Whether each image has everything that is needed (N,)."""
    sound = np.ones(images.table.num_rows, np.bool_)
    for name, low, high in (
        ("width", 1, NO_IMAGE),
        ("height", 1, NO_IMAGE),
        ("capture", 0, CAPTURES),
        ("subject", 0, NO_IMAGE),
        ("frame_idx", 0, FRAMES),
    ):
        numbers = _numbers(images, name, NO_ID)
        sound &= (numbers >= low) & (numbers < high)
    for name in ("seq_name", "camera"):
        sound &= of_words(images.table[name], bool)
    named = pc.not_equal(images.table["file_name"], "").fill_null(False)
    sound &= named.to_numpy()
    return sound


def _table(data: DataColumns, chosen: BoolArray, image_at: IntArray) -> pa.Table:
    """The chosen annotations (N,) as ROW, without the indices."""
    hands = data.hands.table.filter(pa.array(chosen))
    images = data.images.table.take(pa.array(image_at[chosen]))
    named = {name: images[name] for name in images.column_names} | {
        "annotation_id": hands["id"],
        "frame": images["frame_idx"],
        "hand_type": hands["hand_type"],
        "visible": hands["joint_valid"],
        "box": hands["bbox"],
        "interacting": pa.repeat(pa.scalar(False), len(hands)),
    }
    return pa.table({name: named[name] for name in ROW.names if not name.endswith("_at")})


def _rows(sources: Sources, table: pa.Table) -> tuple[HandRows, BoolArray]:
    """The annotations that are usable, and a mask of them (N,)."""
    capture, frame = table["capture"].to_numpy(), table["frame"].to_numpy()
    is_left = of_words(table["hand_type"], lambda hand: hand == HANDS[1])
    keys = frame_key(capture, frame, is_left)
    cameras, camera_at = _cameras(sources, capture, table["camera"])
    frame_at = sources.joints.find(frame_key(capture, frame, 0))
    fit_at = _fit_at(sources.fits, keys)
    expected = of_words(table["seq_name"], lambda name: folder_hand(name) or "")
    hand = of_words(table["hand_type"], str)
    usable = (camera_at >= 0) & (frame_at >= 0)
    usable &= (expected == "") | (expected == hand) | table["interacting"].to_numpy()
    for name, index in (("camera_at", camera_at), ("frame_at", frame_at), ("fit_at", fit_at)):
        table = table.append_column(name, pa.array(index, pa.int64()))
    fits = zip(sources.fits.columns, NO_FIT, strict=True)
    rows = HandRows(
        sources.split,
        table.filter(pa.array(usable)).cast(ROW),
        cameras,
        sources.joints.columns,
        ManoFit(*(np.concatenate([part, none[None]]) for part, none in fits)),
    )
    return rows, usable


def _of_side(table: pa.Table, side: str) -> pa.Table:
    """One hand of each annotation of both."""
    named = map_words(table["hand_type"], lambda _: side)
    for name, column in (
        ("hand_type", named),
        ("interacting", pa.repeat(pa.scalar(True), len(table))),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _fit_at(fits: FrameTable[ManoFit], keys: IntArray) -> IntArray:
    """The index of each key's fit (N,); -1 for none, FIT_FAULTS for one that cannot be read."""
    index = fits.find(keys)
    faulty: dict[int, list[int]] = {code: [] for code in FIT_FAULTS.values()}
    for (capture, frame, hand), content in fits.odd.items():
        if 0 <= capture < CAPTURES and 0 <= frame < FRAMES:
            try:
                parse_fit(content, capture, frame, HANDS[hand])
            except RecordError as error:
                faulty[FIT_FAULTS[error.reason]].append(frame_key(capture, frame, hand))
    for code, of in faulty.items():
        if of:
            index[np.isin(keys, of)] = code
    return index


def _cameras(
    sources: Sources, capture: IntArray, names: pa.ChunkedArray
) -> tuple[Camera, IntArray]:
    """The cameras of these captures and names, and the index of each row's (N,); -1 for none."""
    column = names.combine_chunks()
    texts = column.dictionary.to_pylist()
    pairs, pair_at = np.unique(
        capture * max(len(texts), 1) + np.asarray(column.indices), return_inverse=True
    )
    known = _annotations(sources, [], [])
    cameras, index = [Camera(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3))], []
    for pair in pairs.tolist():
        try:
            cameras.append(known.camera(pair // len(texts), texts[pair % len(texts)]))
            index.append(len(cameras) - 1)
        except RecordError:
            index.append(-1)
    stacked = Camera(*map(np.stack, zip(*cameras, strict=True)))
    return stacked, np.array(index, np.int64)[pair_at]


# --- one by one ----------------------------------------------------------------------------------


def _one_by_one(
    sources: Sources, chosen: IntArray, each_hand: bool
) -> list[HandAnnotation | Reject]:
    """The chosen annotations, by number, as `hand_annotations` reads them."""
    hands = _records(sources.data.hands, chosen)
    wanted = _ids(hands, "image_id")
    ids = _numbers(sources.data.images, "id", NO_ID)
    asked = np.isin(ids, wanted)
    asked[list(sources.data.images.odd)] = True
    images = _records(sources.data.images, np.flatnonzero(asked))
    return list(hand_annotations(_annotations(sources, images, hands), each_hand=each_hand))


def _records(columns: Columns, chosen: IntArray) -> list[Json]:
    """The chosen records as in the file."""
    plain = columns.table.take(pa.array(chosen)).to_pylist()
    return [
        columns.odd.get(number, record)
        for number, record in zip(chosen.tolist(), plain, strict=True)
    ]


def _annotations(sources: Sources, images: list[Json], hands: list[Json]) -> Annotations:
    """These annotations and images as if the files held no others."""
    joints: dict[int, dict[int, Any]] = {}
    fits: dict[int, dict[int, Any]] = {}
    for image in images:
        capture, frame = whole(image.get("capture")), whole(image.get("frame_idx"))
        joints.setdefault(capture, {})[frame] = sources.joints.get((capture, frame, 0))
        fits.setdefault(capture, {})[frame] = {
            name: sources.fits.get((capture, frame, hand)) for hand, name in enumerate(HANDS)
        }
    data = {"images": images, "annotations": hands}
    return Annotations(sources.split, data, cameras=sources.cameras, joints=joints, fits=fits)
