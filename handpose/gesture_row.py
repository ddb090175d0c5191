"""One row of the gesture map, and how rows are read from CSV: strictly, all faults at once."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Literal, NamedTuple

Level = Literal["coarse", "fine"]
LEVELS: tuple[Level, Level] = ("coarse", "fine")

OTHER_HAND = {"right": "left", "left": "right"}
DROP = "drop"
"""As both class names of a row: its folder is left out of the experiment."""

COLUMNS = ("folder", "hand", "gesture", "coarse_id", "coarse", "fine_id", "fine", "twin")

SEPARATORS = {
    ";": ("semicolons", "s/;/,/g"),
    "\t": ("tabs", "s/\\t/,/g"),
    "|": ("bars", "s/|/,/g"),
}
"""What spreadsheets write instead of commas: its name, and the sed expression that fixes it."""


class FolderNaming(NamedTuple):
    """A rule for the names of gesture folders, of a data set in which they follow one."""

    hand_and_gesture: Callable[[str], tuple[str, str] | None]
    """Hand and gesture of a folder name; None if it is not the name of a gesture folder."""
    expected: str  # the rule in words, for messages


class RowFault(NamedTuple):
    """One thing to fix in the file."""

    line: int
    text: str


@dataclass(frozen=True)
class GestureRow:
    """A gesture folder and its classes."""

    folder: str  # full name in the data set; of InterHand2.6M's the number alone is not unique
    hand: str  # right or left; as written when dropped
    gesture: str  # the same for both hands in most cases
    coarse_id: int  # as written; -1 when dropped
    coarse: str
    fine_id: int
    fine: str
    twin: str  # folder of the mirrored gesture on the other hand; as written when dropped
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
    """The readable rows of a file, and its faults."""

    rows: list[GestureRow]
    folders: set[str]  # of every row, also of those that could not be read
    faults: list[RowFault]
    columns: tuple[str, ...] = COLUMNS  # in the order of the file


def parse(text: str, path: Path, naming: FolderNaming | None = None) -> Parsed:
    """Rows, and the faults of encoding, header and single cells, of the file's text.

    Folders must be named by the rule `naming`, if there is one.
    """
    faults = list(_encoding_faults(text, path))
    text = text.removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        faults.append(RowFault(1, f"the file is empty; its first line is {','.join(COLUMNS)}"))
        return Parsed([], set(), faults)
    if re.fullmatch(r'"?sep=.?"?,*', first, re.IGNORECASE):
        fault = f"is Excel's note of its separator ({first}), not the header"
        faults.append(RowFault(1, f"{fault}: sed -i 1d {quote(str(path))}"))
        return Parsed([], set(), faults)
    separator = next((s for s in SEPARATORS if s in first and "," not in first), ",")
    if separator != ",":
        name, fix = SEPARATORS[separator]
        fault = f"cells are separated by {name}, not commas: sed -i '{fix}' {quote(str(path))}"
        faults.append(RowFault(1, fault))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        faults.append(RowFault(reader.line_num, f"is not CSV ({error}); look at its quotes"))
        return Parsed([], set(), faults)
    (_, header), *body = table
    header_faults = list(_header_faults(header))
    if header_faults:  # the columns are not known
        return Parsed([], set(), faults + header_faults)
    if not body:
        faults.append(RowFault(1, "there is no row below the header"))
    rows: list[GestureRow] = []
    folders: set[str] = set()
    for line, cells in body:
        if len(cells) != len(header) or not any(cells):
            faults.append(_shape_fault(line, cells, header))
            folders.update(cells)  # one of them is the folder
            continue
        cell = dict(zip(header, cells, strict=True))
        folders.add(cell["folder"])
        faults += _cell_faults(line, cell, naming)
        row = _row(line, cell, naming)
        if row is not None:
            rows.append(row)
    return Parsed(rows, folders, faults, tuple(header))


def _encoding_faults(text: str, path: Path) -> Iterator[RowFault]:
    """Leftovers of spreadsheets, which git would show as a change of every line."""
    if text.startswith("\ufeff"):
        yield RowFault(
            1,
            "starts with a byte order mark, as Excel's 'CSV UTF-8' does: "
            f"sed -i '1s/^\\xEF\\xBB\\xBF//' {quote(str(path))}",
        )
    if "\r" in text:
        yield _line_end_fault(text, path)


def _line_end_fault(text: str, path: Path) -> RowFault:
    """The first line that ends otherwise than in a line feed alone, and the command for all."""
    before = text[: text.index("\r")]
    windows, alone = (len(re.findall(end, text)) for end in (r"\r+\n", r"\r(?!\r*\n)"))
    if not alone:
        what = f"lines end in CRLF, as Windows writes them ({windows} of them, this one first)"
        fix = r"s/\r*$//"
    elif not windows:
        what = f"lines end in CR alone, as Excel on a Mac writes them ({alone} of them)"
        fix = r"s/\r/\n/g"
    else:
        what = f"lines end in CRLF ({windows} of them) and in CR alone ({alone})"
        fix = r"s/\r*$//;s/\r/\n/g"
    text = f"{what}; a line feed alone ends a line here: sed -i '{fix}' {quote(str(path))}"
    return RowFault(before.count("\n") + 1, text)


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


def _cell_faults(
    line: int, cell: dict[str, str], naming: FolderNaming | None
) -> Iterator[RowFault]:
    """What is wrong within one row; a dropped one needs its folder alone."""
    if cell["coarse"] == cell["fine"] == DROP:
        if not cell["folder"]:
            yield RowFault(line, f"folder is empty; name the one to {DROP}, or delete the line")
        return
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
    if cell["hand"] and cell["hand"] not in OTHER_HAND:
        yield RowFault(line, f"hand is {cell['hand']!r}; write right or left")
    if naming and cell["folder"]:
        yield from _name_faults(line, cell, naming)


def _name_faults(line: int, cell: dict[str, str], naming: FolderNaming) -> Iterator[RowFault]:
    """Hand and gesture of a labelled row must be those of the folder's name."""
    folder, hand, gesture = cell["folder"], cell["hand"], cell["gesture"]
    named = naming.hand_and_gesture(folder)
    if named is None:
        yield RowFault(
            line,
            f"folder {folder!r} is not a single-hand gesture folder: {naming.expected}; to leave "
            f"it out write {DROP} as coarse and as fine",
        )
        return
    if hand in OTHER_HAND and hand != named[0]:
        number = folder.partition("_")[0]
        yield RowFault(line, f"hand is {hand}, but folder {number} shows a {named[0]} hand")
    if gesture and gesture != named[1]:
        yield RowFault(
            line, f"gesture is {gesture!r}; the folder's name without its number is {named[1]!r}"
        )


