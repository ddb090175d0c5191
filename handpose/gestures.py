"""The curated gesture map: which coarse and fine class each gesture folder belongs to.

`labels/gesture_map.csv` has one row a folder, edited by people; `labels/README.md` tells its
columns and how it was judged. It is read strictly: every fault is told at once, with its line and
what to do.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from handpose.errors import HandPoseError

Level = Literal["coarse", "fine"]
LEVELS: tuple[Level, Level] = ("coarse", "fine")

OTHER_HAND = {"right": "left", "left": "right"}
HAND_OF_NUMBER = {"00": "right", "01": "left"}
"""InterHand2.6M numbers right-hand gesture folders 00xx and left-hand ones 01xx."""

DROP = "drop"
"""In both class names of a row: its folder is left out of the experiment."""

COLUMNS = ("folder", "hand", "gesture", "coarse_id", "coarse", "fine_id", "fine", "twin")


class GestureTableError(HandPoseError):
    """The gesture map cannot be used as it stands, or does not know a folder."""


class Fault(NamedTuple):
    """One thing to mend in the file."""

    line: int
    text: str


@dataclass(frozen=True)
class GestureRow:
    """A gesture folder and its classes."""

    folder: str  # full name in the data set; the number alone is not unique
    hand: str  # right or left
    gesture: str  # InterHand2.6M's name: the folder without its number
    coarse_id: int
    coarse: str
    fine_id: int
    fine: str
    twin: str  # folder of the mirrored gesture on the other hand
    line: int = field(default=0, compare=False)

    @property
    def dropped(self) -> bool:
        """Whether the folder is left out."""
        return DROP in (self.coarse, self.fine)

    def id(self, level: Level) -> int:
        """Class id as written in the file."""
        return self.coarse_id if level == "coarse" else self.fine_id

    def name(self, level: Level) -> str:
        """Class name; the same on both hands."""
        return self.coarse if level == "coarse" else self.fine


@dataclass(frozen=True)
class GestureTable:
    """A gesture map without faults."""

    path: Path
    rows: tuple[GestureRow, ...]  # by folder, whatever their order in the file; dropped ones too

    @classmethod
    def read(cls, path: Path) -> GestureTable:
        """The checked table of this file.

        Raises:
            GestureTableError: the file is missing, unreadable or has faults; all of them are told
                at once, each as `path:line: what is wrong; what to do`.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise GestureTableError(
                f"{path}: not found; label.map in params.yaml names the gesture map. "
                f"`git checkout {path}` brings the curated one back"
            ) from None
        except UnicodeDecodeError as error:
            raise GestureTableError(
                f"{path}: byte {error.start} is not UTF-8; save the table as 'CSV', encoding UTF-8"
            ) from None
        faults = list(_encoding_faults(text))
        rows, cell_faults = _parse(text.removeprefix("\ufeff"))
        faults += cell_faults
        faults += _table_faults(rows)
        if faults:
            told = "\n".join(f"  {path}:{line}: {text}" for line, text in sorted(faults))
            raise GestureTableError(f"{path} has {_count(len(faults), 'fault')}:\n{told}")
        return cls(path, tuple(sorted(rows, key=lambda row: row.folder)))

    @property
    def kept(self) -> tuple[GestureRow, ...]:
        """The rows that are not dropped."""
        return tuple(row for row in self.rows if not row.dropped)

    def nearest(self, folder: str) -> str | None:
        """The known folder whose name is most like this one, for messages."""
        near = difflib.get_close_matches(folder, [row.folder for row in self.rows], n=1)
        return near[0] if near else None

    def class_ids(self, level: Level, *, canonical: bool) -> dict[tuple[str, str], int]:
        """Class ids 0, 1, 2, ... without gaps: (hand, class name) -> id.

        The order is that of the ids in the file; where those have a gap, because a class was
        dropped or merged into another, the ones above move down. `canonical` gives the classes of
        the right hand to both hands.
        """
        written = {(row.hand, row.name(level)): row.id(level) for row in self.kept}
        if canonical:
            written = {key: written["right", key[1]] for key in written}
        dense = {old: new for new, old in enumerate(sorted(set(written.values())))}
        return {key: dense[old] for key, old in written.items()}

    def summary(self) -> str:
        """One line of counts."""
        hands = {hand: sum(row.hand == hand for row in self.kept) for hand in OTHER_HAND}
        classes = {lvl: len(set(self.class_ids(lvl, canonical=False).values())) for lvl in LEVELS}
        return (
            f"{self.path}: no faults; {len(self.kept)} gesture folders ({hands['right']} right, "
            f"{hands['left']} left), {classes['coarse']} coarse and {classes['fine']} fine classes "
            f"of both hands together, {len(self.rows) - len(self.kept)} folders dropped"
        )


