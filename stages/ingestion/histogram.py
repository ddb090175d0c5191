"""Counts of samples and rejects: folders.csv and split.json."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.annotation_table import INTERACTING
from handpose.data.merged.interval_units import PEOPLE, IntervalUnits
from handpose.data.splits import all_splits
from handpose.files import atomic_file

EVERYWHERE_PEOPLE = IntervalUnits()

COUNTED = ("sequence", "kind", "split", "hand")

COLUMNS = [
    *("sequence", "split", "kind", "subject", "image"),
    *("is_left", "has_mano", "source_split"),
]
"""Columns of samples.parquet that are needed here."""


class Members:
    """The samples of one split."""

    def __init__(self) -> None:
        """None yet."""
        self.samples = 0
        self.of_gesture_folders = 0
        self.without_mano_fit = 0
        self.subjects: set[int] = set()
        self.not_people: defaultdict[str, set[int]] = defaultdict(set)
        """Of `subjects`, those that stand for people where none is named, by what they are."""
        self._photos = hashlib.sha256()

    def add(self, table: pa.Table, units: IntervalUnits) -> None:
        """Count samples, in the order of their `sample_id`."""
        self.samples += len(table)
        self.of_gesture_folders += table["kind"].to_pylist().count("gesture")
        self.without_mano_fit += table["has_mano"].to_pylist().count(False)
        self.subjects |= set(table["subject"].unique().to_pylist())
        for source in table["source_split"].unique().to_pylist():
            if (found := units.of_source(source)) != PEOPLE:
                own = table.filter(pc.equal(table["source_split"], source))
                self.not_people[found.many] |= set(own["subject"].unique().to_pylist())
        self._photos.update("".join(f"{line}\n" for line in _lines(table)).encode())

    def summary(self) -> dict[str, Any]:
        """Subjects and counts, and a hash of the list of photos.

        The hash is SHA-256 of one line per sample, the photo's path below data.root; of one of two
        annotated hands, followed by a blank and right or left.
        """
        return {
            "subjects": sorted(self.subjects),
            "samples": self.samples,
            "of_gesture_folders": self.of_gesture_folders,
            "photos_sha256": self._photos.hexdigest(),
            **({"subjects_not_people": self._not_people()} if self.not_people else {}),
        }

    def _not_people(self) -> dict[str, list[int]]:
        return {what: sorted(own) for what, own in self.not_people.items()}


def _lines(table: pa.Table) -> list[str]:
    hand = pc.if_else(table["is_left"], " left", " right")
    hand = pc.if_else(pc.equal(table["kind"], INTERACTING), hand, "")
    lines: list[str] = pc.binary_join_element_wise(table["image"], hand, "").to_pylist()
    return lines


class Histogram:
    """Samples and rejects by folder, split and hand."""

    def __init__(self, evaluated: Iterable[str], units: IntervalUnits = EVERYWHERE_PEOPLE) -> None:
        """Empty; `evaluated` names the splits besides the labelled ones, or is ''."""
        self._units = units
        self.members = {split: Members() for split in all_splits(filter(None, evaluated))}
        self._used: Counter[tuple[str, ...]] = Counter()
        self._unused: Counter[tuple[str, ...]] = Counter()

    def add_samples(self, table: pa.Table) -> None:
        """Count rows of samples.parquet, in their order."""
        table = table.select(COLUMNS)  # a row is 600 bytes, and these are 100 of them
        for split in table["split"].unique().to_pylist():
            own = self.members.setdefault(split, Members())  # official_test_interacting, say
            own.add(table.filter(pc.equal(table["split"], split)), self._units)
        hand = pc.if_else(table["is_left"], "left", "right")
        self._used.update(_keys(table.append_column("hand", hand)))

    def add_rejects(self, table: pa.Table) -> None:
        """Count rows of rejects.parquet with their split as a further column."""
        self._unused.update(_keys(table))

    def write(self, path: Path) -> None:
        """folders.csv: how many annotations of each folder, split and hand are used or not."""
        used, unused = self._used, self._unused
        with (
            atomic_file(path) as partial,
            partial.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("folder", "kind", "split", "hand", "samples", "rejects"))
            for key in sorted(used | unused):
                writer.writerow((*key, used[key], unused[key]))


def _keys(table: pa.Table) -> dict[tuple[str, ...], int]:
    counts = table.group_by(list(COUNTED)).aggregate([([], "count_all")])
    keys: Iterable[list[str | None]] = (counts[name].to_pylist() for name in COUNTED)
    named = (tuple(part or "" for part in key) for key in zip(*keys, strict=True))
    return dict(zip(named, counts["count_all"].to_pylist(), strict=True))