def _is_id(cell: str) -> bool:
    return cell.isascii() and cell.isdigit()


def _row(line: int, cell: dict[str, str], naming: FolderNaming | None) -> GestureRow | None:
    """The row of these cells; None when a cell that other rows are compared with is unusable."""
    if cell["coarse"] == cell["fine"] == DROP:
        words = {name: cell[name] for name in ("folder", "hand", "gesture", "twin")}
        row = GestureRow(**words, coarse_id=-1, coarse=DROP, fine_id=-1, fine=DROP, line=line)
        return row if row.folder else None
    hand = cell["hand"] if cell["hand"] in OTHER_HAND else ""
    if naming:
        named = naming.hand_and_gesture(cell["folder"])
        hand = named[0] if named else ""
    classed = DROP not in (cell["coarse"], cell["fine"]) and all(
        _is_id(cell[name]) for name in ("coarse_id", "fine_id")
    )
    if not (hand and all(cell.values()) and classed):
        return None
    return GestureRow(
        folder=cell["folder"],
        hand=hand,
        gesture=cell["gesture"],
        coarse_id=int(cell["coarse_id"]),
        coarse=cell["coarse"],
        fine_id=int(cell["fine_id"]),
        fine=cell["fine"],
        twin=cell["twin"],
        line=line,
    )
