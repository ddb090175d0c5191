"""One row of the gesture map, and how rows are read from CSV: strictly, all faults at once."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Level = Literal["coarse", "fine"]
LEVELS: tuple[Level, Level] = ("coarse", "fine")

OTHER_HAND = {"right": "left", "left": "right"}
HAND_OF_NUMBER = {"00": "right", "01": "left"}
"""InterHand2.6M numbers right-hand gesture folders 00xx and left-hand ones 01xx."""

DROP = "drop"
"""In both class names of a row: its folder is left out of the experiment."""

COLUMNS = ("folder", "hand", "gesture", "coarse_id", "coarse", "fine_id", "fine", "twin")

SEPARATORS = {";": ("semicolons", "s/;/,/g"), "\t": ("tabs", "s/\\t/,/g")}
"""What spreadsheets write instead of commas: its name, and the sed expression that mends it."""


class RowFault(NamedTuple):
    """One thing to mend in the file."""

    line: int
    text: str


@dataclass(frozen=True)
class GestureRow:
    """A gesture folder and its classes."""

    folder: str  # full name in the data set; the number alone is not unique
    hand: str  # right or left
    gesture: str  # InterHand2.6M's name: the folder without its number
    coarse_id: int  # as written; -1 when dropped
    coarse: str
    fine_id: int
    fine: str
    twin: str  # folder of the mirrored gesture on the other hand
    line: int = field(default=0, compare=False)

    @property
    def dropped(self) -> bool:
        """Whether the folder is left out."""
        return self.coarse == DROP

    def id(self, level: Level) -> int:
        """Class id as written in the file."""
        return self.coarse_id if level == "coarse" else self.fine_id

    def name(self, level: Level) -> str:
        """Class name; the same on both hands."""
        return self.coarse if level == "coarse" else self.fine


class Parsed(NamedTuple):
    """What could be read of a file."""

    rows: list[GestureRow]
    folders: set[str]  # of every row, also of those that could not be read
    faults: list[RowFault]


def parse(text: str, path: Path) -> Parsed:
    """Rows, and the faults of encoding, header and single cells, of the file's text."""
    faults = list(_encoding_faults(text, path))
    text = text.removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        faults.append(RowFault(1, f"the file is empty; its first line is {','.join(COLUMNS)}"))
        return Parsed([], set(), faults)
    separator = next((s for s in SEPARATORS if s in first and "," not in first), ",")
    if separator != ",":
        name, mend = SEPARATORS[separator]
        told = f"cells are separated by {name}, not commas: sed -i '{mend}' {path}"
        faults.append(RowFault(1, told))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        faults.append(RowFault(reader.line_num, f"is not CSV ({error}); look at its quotes"))
        return Parsed([], set(), faults)
    (_, header), *body = table
    header_faults = list(_header_faults(header))
    if header_faults:  # what the cells mean is not known
        return Parsed([], set(), faults + header_faults)
    if not body:
        faults.append(RowFault(1, "there is no row below the header"))
    rows: list[GestureRow] = []
    folders: set[str] = set()
    for line, cells in body:
        if len(cells) != len(header) or not any(cells):
            faults.append(_shape_fault(line, cells, header))
            folders.update(cells)  # whichever of them it is
            continue
        cell = dict(zip(header, cells, strict=True))
        folders.add(cell["folder"])
        faults += _cell_faults(line, cell)
        row = _row(line, cell)
        if row is not None:
            rows.append(row)
    return Parsed(rows, folders, faults)


def _encoding_faults(text: str, path: Path) -> Iterator[RowFault]:
    """What spreadsheets leave in a file; it would show as a change of every line in git."""
    if text.startswith("\ufeff"):
        yield RowFault(
            1,
            "starts with a byte order mark, as Excel's 'CSV UTF-8' does: "
            f"sed -i '1s/^\\xEF\\xBB\\xBF//' {path}",
        )
    if "\r" in text:
        line = text[: text.index("\r")].count("\n") + 1
        yield RowFault(
            line,
            f"lines end in CRLF, as Windows writes them ({text.count(chr(13))} of them, this one "
            f"first); a line feed alone ends a line here: sed -i 's/\\r$//' {path}",
        )


