"""Which usable hands are left out by choice: `ingest.trim_ends` and `ingest.cameras_per_instant`.

Only training and validation are thinned. Test and the official val and test stay whole, so that
their figures compare whatever was trained on.
"""

from __future__ import annotations

import zlib
from collections import Counter

import numpy as np

from handpose.data.selection import BoolArray, fewer_cameras, without_ends
from handpose.interhand.hand_rows import HandRows, of_words, sort_keys
from stages.ingestion.samples import split_of
from stages.params import IngestParams

THINNED = ("train", "validation")


def select(rows: HandRows, ingest: IngestParams) -> tuple[HandRows, Counter[str]]:
    """The rows that stay, in their order, and how many were `trimmed` and `thinned`."""
    left_out: Counter[str] = Counter()
    if rows.official_split != "train":
        return rows, left_out
    split = split_of("train", rows.table["subject"].to_numpy(), ingest)
    if ingest.trim_ends:
        ends = np.isin(split, THINNED) & (rows.kinds() == "gesture") & ~_trimmed(rows, ingest)
        rows, split = _without(rows, ends), split[~ends]
        left_out["trimmed"] = int(ends.sum())
    if ingest.cameras_per_instant:
        many = np.isin(split, THINNED) & ~_thinned(rows, ingest)
        rows = _without(rows, many)
        left_out["thinned"] = int(many.sum())
    return rows, left_out


def _without(rows: HandRows, gone: BoolArray) -> HandRows:
    return rows.take(np.flatnonzero(~gone))


def _trimmed(rows: HandRows, ingest: IngestParams) -> BoolArray:
    folder = sort_keys(rows.table["seq_name"])
    sequence = rows.table["capture"].to_numpy() * (folder.max(initial=0) + 1) + folder
    return without_ends(sequence, rows.table["frame"].to_numpy(), ingest.trim_ends)


def _thinned(rows: HandRows, ingest: IngestParams) -> BoolArray:
    instant = np.stack([rows.table[name].to_numpy() for name in ("capture", "frame")], 1)
    camera = of_words(rows.table["camera"], lambda name: zlib.crc32(name.encode()))
    return fewer_cameras(instant, camera.astype(np.int64), ingest.cameras_per_instant)