def _encoding_faults(text: str) -> Iterator[Fault]:
    """What spreadsheets leave in a file: it reads well and compares badly in git."""
    if text.startswith("\ufeff"):
        yield Fault(
            1,
            "starts with a byte order mark, as Excel's 'CSV UTF-8' does; save it as plain 'CSV' "
            "or remove the mark: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
        )
    if "\r" in text:
        line = text[: text.index("\r")].count("\n") + 1
        yield Fault(
            line,
            f"{_count(text.count(chr(13)), 'line')} ending in a carriage return (CRLF, as Windows "
            "writes); lines end in a line feed alone here: sed -i 's/\\r$//' FILE",
        )


def _parse(text: str) -> tuple[list[GestureRow], list[Fault]]:
    """The rows whose cells can be read, and the faults of the others and of the header."""
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        return [], [Fault(1, f"the file is empty; its first line is {','.join(COLUMNS)}")]
    faults = []
    separator = next((s for s in ";\t" if s in lines[0] and "," not in lines[0]), ",")
    if separator != ",":
        name = {";": "semicolons", "\t": "tabs"}[separator]
        mend = {";": "s/;/,/g", "\t": "s/\\t/,/g"}[separator]
        faults.append(Fault(1, f"cells are separated by {name}, not commas: sed -i '{mend}' FILE"))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        return [], [*faults, Fault(reader.line_num, f"is not CSV ({error}); look at its quotes")]
    (_, header), *body = table
    header_faults = list(_header_faults(header))
    if header_faults:  # what the cells mean is not known
        return [], faults + header_faults
    rows = []
    for line, cells in body:
        row = _row(line, header, cells)
        if isinstance(row, GestureRow):
            rows.append(row)
        else:
            faults += row
    if not body:
        faults.append(Fault(1, "there is no row below the header"))
    return rows, faults


def _header_faults(header: list[str]) -> Iterator[Fault]:
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            yield Fault(1, f"column {name!r} is not known; {hint}")
        elif header.count(name) > 1:
            yield Fault(1, f"column {name!r} stands there {header.count(name)} times; keep one")
    for name in COLUMNS:
        if name not in header:
            yield Fault(1, f"column {name!r} is missing; the header is {','.join(COLUMNS)}")


def _row(line: int, header: list[str], cells: list[str]) -> GestureRow | list[Fault]:
    """The row of these cells, or what is wrong with them."""
    if not any(cells):
        return [Fault(line, "has empty cells only; delete the line")]
    if len(cells) != len(header):
        return [Fault(line, f"has {_count(len(cells), 'cell')}, the header has {len(header)}")]
    cell = dict(zip(header, cells, strict=True))
    faults = [
        Fault(line, f"cell {name!r} is empty; a folder to be left out has {DROP!r} as coarse "
              "and fine") for name in COLUMNS if not cell[name]
    ]  # fmt: skip
    faults += [
        Fault(line, f"{name} is {cell[name]!r}, not a whole number from 0 up")
        for name in ("coarse_id", "fine_id")
        if cell[name] and not re.fullmatch(r"[0-9]+", cell[name]) and DROP not in cell.values()
    ]
    faults += _name_faults(line, cell)
    if faults:
        return faults
    dropped = DROP in (cell["coarse"], cell["fine"])
    coarse_id, fine_id = (-1 if dropped else int(cell[name]) for name in ("coarse_id", "fine_id"))
    names = {name: cell[name] for name in COLUMNS if not name.endswith("_id")}
    return GestureRow(**names, coarse_id=coarse_id, fine_id=fine_id, line=line)


def _name_faults(line: int, cell: dict[str, str]) -> Iterator[Fault]:
    """Faults of one row's words."""
    folder, hand = cell["folder"], cell["hand"]
    named = re.fullmatch(r"(0[01])[0-9]{2}_(.+)", folder)
    if folder and not named:
        yield Fault(
            line,
            f"folder {folder!r} is no single-hand gesture folder: these are called 00xx_NAME "
            "(right) or 01xx_NAME (left)",
        )
    if hand and hand not in OTHER_HAND:
        yield Fault(line, f"hand is {hand!r}; write right or left")
    elif hand and named and hand != HAND_OF_NUMBER[named[1]]:
        right = HAND_OF_NUMBER[named[1]]
        yield Fault(line, f"hand is {hand}, but folders {named[1]}xx show a {right} hand")
    if cell["gesture"] and named and cell["gesture"] != named[2]:
        yield Fault(
            line,
            f"gesture is {cell['gesture']!r}; it is the folder's name without its number: "
            f"{named[2]!r}",
        )
    if (cell["coarse"] == DROP) != (cell["fine"] == DROP) and cell["coarse"] and cell["fine"]:
        yield Fault(line, f"coarse and fine must both be {DROP!r} to leave the folder out")