def _header_faults(header: list[str]) -> Iterator[RowFault]:
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            yield RowFault(1, f"column {name!r} is not known; {hint}")
        elif header.count(name) > 1:
            yield RowFault(1, f"column {name!r} is there {header.count(name)} times; keep one")
    for name in COLUMNS:
        if name not in header:
            yield RowFault(1, f"column {name!r} is missing; the header is {','.join(COLUMNS)}")


def _shape_fault(line: int, cells: list[str], header: list[str]) -> RowFault:
    if not any(cells):
        return RowFault(line, "has empty cells only; delete the line")
    return RowFault(
        line,
        f"has {len(cells)} cell{'s' * (len(cells) != 1)}, the header has {len(header)}; cells "
        "are separated by commas, and names hold none",
    )


def _cell_faults(line: int, cell: dict[str, str]) -> Iterator[RowFault]:
    """What is wrong within one row."""
    for name in COLUMNS:
        if not cell[name]:
            yield RowFault(
                line,
                f"{name} is empty; to leave the folder out write {DROP} as coarse and as fine",
            )
    if DROP not in (cell["coarse"], cell["fine"]):
        for name in ("coarse_id", "fine_id"):
            if cell[name] and not _is_id(cell[name]):
                yield RowFault(line, f"{name} is {cell[name]!r}, not a whole number from 0 up")
    elif cell["coarse"] != cell["fine"]:
        yield RowFault(line, f"coarse and fine must both be {DROP} to leave the folder out")
    yield from _name_faults(line, cell["folder"], cell["hand"], cell["gesture"])


def _name_faults(line: int, folder: str, hand: str, gesture: str) -> Iterator[RowFault]:
    """Folder, hand and gesture must tell the same story."""
    number, _, name = folder.partition("_")
    number_hand = _hand_of(folder)
    if folder and not number_hand:
        yield RowFault(
            line,
            f"folder {folder!r} is no single-hand gesture folder: these are called 00xx_NAME "
            "(right) or 01xx_NAME (left)",
        )
    if hand and hand not in OTHER_HAND:
        yield RowFault(line, f"hand is {hand!r}; write right or left")
    elif hand and number_hand and hand != number_hand:
        yield RowFault(line, f"hand is {hand}, but folder {number} shows a {number_hand} hand")
    if gesture and number_hand and gesture != name:
        yield RowFault(
            line, f"gesture is {gesture!r}; the folder's name without its number is {name!r}"
        )


def _hand_of(folder: str) -> str:
    """The hand that the folder's number tells; '' for any other folder."""
    return HAND_OF_NUMBER[folder[:2]] if re.fullmatch(r"0[01]\d\d_.+", folder) else ""


def _is_id(cell: str) -> bool:
    return cell.isascii() and cell.isdigit()


def _row(line: int, cell: dict[str, str]) -> GestureRow | None:
    """The row of these cells; None when a cell that other rows are compared with is unusable."""
    dropped = cell["coarse"] == cell["fine"] == DROP
    hand = _hand_of(cell["folder"])
    classed = DROP not in (cell["coarse"], cell["fine"]) and all(
        _is_id(cell[name]) for name in ("coarse_id", "fine_id")
    )
    if not (hand and all(cell.values()) and (dropped or classed)):
        return None
    return GestureRow(
        folder=cell["folder"],
        hand=hand,
        gesture=cell["gesture"],
        coarse_id=-1 if dropped else int(cell["coarse_id"]),
        coarse=cell["coarse"],
        fine_id=-1 if dropped else int(cell["fine_id"]),
        fine=cell["fine"],
        twin=cell["twin"],
        line=line,
    )
