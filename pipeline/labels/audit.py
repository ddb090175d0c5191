"""`handpose labels audit`: which merges and splits of the gesture map the data speak against."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from handpose.counted import counted
from handpose.evaluation.statistics import Estimate
from handpose.files import atomic_file
from handpose.gesture_map import GestureMap
from pipeline.labels.edit import class_of
from pipeline.labels.evidence import FEWEST, Confusions, PoseDistance, PoseSums
from stages.paths import LABELS, PREDICTIONS, SAMPLES, WORK

Kind = Literal["merged", "twins", "split"]

AUDIT = WORK / "label_audit.csv"

APART = 1.0
"""Merged gestures whose poses are farther apart than this, in units of their spread, are debatable.

Mean poses that are one spread apart can be told from each other in most single frames."""

CLOSE = 0.5
"""Gestures of two classes whose poses are closer than this are debatable."""

CONFUSED = 0.25
"""So are those of which so large a share is taken for the other; 0.5 is a coin's."""

NO_CONFUSION = Estimate(math.nan, math.nan, math.nan, 0, 0)


class Gesture(NamedTuple):
    """A folder with its twin: one gesture of either hand."""

    folders: tuple[str, ...]  # the right hand's first
    fine: str
    label: str  # its class, for tables


@dataclass(frozen=True)
class PairFinding:
    """What speaks for and against the map's decision on two gestures."""

    kind: Kind
    first: Gesture
    second: Gesture
    distance: PoseDistance
    confusion: Estimate  # NaN where there are no predictions, or one class

    @property
    def debatable(self) -> bool:
        """Whether the evidence is against the map, the whole interval over people included."""
        ratio = self.distance.ratio
        if self.kind != "split":
            return ratio.low > APART
        return ratio.high < CLOSE or self.confused

    @property
    def confused(self) -> bool:
        """Whether the network takes one for the other; an interval, if any, leaves out 0."""
        return self.confusion.value > CONFUSED and not self.confusion.low <= 0

    @property
    def urgency(self) -> tuple[bool, bool, float, float]:
        """Sorts findings: debatable merges, debatable splits, then the others likewise."""
        ratio = self.distance.ratio
        if self.kind != "split":
            return (not self.debatable, False, -_number(ratio.low), -_number(ratio.value))
        far = _number(ratio.high, _number(ratio.value, math.inf)) - _number(self.confusion.value)
        return (not self.debatable, True, far, _number(ratio.value, math.inf))


def audit(root: Path, table: GestureMap, *, top: int) -> list[str]:
    """The most debatable pairs as lines of text; all pairs are written to `AUDIT`.

    Args:
        root: the folder of the clone, with samples.parquet and, if there are any, predictions.
        table: the gesture map.
        top: how many merges, and how many splits, are listed.

    Raises:
        EvidenceError: there are no samples.
    """
    poses = PoseSums.read(root / SAMPLES)
    confusions = Confusions.read(root / PREDICTIONS, root / LABELS)
    found = findings(table, poses, confusions)
    write_findings(root / AUDIT, found)
    return [*_lines(found, poses, confusions, top), f"all {len(found):,} pairs are in {AUDIT}"]


def findings(
    table: GestureMap, poses: PoseSums, confusions: Confusions | None
) -> list[PairFinding]:
    """Every pair of gestures that the data show, the most debatable first."""
    known = [one for one in gestures(table) if set(one.folders) & set(poses.folders)]
    pairs: list[tuple[Kind, Gesture, Gesture]] = [
        ("merged" if a.fine == b.fine else "split", a, b) for a, b in combinations(known, 2)
    ]
    for one in known:
        if len(one.folders) == 2:
            a, b = (one._replace(folders=(folder,)) for folder in one.folders)
            pairs.append(("twins", a, b))
    found = []
    for kind, a, b in pairs:
        distance = poses.distance(a.folders, b.folders)
        confused = NO_CONFUSION
        if kind == "split" and confusions is not None:
            confused = confusions.between(a.folders, b.folders)
        if distance.ratio.samples or confused.samples:
            found.append(PairFinding(kind, a, b, distance, confused))
    return sorted(found, key=lambda one: (*one.urgency, one.first.folders, one.second.folders))