def _table_faults(rows: list[GestureRow]) -> Iterator[Fault]:
    """Contradictions between rows."""
    first: dict[str, GestureRow] = {}
    for row in rows:
        if row.folder in first:
            other = first[row.folder].line
            yield Fault(row.line, f"folder {row.folder} is already on line {other}; keep one")
        else:
            first[row.folder] = row
    kept = [row for row in first.values() if not row.dropped]
    for level in LEVELS:
        yield from _class_faults(kept, level)
    yield from _parent_faults(kept)
    for row in first.values():
        yield from _twin_faults(row, first)


def _class_faults(rows: Iterable[GestureRow], level: Level) -> Iterator[Fault]:
    """Ids and names of a level must name each other, and a class must stay on one hand."""
    by_id: dict[int, GestureRow] = {}
    by_name: dict[tuple[str, str], GestureRow] = {}
    for row in rows:
        name, number = row.name(level), row.id(level)
        same_id = by_id.setdefault(number, row)
        same_name = by_name.setdefault((row.hand, name), row)
        if same_id.hand != row.hand:
            yield Fault(
                row.line,
                f"{level}_id {number} is of a {row.hand} hand here but of a {same_id.hand} hand on "
                f"line {same_id.line}; the classes of the two hands have ids of their own",
            )
        elif same_id.name(level) != name:
            yield Fault(
                row.line,
                f"{level}_id {number} is called {name!r} here but {same_id.name(level)!r} on line "
                f"{same_id.line}; one id has one name",
            )
        elif same_name.id(level) != number:
            yield Fault(
                row.line,
                f"{level} {name!r} of the {row.hand} hand has id {number} here but "
                f"{same_name.id(level)} on line {same_name.line}; one name has one id on a hand",
            )


def _parent_faults(rows: Iterable[GestureRow]) -> Iterator[Fault]:
    """Every fine class lies inside one coarse class."""
    parent: dict[int, GestureRow] = {}
    for row in rows:
        seen = parent.setdefault(row.fine_id, row)
        if seen.coarse_id != row.coarse_id:
            yield Fault(
                row.line,
                f"fine_id {row.fine_id} belongs to coarse_id {row.coarse_id} here but to "
                f"{seen.coarse_id} on line {seen.line}; a fine class has one coarse parent",
            )


def _twin_faults(row: GestureRow, rows: dict[str, GestureRow]) -> Iterator[Fault]:
    """A twin exists, is of the other hand, points back, and has the same class names."""
    twin = rows.get(row.twin)
    if twin is None:
        near = difflib.get_close_matches(
            row.twin, [r.folder for r in rows.values() if r.hand != row.hand], n=1
        )
        hint = f"did you mean {near[0]}?" if near else "add its row"
        yield Fault(row.line, f"twin {row.twin} has no good row in this table; {hint}")
    elif twin.hand == row.hand:
        yield Fault(
            row.line, f"twin {row.twin} is a {twin.hand} hand too; name the {OTHER_HAND[row.hand]}"
        )
    elif twin.twin != row.folder:
        if twin.twin in rows:  # else the twin's own line tells the fault
            yield Fault(
                row.line,
                f"twin {row.twin} names {twin.twin} as its twin (line {twin.line}); twins name "
                "each other",
            )
    elif row.dropped:
        return
    elif twin.dropped:
        yield from _widowed(row, twin, rows.values())
    elif row.hand == "right":  # once a pair
        for level in LEVELS:
            if row.name(level) != twin.name(level):
                yield Fault(
                    row.line,
                    f"{level} is {row.name(level)!r}, but {twin.name(level)!r} for its twin "
                    f"{twin.folder} (line {twin.line}); a gesture has the same class names on "
                    "both hands",
                )


def _widowed(row: GestureRow, twin: GestureRow, rows: Iterable[GestureRow]) -> Iterator[Fault]:
    """A kept folder whose dropped twin was the last of its class on the other hand."""
    for level in LEVELS:
        left = {r.name(level) for r in rows if r.hand == twin.hand and not r.dropped}
        if row.name(level) not in left:
            yield Fault(
                row.line,
                f"{level} {row.name(level)!r} has no {twin.hand} hand any more since "
                f"{twin.folder} is dropped (line {twin.line}); drop this folder too, or neither",
            )
            return


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
