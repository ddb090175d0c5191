"""What intervals resample: the people of a data set, or what stands for them where it names none.

The column `subject` of samples.parquet counts these units. A reader says what they are of each of
its splits, and `ingest` keeps what is not people beside the file's schema, so that every table with
an interval can say what the interval is over, and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from handpose.counted import counted

KEY = "interval_units"
"""Of the metadata of samples.parquet; absent where all units are people."""


class Units(NamedTuple):
    """What is resampled."""

    one: str
    many: str
    why: str = ""  # it is not people, the end of a sentence; '' of people

    def counted(self, count: int) -> str:
        """`8 people`, `30 blocks of consecutive photos`."""
        return counted(count, self.one, self.many)

    def explained(self, count: int | None = None) -> str:
        """`people`, or `30 blocks of consecutive photos (FreiHAND names no people)`."""
        what = self.many if count is None else self.counted(count)
        return what + (f" ({self.why})" if self.why else "")

    def to_json(self, count: int) -> dict[str, str | int]:
        """Plain values of so many."""
        return {"what": self.many, "count": count, **({"why": self.why} if self.why else {})}


PEOPLE = Units("person", "people")


class OtherUnits(NamedTuple):
    """Those of a split of a data set that names no people."""

    source_split: str
    split: str  # ours
    units: Units


@dataclass(frozen=True)
class IntervalUnits:
    """Those of every split."""

    others: tuple[OtherUnits, ...] = field(default=())

    @classmethod
    def of_splits(cls, splits: Iterable[tuple[str, str, Units]]) -> IntervalUnits:
        """From the data set's name, our name and the units of each split."""
        named = (OtherUnits(*one) for one in splits)
        return cls(tuple(one for one in named if one.units != PEOPLE))

    @classmethod
    def of_metadata(cls, metadata: Mapping[bytes, bytes] | None) -> IntervalUnits:
        """As `metadata` wrote them beside a schema; people without them."""
        text = (metadata or {}).get(KEY.encode())
        rows = json.loads(text) if text else []
        return cls(tuple(OtherUnits(source, own, Units(*units)) for source, own, units in rows))

    def metadata(self) -> dict[str, str]:
        """What to keep beside a schema; nothing where all are people."""
        return {KEY: json.dumps(self.others)} if self.others else {}

    def of(self, split: str) -> Units:
        """The units of an evaluated split."""
        return next((one.units for one in self.others if one.split == split), PEOPLE)

    def of_source(self, source_split: str) -> Units:
        """The units of a split as the data set has it, which may be trained on."""
        return next((one.units for one in self.others if one.source_split == source_split), PEOPLE)
