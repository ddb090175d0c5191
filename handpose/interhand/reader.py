"""The `data/reader.py` interface for InterHand2.6M: official splits in the neutral form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.annotation_table import (
    INTERACTING,
    REJECT,
    AnnotationTable,
    HandJoints,
    as_bytes,
    bytes_of,
    map_words,
    of_words,
)
from handpose.data.annotation_table import ROW as NEUTRAL_ROW
from handpose.data.reader import SourceSplit, SplitAnnotations
from handpose.hand.skeleton import FROM_INTERHAND
from handpose.interhand.annotations import FILES, HANDS, annotation_file, official_splits
from handpose.interhand.folders import folder_kind
from handpose.interhand.hand_annotation import UNKNOWN, Reject
from handpose.interhand.hand_rows import HandRows
from handpose.interhand.join import JoinedSplit, read_split

SPLITS = {
    "train": SourceSplit("train", "official train"),
    "val": SourceSplit("val", "official val", evaluated_as="official_val"),
    "test": SourceSplit("test", "official test", evaluated_as="official_test"),
}
"""Official train alone has gesture folders; val and test show free motion and stay whole."""

NEUTRAL = {
    "annotation_id": "annotation_id",
    "capture": "session",
    "subject": "subject",
    "seq_name": "sequence",
    "camera": "camera",
    "frame": "frame",
    "file_name": "image",
    "hand_type": "hand",
}
"""InterHand2.6M's names of an annotation's origin -> ours."""


class InterHandReader:
    """Reads a folder with images/ and annotations/ in InterHand2.6M v1.0's layout."""

    def __init__(self, root: Path, *, each_hand: bool = False) -> None:
        """Nothing is read yet; with `each_hand`, annotations of both hands are two rows."""
        self._root, self._each_hand = root, each_hand

    def files(self) -> Sequence[Path]:
        """The four files of each split.

        Raises:
            DatasetError: see `splits`.
        """
        splits = official_splits(self._root)
        return [annotation_file(self._root, split, name) for split in splits for name in FILES]

    def splits(self) -> Sequence[SourceSplit]:
        """Official train, and val and test if present.

        Raises:
            DatasetError: the root, train, or one of the four files of a split is missing.
        """
        return [SPLITS[name] for name in official_splits(self._root)]

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of an official split.

        Raises:
            DatasetError: a file is not JSON (with line and column), or has another structure.
        """
        return neutral(read_split(self._root, split.name, each_hand=self._each_hand))

    def no_fits(self, split: SourceSplit) -> str:
        """The file that lacks the fits, and how to find out why."""
        file = annotation_file(self._root, split.name, "MANO_NeuralAnnot")
        return (
            f"{file} has none for them. Is it the file of this split and version? "
            "`handpose data verify` checks it. Gestures (stage pretrain) need no fit, the pose of "
            "InterHand2.6M (stage pose) does"
        )


def neutral(found: JoinedSplit) -> SplitAnnotations:
    """Every annotation of an official split in the neutral form."""
    name = found.rows.official_split
    rejected = [_two_hands(name, found.two_hands), _rejected(name, found.rejects)]
    return SplitAnnotations(annotation_table(found.rows), pa.concat_tables(rejected))


def annotation_table(rows: HandRows) -> AnnotationTable:
    """The rows in the neutral form, with the 21 joints of the annotated hand in our order."""
    is_left = of_words(rows.table["hand_type"], lambda hand: hand == HANDS[1]).astype(int)  # (N,)
    flags = bytes_of(rows.table["visible"].combine_chunks()).reshape(-1, 2, 21)
    visible = flags[np.arange(len(flags)), is_left][:, FROM_INTERHAND]  # (N, 21)
    columns = _origin_columns(rows.official_split, rows.table) | {
        "width": rows.table["width"],
        "height": rows.table["height"],
        "visible": as_bytes(visible),
        "box": rows.table["box"],
        "camera_at": rows.table["camera_at"],
        "joints_at": pa.array(2 * rows.table["frame_at"].to_numpy() + is_left),
        "fit_at": rows.table["fit_at"],
    }
    both = rows.table["interacting"].to_numpy()
    if both.any():
        kinds = columns["kind"].cast(pa.string())
        columns["kind"] = pc.if_else(rows.table["interacting"], INTERACTING, kinds)
        columns["kind"] = columns["kind"].dictionary_encode()
    other_at = 2 * rows.table["frame_at"].to_numpy() + 1 - is_left
    columns["other_at"] = pa.array(np.where(both, other_at, -1))
    return AnnotationTable(
        rows.official_split,
        pa.table({name: columns[name] for name in NEUTRAL_ROW.names}).cast(NEUTRAL_ROW),
        rows.cameras,
        HandJoints(
            rows.frame_joints.joints.reshape(-1, 21, 3),
            rows.frame_joints.joint_valid.reshape(-1, 21),
        ),
        rows.fits,
    )


def _origin_columns(split: str, table: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    """The origin of rows under the neutral names; `image` is a path below data.root."""
    columns = {ours: table[theirs] for theirs, ours in NEUTRAL.items()}
    folder = pa.scalar(f"images/{split}")
    columns["image"] = pc.binary_join_element_wise(folder, columns["image"], "/")
    columns["kind"] = map_words(table["seq_name"], folder_kind)
    return columns


def _two_hands(split: str, table: pa.Table) -> pa.Table:
    """Rejects of annotations of two hands, which are half of the data set."""
    columns = _origin_columns(split, table)
    constant = {"source_split": split, "reason": "two_hands", "detail": ""}
    columns |= {name: pa.repeat(pa.scalar(text), len(table)) for name, text in constant.items()}
    return pa.table({name: columns[name] for name in REJECT.names}).cast(REJECT)


def _rejected(split: str, rejects: Sequence[Reject]) -> pa.Table:
    """All other rejects; a value that an annotation lacks is null."""
    rows = []
    for origin, reason, detail in rejects:
        row = {ours: getattr(origin, theirs) for theirs, ours in NEUTRAL.items()}
        row = {name: None if value in (UNKNOWN, "") else value for name, value in row.items()}
        row["image"] = row["image"] and f"images/{split}/{row['image']}"
        row["kind"] = row["sequence"] and folder_kind(origin.seq_name)
        rows.append(row | {"source_split": split, "reason": reason, "detail": detail})
    return pa.Table.from_pylist(rows, REJECT)
