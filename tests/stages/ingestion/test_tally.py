from __future__ import annotations

import pyarrow as pa

from handpose.data.annotation_table import WORD
from stages.ingestion.tally import MOST, Tally


def rows(cameras: list[str], session: int, subject: int) -> pa.Table:
    return pa.table(
        {
            "camera": pa.array(cameras).cast(WORD),
            "session": [session] * len(cameras),
            "subject": [subject] * len(cameras),
        }
    )


def test_every_annotation_is_counted_by_camera_session_and_person() -> None:
    tally = Tally()
    tally.add(rows(["b", "a", "b"], session=1, subject=7))
    tally.add(rows(["b"], session=2, subject=7))
    assert str(tally) == "by camera: b (3), a (1); by session: 1 (3), 2 (1); by person: 7 (4)"
    for counts in (tally.cameras, tally.sessions, tally.subjects):
        assert sum(counts.values()) == tally.total == 4


def test_the_largest_are_named_and_the_others_counted() -> None:
    tally = Tally()
    for number in range(MOST + 1):
        tally.add(rows([f"c{number}"], session=number, subject=number))
    assert "c4 (1) and 1 more camera; " in str(tally)
    assert "4 (1) and 1 more session; " in str(tally)
    tally.add(rows(["x"], session=99, subject=99))
    assert str(tally).endswith("and 2 more people")
