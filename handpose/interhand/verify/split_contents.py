"""One official split as `ingest` reads it: what is counted here is what is taken there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.annotation_table import INTERACTING, ORIGIN, AnnotationTable
from handpose.data.reader import SplitAnnotations
from handpose.interhand.annotations import HANDS
from handpose.interhand.hand_annotation import BOTH
from handpose.interhand.join import read_split
from handpose.interhand.reader import neutral
from handpose.interhand.verify.releases import Counts


@dataclass(frozen=True)
class SplitContents:
    """The annotations of one split, usable or rejected."""

    root: Path
    name: str
    found: SplitAnnotations
    unused_images: int  # records of images that no annotation names

    @classmethod
    def read(cls, root: Path, name: str, *, each_hand: bool = False) -> SplitContents:
        """The split of this name; with `each_hand`, annotations of both hands are two rows.

        Raises:
            DatasetError: a file is not JSON, or has another structure.
        """
        joined = read_split(root, name, each_hand=each_hand)
        return cls(root, name, neutral(joined), joined.unused_images)

    @property
    def usable(self) -> AnnotationTable:
        """Each hand of the annotations that have an image, a camera and joints."""
        return self.found.usable

    @cached_property
    def once(self) -> AnnotationTable:
        """The same with one row for each annotation, of both hands too, so that photos count once.

        Both hands are always usable, or none: what is wrong with one alone is found later.
        """
        second = self.usable.is_kind(INTERACTING) & self.usable.is_left()
        return self.usable.take(np.flatnonzero(~second)) if second.any() else self.usable

    @property
    def one_hand(self) -> AnnotationTable:
        """The usable annotations of one hand."""
        both = self.usable.is_kind(INTERACTING)
        return self.usable.take(np.flatnonzero(~both)) if both.any() else self.usable

    @property
    def rejected(self) -> pa.Table:
        """All others; columns as in `annotation_table.REJECT`."""
        return self.found.rejected

    @cached_property
    def everyone(self) -> pa.Table:
        """Where every annotation comes from; columns of ORIGIN, null for what it lacks."""
        plain = {name: self.once.plain(name) for name in ORIGIN}
        if (both := self.once.is_kind(INTERACTING)).any():
            plain["hand"] = pc.if_else(pa.array(both), BOTH, plain["hand"])
        rejected = self.rejected.select(list(ORIGIN))
        return pa.concat_tables([pa.table(plain).cast(rejected.schema), rejected])

    @property
    def counts(self) -> Counts:
        """The number of annotations of one hand, and of both."""
        kinds = self.everyone["hand"].value_counts().to_pylist()
        count = {kind["values"]: kind["counts"] for kind in kinds}
        return Counts(sum(count.get(hand, 0) for hand in HANDS), count.get(BOTH, 0))

    def rejects_of(self, reason: str) -> pa.Table:
        """The annotations that are rejected for this reason."""
        return self.rejected.filter(pc.equal(self.rejected["reason"], reason))

    def frames(self) -> tuple[int, int]:
        """How many frames show a hand that can be used, and how many of them have its fit."""
        columns = [self.usable.table[name].to_numpy() for name in ("session", "frame", "fit_at")]
        session, frame, fit_at = columns
        keys = np.stack([session, frame, self.usable.is_left()])
        every, fitted = (np.unique(keys[:, of], axis=1) for of in (slice(None), fit_at >= 0))
        return every.shape[1], fitted.shape[1]
