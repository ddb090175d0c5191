"""How many annotations there are of each camera, session and person: where a fault is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from handpose.counted import counted

MOST = 5
"""Cameras, sessions or people that a line names; the others are counted."""


class Tally:
    """Annotations by camera, by session and by person."""

    def __init__(self) -> None:
        """None yet."""
        self.total = 0
        self.cameras: Counter[str] = Counter()
        self.sessions: Counter[int] = Counter()
        self.subjects: Counter[int] = Counter()

    def add(self, table: pa.Table) -> None:
        """Count rows with the columns `camera`, `session` and `subject`."""
        self.total += len(table)
        for name, counter in (
            ("camera", self.cameras),
            ("session", self.sessions),
            ("subject", self.subjects),
        ):
            column = table[name]
            plain = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            counts = plain.value_counts().to_pylist()
            counter.update({entry["values"]: entry["counts"] for entry in counts})

    def __str__(self) -> str:
        """`by camera: 400028 (6); by session: 1 (4), 2 (2); by person: 4 (6)`."""
        return (
            f"by camera: {_largest(self.cameras, 'more camera')}; "
            f"by session: {_largest(self.sessions, 'more session')}; "
            f"by person: {_largest(self.subjects, 'more person', 'more people')}"
        )


def _largest(counts: Counter[Any], *more: str) -> str:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
    text = ", ".join(f"{key} ({count:,})" for key, count in ordered[:MOST])
    left = len(ordered) - MOST
    return f"{text} and {counted(left, *more)}" if left > 0 else text
