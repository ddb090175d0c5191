"""rejects.parquet: one row per annotation that is not used; null for values that it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from handpose.counted import counted
from handpose.data.annotation_table import sort_keys

UNKNOWN = -1


def in_order(rejects: pa.Table, source_splits: Sequence[str]) -> pa.Table:
    """The rows in the order of samples, nulls first."""
    order = {name: number for number, name in enumerate(source_splits)}
    split = np.array([order[name] for name in rejects["source_split"].to_pylist()], int)
    text = {
        name: sort_keys(rejects[name].fill_null("").dictionary_encode())
        for name in ("sequence", "camera")
    }
    number = {
        name: rejects[name].fill_null(UNKNOWN).to_numpy()
        for name in ("session", "frame", "annotation_id")
    }
    keys = [split, number["session"], text["sequence"], number["frame"], text["camera"]]
    keys.append(number["annotation_id"])
    keys.append(rejects["hand"].to_numpy() == "left")  # one of both hands; else the id decides
    return rejects.take(pa.array(np.lexsort(keys[::-1])))


def reasons(rejects: pa.Table) -> dict[str, int]:
    """How many rejects for each reason, the most frequent first."""
    return dict(Counter(rejects["reason"].to_pylist()).most_common())


def describe(rejects: pa.Table, file: object) -> str:
    """A table of the reasons, and an example, for messages."""
    if not len(rejects):
        return "no annotation was rejected"
    table = "".join(f"\n  {n:>8} {reason}" for reason, n in reasons(rejects).items())
    (first,) = rejects.slice(0, 1).to_pylist()
    number = UNKNOWN if first["annotation_id"] is None else first["annotation_id"]
    return (
        f"{counted(len(rejects), 'annotation was', 'annotations were')} rejected:{table}\n"
        f"for example annotation {number}: {first['reason']} {first['detail']}\nAll are in {file}"
    )