def gestures(table: GestureMap) -> list[Gesture]:
    """The labelled folders, twins together."""
    labelled = {row.folder for row in table.labelled}
    found = []
    for row in table.labelled:
        if row.hand == "right" or row.twin not in labelled:
            both = (row.folder, row.twin) if row.twin in labelled else (row.folder,)
            found.append(Gesture(both, row.fine, str(class_of(row))))
    return found


def write_findings(path: Path, found: Iterable[PairFinding]) -> None:
    """One row per pair, in their order."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                *("rank", "kind", "debatable", "first", "second", "first_class", "second_class"),
                *("apart_mm", "spread_mm", "ratio", "ratio_low", "ratio_high", "people", "frames"),
                *("confusion", "confusion_low", "confusion_high", "images"),
            ]
        )
        for rank, one in enumerate(found, start=1):
            ratio, taken = one.distance.ratio, one.confusion
            names = (one.first.folders[0], one.second.folders[0])
            lengths = (one.distance.apart_mm, one.distance.spread_mm)
            writer.writerow(
                [
                    *(rank, one.kind, str(one.debatable).lower(), *names),
                    *(one.first.label, one.second.label),
                    *map(_cell, (*lengths, ratio.value, ratio.low, ratio.high)),
                    *(ratio.subjects, ratio.samples),
                    *map(_cell, (taken.value, taken.low, taken.high)),
                    taken.samples,
                ]
            )


# --- text ----------------------------------------------------------------------------------------


def _lines(
    found: Sequence[PairFinding], poses: PoseSums, confusions: Confusions | None, top: int
) -> Iterator[str]:
    frames, people = int(poses.frames.sum()), len(poses.people)
    used = f"{counted(frames, 'frame')} of {counted(people, 'person', 'people')}"
    without = "" if confusions else f"; no confusion, since {PREDICTIONS} or {LABELS} is missing"
    yield f"Poses from {used}{without}."
    if poses.left_out:
        yield f"{counted(poses.left_out, 'frame')} without all 21 joints are left out."
    if people < FEWEST:
        yield f"An interval takes {FEWEST} people, so poses alone make no pair debatable here."
    merges = [one for one in found if one.kind != "split"]
    splits = [one for one in found if one.kind == "split"]
    for title, every, note in (
        ("Debatable merges", merges, f"apart by more than {APART:g} of their spread"),
        ("Debatable splits", splits, f"closer than {CLOSE:g}, or {CONFUSED:.0%} confused"),
    ):
        against = sum(one.debatable for one in every)
        pairs = counted(len(every), "pair")
        yield ""
        yield f"{title}, {against:,} of {pairs} ({note}; * the evidence is clear):"
        yield from _table(every[:top])
    yield ""
    yield "Poses do not show how a hand is turned, nor how it moves: look before you edit."


def _table(found: Sequence[PairFinding]) -> Iterator[str]:
    if not found:
        yield "  none"
        return
    names = [f"{one.first.folders[0]} + {one.second.folders[0]}" for one in found]
    width = max(map(len, names))
    yield f"    {'':<{width}}  {'apart':>8} {'/spread':>8} {'interval':>14} {'confused':>9}  class"
    for name, one in zip(names, found, strict=True):
        ratio = one.distance.ratio
        interval = f"{ratio.low:.2f} to {ratio.high:.2f}" if math.isfinite(ratio.low) else "-"
        apart = f"{one.distance.apart_mm:.1f} mm" if ratio.samples else "-"
        taken = "-" if math.isnan(one.confusion.value) else f"{one.confusion.value:.0%}"
        value = f"{ratio.value:.2f}" if ratio.samples else "-"
        classes = one.first.label
        if one.kind == "split":
            classes += f" | {one.second.label}"
        elif one.kind == "twins":
            classes += " (twins)"
        mark = "*" if one.debatable else " "
        numbers = f"{apart:>8} {value:>8} {interval:>14} {taken:>9}"
        yield f"  {mark} {name:<{width}}  {numbers}  {classes}"


def _number(value: float, instead: float = 0.0) -> float:
    return instead if math.isnan(value) else value


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
