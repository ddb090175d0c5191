"""A part of a table that is alone in memory is the same part, and small when it is pickled."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from handpose.data.annotation_table import (
    FIT_FAULTS,
    JOINTS,
    NO_FIT,
    ROW,
    AnnotationTable,
    Camera,
    HandJoints,
    ManoFit,
    as_bytes,
    box_bytes,
)

ROWS, FRAMES = 600, 40


@pytest.fixture
def rows() -> AnnotationTable:
    """Random rows of few frames; some have no fit, or one that is not used."""
    rng = np.random.default_rng(0)
    words = {"sequence": ["a", "b"], "camera": ["1", "2"], "hand": ["left", "right"]}
    columns: dict[str, Any] = {
        name: pa.array(rng.choice(texts, ROWS)).dictionary_encode().cast(ROW.field(name).type)
        for name, texts in words.items()
    }
    columns |= {name: rng.integers(0, FRAMES, ROWS) for name in ("camera_at", "joints_at")}
    columns["other_at"] = rng.integers(-1, FRAMES, ROWS)
    columns["fit_at"] = rng.integers(min(FIT_FAULTS.values()), FRAMES, ROWS)
    columns["image"] = pa.array([f"{k}.jpg" for k in range(ROWS)])
    columns["visible"] = as_bytes(rng.random((ROWS, JOINTS)) < 0.5)
    columns["box"] = box_bytes(rng.random((ROWS, 4)))
    for field in ROW:
        if field.name not in columns:
            columns[field.name] = pa.array(range(ROWS)).cast(pa.string()).cast(field.type)

    def shared(*shapes: tuple[int, ...]) -> list[Any]:
        return [rng.random((FRAMES, *shape)) for shape in shapes]

    pairs = zip(shared(*(part.shape for part in NO_FIT)), NO_FIT, strict=True)
    return AnnotationTable(
        "train",
        pa.table({name: columns[name] for name in ROW.names}, ROW),
        Camera(*shared((3, 3), (3, 3), (3,))),
        HandJoints(rng.random((FRAMES, JOINTS, 3)), rng.random((FRAMES, JOINTS)) < 0.5),
        ManoFit(*(np.concatenate([part, none[None]]) for part, none in pairs)),
    )


@pytest.mark.parametrize("start", [0, 7, ROWS])
def test_a_compact_part_is_the_same_part(rows: AnnotationTable, start: int) -> None:
    part = rows.slice(start, min(start + 20, ROWS))
    compact = pickle.loads(pickle.dumps(part.compact()))
    for one, other in ((part.hands(), compact.hands()), ((part.boxes(),), (compact.boxes(),))):
        flat = [
            [array for field in table for array in (field if isinstance(field, tuple) else [field])]
            for table in (one, other)
        ]
        for mine, theirs in zip(*flat, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    same = [name for name in ROW.names if not name.endswith("_at")]
    assert compact.table.select(same).equals(part.table.select(same))
    faults = [table["fit_at"].to_numpy() for table in (part.table, compact.table)]
    np.testing.assert_array_equal(*(np.minimum(fault, 0) for fault in faults))


def test_pickled_it_is_as_small_as_its_rows(rows: AnnotationTable) -> None:
    part = rows.slice(7, 27)
    assert len(pickle.dumps(part.compact())) < len(pickle.dumps(part)) / 4
