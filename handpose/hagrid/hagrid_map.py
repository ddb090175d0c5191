"""`labels/hagrid_map.csv`: which class each gesture of HaGRIDv2 belongs to.

Columns: `gesture`, HaGRID's name; `coarse` and `fine`, names of classes of the gesture map, or new
ones, or `drop` as both: not used. It is read strictly, all faults at once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from handpose.errors import HandPoseError
from handpose.gesture_map import GestureMap
from handpose.gesture_row import DROP, LEVELS, GestureRow, Level

COLUMNS = ("gesture", "coarse", "fine")

TWO_HANDED = ("hand_heart", "hand_heart2", "holy", "take_picture", "thumb_index2", "timeout",
              "xsign")  # fmt: skip
"""Gestures of both hands together (hukenovs/hagrid, README): never of one hand's class."""

GESTURES = (
    *("call", "dislike", "fist", "four", "grabbing", "grip", "like", "little_finger"),
    *("middle_finger", "mute", "ok", "one", "palm", "peace", "peace_inverted", "point", "rock"),
    *("stop", "stop_inverted", "three", "three2", "three3", "three_gun", "thumb_index"),
    *("two_up", "two_up_inverted", *TWO_HANDED, "no_gesture"),
)
"""The 33 gestures and `no_gesture` (hukenovs/hagrid, configs/)."""

HANDS = ("right", "left")


class HagridMapError(HandPoseError):
    """The map has faults or cannot be read."""


@dataclass(frozen=True)
class HagridRow:
    """A gesture of HaGRID and its classes."""

    gesture: str
    coarse: str
    fine: str

    @property
    def dropped(self) -> bool:
        """Whether it is not used."""
        return self.coarse == DROP

    def name(self, level: Level) -> str:
        """Class name."""
        return self.coarse if level == "coarse" else self.fine


def folder_of(gesture: str, hand: str) -> str:
    """What stands for a gesture folder in labels and shards, of this gesture of this hand."""
    return f"hagrid_{hand}_{gesture}"


def read_hagrid_map(path: Path) -> dict[str, HagridRow]:
    """The rows by gesture.

    Raises:
        HagridMapError: the file is missing or has faults, each named with its line.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HagridMapError(
            f"{path}: cannot be read ({error}); label.hagrid_map in params.yaml names the map of "
            "HaGRID's gestures, and `git checkout labels` brings the curated one back"
        ) from None
    table = [[cell.strip() for cell in cells] for cells in csv.reader(text.splitlines())]
    if not table or tuple(table[0]) != COLUMNS:
        found = ",".join(table[0]) if table else "nothing"
        raise HagridMapError(f"{path}:1: found {found}, expected the header {','.join(COLUMNS)}")
    rows: dict[str, HagridRow] = {}
    faults: list[str] = []
    for line, cells in enumerate(table[1:], start=2):
        if not cells:
            continue
        if len(cells) != len(COLUMNS):
            faults.append(f"{line}: has {len(cells)} cells, the header has {len(COLUMNS)}")
            continue
        row = HagridRow(*cells)
        faults += [f"{line}: {text}" for text in _faults(row, rows)]
        rows[row.gesture] = row
    faults += [f"1: has no row of {one}" for one in GESTURES if one not in rows]
    if faults:
        lines = "\n".join(f"  {path}:{fault}" for fault in faults)
        raise HagridMapError(f"{path} has faults:\n{lines}")
    return rows


def _faults(row: HagridRow, before: dict[str, HagridRow]) -> Iterator[str]:
    if row.gesture not in GESTURES:
        yield f"gesture {row.gesture!r} is none of HaGRIDv2's: {', '.join(GESTURES)}"
    if row.gesture in before:
        yield f"gesture {row.gesture} has a row above; keep one"
    if not (row.coarse and row.fine):
        yield f"coarse or fine is empty; to leave {row.gesture} out write {DROP} as both"
    elif (row.coarse == DROP) != (row.fine == DROP):
        yield f"coarse and fine must both be {DROP} to leave {row.gesture} out"
    if not row.dropped and row.gesture in (*TWO_HANDED, "no_gesture"):
        yield f"{row.gesture} is no gesture of one hand; write {DROP} as coarse and as fine"


def with_hagrid(table: GestureMap, rows: Sequence[HagridRow]) -> GestureMap:
    """The gesture map with a folder for each gesture of HaGRID and hand.

    A class that the map has keeps its id there; a new one gets the next free ids, the right hand's
    first. Dropped gestures have no folder.

    Raises:
        HagridMapError: a fine class would lie in two coarse ones.
    """
    used = [row for row in rows if not row.dropped]
    parents = {row.fine: row.coarse for row in table.labelled}
    for row in used:
        parent = parents.setdefault(row.fine, row.coarse)
        if parent != row.coarse:
            raise HagridMapError(
                f"the map of HaGRID's gestures puts {row.gesture} into fine class {row.fine!r} of "
                f"coarse class {row.coarse!r}, but {row.fine!r} lies in {parent!r}; a fine class "
                "has one coarse parent"
            )
    ids = {level: _ids(table, used, level) for level in LEVELS}
    added = [
        GestureRow(
            folder=folder_of(row.gesture, hand),
            hand=hand,
            gesture=row.gesture,
            coarse_id=ids["coarse"][hand, row.coarse],
            coarse=row.coarse,
            fine_id=ids["fine"][hand, row.fine],
            fine=row.fine,
            twin=folder_of(row.gesture, HANDS[1 - k]),
        )
        for row in used
        for k, hand in enumerate(HANDS)
    ]
    return GestureMap(table.path, (*table.rows, *added), table.columns)


def new_classes(table: GestureMap, rows: Sequence[HagridRow]) -> list[str]:
    """Names of the fine classes that HaGRID's gestures add to those of the map, sorted."""
    there = {row.fine for row in table.labelled}
    return sorted({row.fine for row in rows if not row.dropped} - there)


def _ids(table: GestureMap, rows: Sequence[HagridRow], level: Level) -> dict[tuple[str, str], int]:
    """Ids of the map's classes and of those that are new, by hand and name."""
    found = {(row.hand, row.name(level)): row.id(level) for row in table.labelled}
    free = count(max(found.values(), default=-1) + 1)
    for name in dict.fromkeys(row.name(level) for row in rows):
        for hand in HANDS:
            if (hand, name) not in found:
                found[hand, name] = next(free)
    return found
