"""Annotations of single hands as columns, the same for every data set.

Units are metres and pixels; joints are in the order of `hand/skeleton.py`, in the world of their
camera (of a data set in camera coordinates: R is the identity, C is 0). Cameras, joints and fits
are stored once and referred to by index: many cameras photograph one hand. A million annotations
take a few hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Kind = Literal["gesture", "rom", "two_hands", "interacting"]
"""A gesture of one hand that the gesture map lists, free motion (range of motion), one hand of a
folder for two, or one of two hands that are both annotated in the photo, whatever its folder."""

INTERACTING: Kind = "interacting"

JOINTS = 21


class Camera(NamedTuple):
    """One camera."""

    K: FloatArray  # (3, 3) px
    R: FloatArray  # (3, 3) world to camera
    C: FloatArray  # (3,) m, its centre in the world


class HandJoints(NamedTuple):
    """The joints of one hand in one frame, in the world."""

    joints: FloatArray  # (21, 3) m
    joint_valid: BoolArray  # (21,) known; whether a camera sees a joint is `visible`


class ManoFit(NamedTuple):
    """MANO parameters of one hand in one frame, in the world and in that hand's own frame."""

    global_orient: FloatArray  # (3,) axis-angle
    hand_pose: FloatArray  # (45,) axis-angle relative to hands_mean
    betas: FloatArray  # (10,)
    transl: FloatArray  # (3,) m


class FitForm(NamedTuple):
    """How a data set writes its fits where it does not write them as `ManoFit` says.

    `data/merged/fit_form.py` turns them into that form, which takes the hand model.
    """

    pose: Literal["relative", "flat", "pca"] = "relative"
    """`hand_pose` relative to hands_mean, or not, or as 45 coefficients of hands_components."""
    placed: Literal["origin", "middle_mcp"] = "origin"
    """`transl` is added to MANO's output, or is where the middle MCP lies."""
    tips: str | None = None
    """Whose fingertips the annotated joints have, a key of `TIP_VERTICES`; None: the main data
    set's."""
    root_in_doubt: bool = False
    """Whether `global_orient` is of the camera is disputed: the joints decide."""


AS_MANO_FIT = FitForm()

NO_FIT = ManoFit(np.zeros(3), np.zeros(45), np.zeros(10), np.zeros(3))

FIT_FAULTS = {
    "nan_in_mano": -2,
    "malformed_mano": -3,
    "fit_off_joints": -4,
    "fit_excluded": -5,  # by `labels/exclusions.csv`
}
"""Why a fit that is there is not used -> what stands for its index; -1: there is none."""

NO_BOX = np.full(4, np.nan)
BOX_BYTES = NO_BOX.nbytes

WORD = pa.dictionary(pa.int32(), pa.string())
"""Texts with few distinct values."""

ORIGIN = {
    "annotation_id": pa.int64(),  # unique in its source split, with `hand` if interacting
    "session": pa.int64(),  # recording session: frame numbers and cameras are of one session
    "subject": pa.int64(),
    "sequence": WORD,  # of kind gesture: the gesture folder, as in the gesture map
    "camera": WORD,
    "frame": pa.int64(),  # in the order of time
    "image": pa.string(),  # path below data.root
    "hand": WORD,  # right or left; of rejects any text, as annotated
    "kind": WORD,  # see `Kind`
}
"""Columns with the origin of an annotation, except the source split, the same for all rows."""

ROW = pa.schema(
    ORIGIN
    | {"width": pa.int64(), "height": pa.int64()}  # px of the photo
    | {"visible": pa.binary(JOINTS)}  # 21 bytes 0 or 1: annotated in this photo
    | {"box": pa.binary(BOX_BYTES)}  # 4 float64 x, y, w, h px as annotated; NO_BOX for none
    | dict.fromkeys(("camera_at", "joints_at", "fit_at"), pa.int64())  # fit_at < 0: no fit
    | {"other_at": pa.int64()}  # joints of the other annotated hand of the photo; -1: there is none
)

