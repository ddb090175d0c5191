"""Usable annotations of one official split as columns: a list of `HandAnnotation`, for a million.

Cameras, moments and fits are kept once each; a row tells their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.interhand.annotations import FLAGS, Camera, FrameJoints, ManoFit
from handpose.interhand.camera_frame import NO_FIT, HandsInWorld
from handpose.interhand.hand_annotation import HandAnnotation, Origin, folder_kind

T = TypeVar("T", Camera, FrameJoints, ManoFit)

WORD = pa.dictionary(pa.int32(), pa.string())
ORIGIN = {
    "annotation_id": pa.int64(),
    "capture": pa.int64(),
    "subject": pa.int64(),
    "seq_name": WORD,
    "camera": WORD,
    "frame": pa.int64(),
    "file_name": pa.string(),
    "hand_type": WORD,
}
"""Columns of where a row comes from: `Origin`, but for the split, which is the same for all."""

ROW = pa.schema(
    ORIGIN
    | {"width": pa.int64(), "height": pa.int64(), "visible": pa.binary(FLAGS)}
    | dict.fromkeys(("camera_at", "instant_at", "fit_at"), pa.int64())  # a fit_at of -1 is no fit
)


@dataclass(frozen=True)
class HandRows:
    """N usable annotations of one official split."""

    official_split: str
    table: pa.Table  # as ROW
    cameras: Camera
    instants: FrameJoints
    fits: ManoFit  # the last one stands for none

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def take(self, rows: Any) -> HandRows:
        """These rows, by number."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def slice(self, start: int, stop: int) -> HandRows:
        """The rows from start up to stop."""
        return replace(self, table=self.table.slice(start, stop - start))

    def in_order(self) -> HandRows:
        """The same by capture, folder, frame, camera and id, whatever the order of the files."""
        number = {name: self.table[name].to_numpy() for name in ("capture", "frame")}
        number |= {name: sort_keys(self.table[name]) for name in ("seq_name", "camera")}
        keys = [number[name] for name in ("capture", "seq_name", "frame", "camera")]
        return self.take(np.lexsort([self.table["annotation_id"].to_numpy(), *reversed(keys)]))

    def plain(self, name: str) -> pa.ChunkedArray:
        """A column, repeating texts written out."""
        column = self.table[name]
        return column.cast(pa.string()) if column.type == WORD else column

    def kinds(self) -> NDArray[np.str_]:
        """What each row's folder shows (N,): see `folder_kind`."""
        return of_words(self.table["seq_name"], folder_kind)

    def is_left(self) -> NDArray[np.bool_]:
        """Whether each row's hand is a left one (N,)."""
        return of_words(self.table["hand_type"], lambda hand: hand == "left")

    def origin(self, row: int) -> Origin:
        """Where one row comes from."""
        (record,) = self.table.select(list(ORIGIN)).slice(row, 1).to_pylist()
        return Origin(official_split=self.official_split, **record)

    def in_world(self) -> HandsInWorld:
        """The hands themselves."""
        camera, instant, fit = (
            self.table[name].to_numpy() for name in ("camera_at", "instant_at", "fit_at")
        )
        left = self.is_left()
        flags = self.table["visible"].combine_chunks()
        return HandsInWorld(
            camera=Camera(*(part[camera] for part in self.cameras)),
            instant=FrameJoints(*(part[instant, left.astype(int)] for part in self.instants)),
            visible=np.frombuffer(b"".join(flags.to_pylist()), np.bool_).reshape(-1, FLAGS),
            size=np.stack([self.table[name].to_numpy() for name in ("width", "height")], 1),
            is_left=left,
            has_mano=fit >= 0,
            fit=ManoFit(*(part[fit] for part in self.fits)),
        )


def of_words(words: pa.ChunkedArray, told: Callable[[str], Any]) -> NDArray[Any]:
    """What is told of each text of a column of repeating ones, of '' for null: each asked once."""
    column = words.combine_chunks()
    answers = np.array([told(word) for word in (*column.dictionary.to_pylist(), "")])
    return np.asarray(answers[column.indices.fill_null(-1)])


def sort_keys(words: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers that sort like the texts."""
    column = words.combine_chunks()
    texts = column.dictionary.to_pylist()
    place = {text: rank for rank, text in enumerate(sorted(texts))}
    return np.asarray(np.array([place[text] for text in texts], np.int64)[column.indices])


def of_annotations(official_split: str, views: Sequence[HandAnnotation]) -> HandRows:
    """The rows of some views."""
    cameras, camera_at = _once([view.camera for view in views])
    instants, instant_at = _once([view.instant for view in views])
    fits, fit_at = _once([view.fit for view in views if view.fit is not None])
    places = iter(fit_at)
    columns: dict[str, Any] = {
        name: [getattr(view.origin, name) for view in views] for name in ORIGIN
    }
    columns |= {name: [getattr(view, name) for view in views] for name in ("width", "height")}
    columns["visible"] = [view.visible for view in views]
    columns |= {"camera_at": camera_at, "instant_at": instant_at}
    columns["fit_at"] = [-1 if view.fit is None else next(places) for view in views]
    return HandRows(
        official_split,
        pa.table(columns, ROW),
        _stacked(cameras, Camera(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3))),
        _stacked(instants, FrameJoints(np.zeros((2, 21, 3)), np.zeros((2, 21), np.bool_))),
        _stacked(fits, NO_FIT),
    )


def joined(first: HandRows, second: HandRows) -> HandRows:
    """The rows of both, of one split."""
    table = second.table
    shift = {"camera_at": len(first.cameras.K), "instant_at": len(first.instants.joints)}
    shift["fit_at"] = len(first.fits.betas)
    for name, by in shift.items():
        place = table[name].to_numpy()
        moved = pa.array(np.where(place >= 0, place + by, place))
        table = table.set_column(table.schema.get_field_index(name), name, moved)
    whole = pa.concat_tables([first.table, table]).unify_dictionaries().combine_chunks()
    return HandRows(
        first.official_split,
        whole,
        _both(first.cameras, second.cameras),
        _both(first.instants, second.instants),
        _both(first.fits, second.fits),
    )


def _both(first: T, second: T) -> T:
    parts: Any = zip(first, second, strict=True)
    return type(first)(*map(np.concatenate, parts))


def _once(items: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The distinct objects among these, and the place of each: annotations share moments."""
    distinct = {id(item): item for item in items}
    place = {key: number for number, key in enumerate(distinct)}
    return list(distinct.values()), [place[id(item)] for item in items]


def _stacked(items: Sequence[T], last: T) -> T:
    parts: Any = zip(*items, last, strict=True)
    return type(last)(*map(np.stack, parts))
