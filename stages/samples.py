"""The tables that `ingest` leaves: samples, rejects, folders, and who is in which split."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.data.camera_frame import HandsInCamera
from handpose.data.hand_view import UNKNOWN, Origin, Reject, View, folder_kind
from stages.artifacts import atomic_file
from stages.params import SPLITS, Ingest


class Samples(NamedTuple):
    """Annotations that are used, in the order of their `sample_id`."""

    views: list[View]
    hands: HandsInCamera


def join(parts: Sequence[Samples]) -> Samples:
    """All parts, at least one, as one."""
    fields = zip(*(part.hands for part in parts), strict=True)
    return Samples(
        [view for part in parts for view in part.views],
        HandsInCamera(*(np.concatenate(field) for field in fields)),
    )


def split_of(origin: Origin, ingest: Ingest) -> str:
    """Our split of an annotation: official train is divided by subject, the others stay whole."""
    if origin.official_split != "train":
        return f"official_{origin.official_split}"
    if origin.subject in ingest.test_subjects:
        return "test"
    return "validation" if origin.subject in ingest.validation_subjects else "train"


def samples_table(samples: Samples, splits: Sequence[str]) -> pa.Table:
    """samples.parquet: a row a sample; float32, vectors as lists of fixed length."""
    views, hands = samples
    columns: dict[str, Any] = {"sample_id": pa.array(range(len(views)), pa.int64())}
    columns |= _transposed([view.origin for view in views])
    del columns["hand_type"]  # told by is_left
    columns["split"] = splits
    for name in ("kind", "width", "height", "is_left"):
        columns[name] = [getattr(view, name) for view in views]
    columns |= {name: _column(field) for name, field in hands._asdict().items()}
    return pa.table(columns)


def _transposed(origins: Sequence[Origin]) -> dict[str, Sequence[Any]]:
    return dict(zip(Origin._fields, zip(*origins, strict=True), strict=True))


def _column(field: NDArray[Any]) -> pa.Array:
    """A column of scalars (N,), or of flat lists (N, ...)."""
    flat = pa.array(field.ravel(), pa.bool_() if field.dtype == np.bool_ else pa.float32())
    return flat if field.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, field[0].size)


def rejects_table(rejects: Sequence[Reject]) -> pa.Table:
    """rejects.parquet: a row an annotation that is not used; null for what it does not tell."""
    columns = {
        name: pa.array(
            [None if (part := getattr(r.origin, name)) in (UNKNOWN, "") else part for r in rejects],
            pa.int64() if kind is int else pa.string(),
        )
        for name, kind in get_type_hints(Origin).items()
    }
    columns |= {
        name: pa.array([getattr(reject, name) for reject in rejects], pa.string())
        for name in ("reason", "detail")
    }
    return pa.table(columns)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file atomically; the same rows give the same bytes."""
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def write_folders(
    path: Path, views: Sequence[View], rejects: Sequence[Reject], ingest: Ingest
) -> None:
    """folders.csv: how many annotations of each folder, split and hand are used and are not."""
    used, unused = (
        Counter((item.origin.seq_name, split_of(item.origin, ingest), item.origin.hand_type)
                for item in items)
        for items in (views, rejects)
    )  # fmt: skip
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("folder", "kind", "split", "hand", "samples", "rejects"))
        for key in sorted(used | unused):
            writer.writerow((key[0], folder_kind(key[0]), *key[1:], used[key], unused[key]))


def split_lists(views: Sequence[View], splits: Sequence[str]) -> dict[str, Any]:
    """split.json: subjects and counts of each split, and a hash of its list of photos.

    The hash is SHA-256 of one line `<official split>/<file name>` a sample, in order of sample_id.
    """
    lists = {}
    for split in SPLITS:
        members = [view for view, own in zip(views, splits, strict=True) if own == split]
        lines = (f"{v.origin.official_split}/{v.origin.file_name}\n" for v in members)
        lists[split] = {
            "subjects": sorted({view.origin.subject for view in members}),
            "samples": len(members),
            "of_gesture_folders": sum(view.kind == "gesture" for view in members),
            "photos_sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        }
    return lists