_plain = {name: pa.string() if kind == WORD else kind for name, kind in ORIGIN.items()}
REJECT = pa.schema(
    {"annotation_id": pa.int64(), "source_split": pa.string()}
    | _plain
    | {"reason": pa.string(), "detail": pa.string()}
)
"""Columns of an annotation that is not used; null for a value that it lacks."""


class Unusable(NamedTuple):
    """Why an annotation cannot be used."""

    row: int
    reason: str  # one word, for tables
    detail: str


class HandsInWorld(NamedTuple):
    """N hands in the world, with their cameras; camera and fit have a first axis of N."""

    camera: Camera
    joints: FloatArray  # (N, 21, 3) m
    joint_valid: BoolArray  # (N, 21) known
    visible: BoolArray  # (N, 21) annotated in the photo
    size: NDArray[np.int64]  # (N, 2) width and height of the photo, px
    is_left: BoolArray  # (N,)
    has_mano: BoolArray  # (N,)
    fit: ManoFit  # anything finite where there is none


@dataclass(frozen=True)
class AnnotationTable:
    """N annotations of one source split."""

    source_split: str
    table: pa.Table  # as ROW
    cameras: Camera  # the fields of this and of the next two have a further first axis
    joints: HandJoints
    fits: ManoFit  # the last one stands for none
    form: FitForm = AS_MANO_FIT

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def take(self, rows: Any) -> AnnotationTable:
        """These rows, by number."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def slice(self, start: int, stop: int) -> AnnotationTable:
        """The rows from start up to stop."""
        return replace(self, table=self.table.slice(start, stop - start))

    def compact(self) -> AnnotationTable:
        """The same rows, alone in memory: with those cameras, joints and fits that they refer to.

        Arrow pickles all rows of a slice's table.
        """
        table = self.table.take(pa.array(np.arange(len(self))))
        shared: dict[str, Any] = {}
        for indices, name in (
            (("camera_at",), "cameras"),
            (("joints_at", "other_at"), "joints"),
            (("fit_at",), "fits"),
        ):
            at = np.stack([table[index].to_numpy() for index in indices])
            own, moved = np.unique(at[at >= 0], return_inverse=True)
            new = at.copy()
            new[at >= 0] = moved
            for index, column in zip(indices, new, strict=True):
                table = table.set_column(
                    table.schema.get_field_index(index), index, pa.array(column, pa.int64())
                )
            if name == "fits":
                own = np.append(own, -1)  # the one that stands for none
            parts = getattr(self, name)
            shared[name] = type(parts)(*(part[own] for part in parts))
        return replace(self, table=table, **shared)

    def in_order(self) -> AnnotationTable:
        """The rows sorted by session, sequence, frame, camera and id, whatever the files' order.

        Those of two hands come last, right before left, so that without them the others have the
        same numbers.
        """
        names = ("session", "frame", "annotation_id")
        number = {name: self.table[name].to_numpy() for name in names}
        number |= {name: sort_keys(self.table[name]) for name in ("sequence", "camera")}
        order = ("session", "sequence", "frame", "camera", "annotation_id")
        keys = [self.is_kind(INTERACTING), *(number[name] for name in order), self.is_left()]
        return self.take(np.lexsort(keys[::-1]))

    def plain(self, name: str) -> pa.ChunkedArray:
        """A column, with dictionary-encoded texts decoded."""
        column = self.table[name]
        return column.cast(pa.string()) if column.type == WORD else column

    def is_kind(self, kind: Kind) -> BoolArray:
        """Whether each row is of this kind (N,)."""
        return of_words(self.table["kind"], lambda word: word == kind)

    def is_left(self) -> BoolArray:
        """Whether each row's hand is a left one (N,)."""
        return of_words(self.table["hand"], lambda hand: hand == "left")

    def other_hands(self) -> HandJoints:
        """Joints of the other annotated hand of each photo (N, 21, 3) m; none valid without one."""
        at = self.table["other_at"].to_numpy()
        valid = self.joints.joint_valid[at] & (at >= 0)[:, None]
        return HandJoints(self.joints.joints[at], valid)

    def hands(self) -> HandsInWorld:
        """The hands as arrays, each with its own camera, joints and fit."""
        camera, joints, fit = (
            self.table[name].to_numpy() for name in ("camera_at", "joints_at", "fit_at")
        )
        flags = self.table["visible"].combine_chunks()
        return HandsInWorld(
            camera=Camera(*(part[camera] for part in self.cameras)),
            joints=self.joints.joints[joints],
            joint_valid=self.joints.joint_valid[joints],
            visible=bytes_of(flags).astype(np.bool_),
            size=np.stack([self.table[name].to_numpy() for name in ("width", "height")], 1),
            is_left=self.is_left(),
            has_mano=fit >= 0,
            fit=ManoFit(*(part[fit.clip(min=-1)] for part in self.fits)),
        )

    def boxes(self) -> FloatArray:
        """The annotated boxes x, y, w, h (N, 4) px; NaN where there is none."""
        return bytes_of(self.table["box"].combine_chunks()).view(np.float64)

    def without_fits(self, rows: BoolArray, fault: str) -> AnnotationTable:
        """The same rows, those of the mask (N,) without their fit for a reason of FIT_FAULTS."""
        fit_at = np.where(rows, FIT_FAULTS[fault], self.table["fit_at"].to_numpy())
        at = self.table.schema.get_field_index("fit_at")
        return replace(self, table=self.table.set_column(at, "fit_at", pa.array(fit_at)))

    def without_any_fit(self) -> AnnotationTable:
        """The same rows without fits, as if there were none."""
        at = self.table.schema.get_field_index("fit_at")
        none = pa.array(np.full(len(self), -1))
        return replace(self, table=self.table.set_column(at, "fit_at", none), form=AS_MANO_FIT)

    def rejects(self, unusable: Sequence[Unusable]) -> pa.Table:
        """These rows as REJECT."""
        rows = self.take([one.row for one in unusable])
        columns = {name: rows.plain(name) for name in ORIGIN}
        columns["source_split"] = pa.repeat(pa.scalar(self.source_split), len(rows))
        columns |= {
            name: pa.array([getattr(one, name) for one in unusable], pa.string())
            for name in ("reason", "detail")
        }
        return pa.table({name: columns[name] for name in REJECT.names}).cast(REJECT)


