"""rejects.parquet: a row an annotation that is not used; null for what it does not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_type_hints

import numpy as np
import pyarrow as pa

from handpose.interhand.annotations import OFFICIAL_SPLITS
from handpose.interhand.hand_annotation import UNKNOWN, Origin, Reject
from handpose.interhand.hand_rows import sort_keys

ORIGIN = {
    name: pa.int64() if kind is int else pa.string()
    for name, kind in get_type_hints(Origin).items()
}
SCHEMA = pa.schema(ORIGIN | {"reason": pa.string(), "detail": pa.string()})


def rejects_table(rejects: Sequence[Reject]) -> pa.Table:
    """Rejects as rows."""
    columns = {
        name: [
            None if (part := getattr(r.origin, name)) in (UNKNOWN, "") else part for r in rejects
        ]
        for name in ORIGIN
    }
    columns |= {name: [getattr(r, name) for r in rejects] for name in ("reason", "detail")}
    return pa.table(columns, SCHEMA)


def two_hands_table(official_split: str, origins: pa.Table) -> pa.Table:
    """Rows of annotations of two hands, of which half the data set consists."""
    constant = {"official_split": official_split, "reason": "two_hands", "detail": ""}
    columns = {name: pa.repeat(pa.scalar(text), len(origins)) for name, text in constant.items()}
    columns |= {name: origins[name] for name in origins.column_names}
    return pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA)


def in_order(rejects: pa.Table) -> pa.Table:
    """The rows in the order of samples; what a row does not tell comes first."""
    split = np.array([OFFICIAL_SPLITS.index(s) for s in rejects["official_split"].to_pylist()], int)
    text = {
        name: sort_keys(rejects[name].fill_null("").dictionary_encode())
        for name in ("seq_name", "camera")
    }
    number = {
        name: rejects[name].fill_null(UNKNOWN).to_numpy()
        for name in ("capture", "frame", "annotation_id")
    }
    keys = [split, number["capture"], text["seq_name"], number["frame"], text["camera"]]
    return rejects.take(pa.array(np.lexsort([number["annotation_id"], *reversed(keys)])))


def reasons(rejects: pa.Table) -> dict[str, int]:
    """How many rejects for each reason, the most frequent first."""
    return dict(Counter(rejects["reason"].to_pylist()).most_common())


def told(rejects: pa.Table, where: object) -> str:
    """The rejects in words: a table of reasons and an example."""
    if not len(rejects):
        return "no annotation was rejected"
    table = "".join(f"\n  {n:>8} {reason}" for reason, n in reasons(rejects).items())
    (first,) = rejects.slice(0, 1).to_pylist()
    number = UNKNOWN if first["annotation_id"] is None else first["annotation_id"]
    return (
        f"{len(rejects)} annotations were rejected:{table}\nfor example annotation "
        f"{number}: {first['reason']} {first['detail']}\nAll are in {where}"
    )
