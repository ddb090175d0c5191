"""Usable hands that the parameters leave out.

`ingest.interacting`, `ingest.held_out_gestures`, `ingest.trim_ends`, `ingest.cameras_per_instant`.
Only training and validation are thinned. Splits that are evaluated stay whole, so that their
figures compare whatever was trained on.
"""

from __future__ import annotations

import zlib
from collections import Counter

import numpy as np

from handpose.data.annotation_table import (
    INTERACTING,
    AnnotationTable,
    BoolArray,
    of_words,
    sort_keys,
)
from handpose.data.reader import SourceSplit
from handpose.data.splits import TRAIN, VALIDATION
from handpose.data.thinning import fewer_cameras, without_ends
from stages.ingestion.samples import of_held_out_gestures, split_of
from stages.params import IngestParams

THINNED = (TRAIN, VALIDATION)


def select(
    rows: AnnotationTable, source: SourceSplit, ingest: IngestParams
) -> tuple[AnnotationTable, Counter[str]]:
    """The rows that stay, in their order, and how many were left out by what.

    `interacting`: hands beside another, of people who train (unless these are trained on) or
    validate; then `held_out`, `trimmed`, `thinned`.
    """
    left_out: Counter[str] = Counter()
    if source.evaluated_as:
        return rows, left_out
    held_out = of_held_out_gestures(rows.table["sequence"], ingest)
    interacting = rows.is_kind(INTERACTING)
    split = split_of(source, rows.table["subject"].to_numpy(), held_out, interacting, ingest)
    if ingest.each_hand:
        unused = THINNED if ingest.interacting == "evaluate" else (VALIDATION,)
        beside = interacting & np.isin(split, unused)
        rows, split, held_out = _without(rows, beside), split[~beside], held_out[~beside]
        left_out["interacting"] = int(beside.sum())
    if ingest.held_out_gestures:
        untrained = held_out & np.isin(split, THINNED)
        rows, split = _without(rows, untrained), split[~untrained]
        left_out["held_out"] = int(untrained.sum())
    if ingest.trim_ends:
        ends = np.isin(split, THINNED) & rows.is_kind("gesture") & ~_trimmed(rows, ingest)
        rows, split = _without(rows, ends), split[~ends]
        left_out["trimmed"] = int(ends.sum())
    if ingest.cameras_per_instant:
        many = np.isin(split, THINNED) & ~_thinned(rows, ingest)
        rows = _without(rows, many)
        left_out["thinned"] = int(many.sum())
    return rows, left_out


def _without(rows: AnnotationTable, left_out: BoolArray) -> AnnotationTable:
    return rows.take(np.flatnonzero(~left_out))


def _trimmed(rows: AnnotationTable, ingest: IngestParams) -> BoolArray:
    name = sort_keys(rows.table["sequence"])
    sequence = rows.table["session"].to_numpy() * (name.max(initial=0) + 1) + name
    return without_ends(sequence, rows.table["frame"].to_numpy(), ingest.trim_ends)


def _thinned(rows: AnnotationTable, ingest: IngestParams) -> BoolArray:
    frame = np.stack([rows.table[name].to_numpy() for name in ("session", "frame")], 1)
    camera = of_words(rows.table["camera"], lambda name: zlib.crc32(name.encode()))
    return fewer_cameras(frame, camera.astype(np.int64), ingest.cameras_per_instant)