def of_words(words: pa.ChunkedArray, function: Callable[[str], Any]) -> NDArray[Any]:
    """The function's value for each of N repeating texts (N,), for null that of ''."""
    column = words.combine_chunks()
    values = np.array([function(word) for word in (*column.dictionary.to_pylist(), "")])
    return np.asarray(values[column.indices.fill_null(-1)])


def map_words(words: pa.ChunkedArray, function: Callable[[str], str]) -> pa.Array:
    """The function's text for each of N repeating texts, repeating too; null stays null."""
    column = words.combine_chunks()
    texts = [function(word) for word in column.dictionary.to_pylist()]
    distinct = sorted(set(texts))
    index = pa.array([distinct.index(text) for text in texts], pa.int32())
    return pa.DictionaryArray.from_arrays(
        index.take(column.indices), pa.array(distinct, pa.string())
    )


def sort_keys(words: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers that sort like the texts."""
    column = words.combine_chunks()
    texts = column.dictionary.to_pylist()
    rank = {text: number for number, text in enumerate(sorted(texts))}
    return np.asarray(np.array([rank[text] for text in texts], np.int64)[column.indices])


def bytes_of(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """N values of K bytes as (N, K), not copied."""
    width = column.type.byte_width
    start = width * column.offset
    content = np.frombuffer(column.buffers()[1], np.uint8)[start : start + width * len(column)]
    return content.reshape(-1, width)


def box_bytes(boxes: FloatArray) -> pa.FixedSizeBinaryArray:
    """Boxes (N, 4) as values of a column `box`."""
    content = np.ascontiguousarray(boxes, np.float64)
    return pa.Array.from_buffers(pa.binary(BOX_BYTES), len(boxes), [None, pa.py_buffer(content)])


def as_bytes(flags: BoolArray) -> pa.FixedSizeBinaryArray:
    """(N, K) flags as N values of K bytes 0 or 1."""
    content = np.ascontiguousarray(flags, np.uint8)
    kind = pa.binary(flags.shape[1])
    return pa.Array.from_buffers(kind, len(flags), [None, pa.py_buffer(content)])
