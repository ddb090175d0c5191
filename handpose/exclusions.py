"""Annotations that people left out: `labels/exclusions.csv`, one row each, honoured by `ingest`.

The file has a header and, as shipped, no row. Rows are written by `handpose data exclude`, or by
hand. It is read strictly: all faults are reported at once, each with its line and remedy.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from handpose.counted import counted
from handpose.errors import HandPoseError
from handpose.files import atomic_file

COLUMNS = ("split", "session", "sequence", "frame", "camera", "hand", "kind", "action", "note")

ANY = "*"
"""As frame, camera or hand: each of them."""

DROP, DROP_FIT = "drop", "drop_fit"
ACTIONS = {DROP: "the annotation is not used", DROP_FIT: "it is used without its MANO fit"}

HANDS = ("right", "left", ANY)
KIND = re.compile(r"[a-z][a-z0-9_]*")

Target = tuple[str, int, str, int | None, str | None, str | None]
"""Split, session, sequence, frame, camera and hand; None for any."""


class ExclusionError(HandPoseError):
    """The list of exclusions cannot be read, has faults, or names what is not in the data."""


class Exclusion(NamedTuple):
    """One row: which annotations, and what becomes of them."""

    split: str  # the data set's own: train, val or test in InterHand2.6M
    session: int  # InterHand2.6M's capture
    sequence: str  # folder
    frame: int | None  # None: every frame
    camera: str | None  # None: every camera
    hand: str | None  # right or left; None: either
    kind: str  # of fault, by which ingest counts
    action: str  # a key of ACTIONS
    note: str = ""
    line: int = 0  # in the file

    @property
    def target(self) -> Target:
        """What it names."""
        return self[:6]

    def cells(self) -> list[str]:
        """As the file has it."""
        whole = (self.frame, self.camera, self.hand)
        frame, camera, hand = (ANY if value is None else str(value) for value in whole)
        return [
            *(self.split, str(self.session), self.sequence, frame, camera, hand),
            *(self.kind, self.action, self.note),
        ]


class Added(NamedTuple):
    """What became of rows that were to be added; the others are in the list as strictly or more."""

    new: list[Exclusion]  # appended
    raised: list[Exclusion]  # in place of a row of the same target that left out the fit alone


@dataclass(frozen=True)
class Exclusions:
    """The rows of a list of exclusions without faults."""

    path: Path
    rows: tuple[Exclusion, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Exclusions:
        """The rows of this file.

        Raises:
            ExclusionError: it is missing, unreadable, or has faults, all reported at once.
        """
        try:
            text = path.read_bytes().decode("utf-8-sig")  # Excel's "CSV UTF-8" has a mark
        except FileNotFoundError:
            raise ExclusionError(
                f"{path}: not found; ingest.exclusions in params.yaml names the list of "
                f"exclusions. `git checkout labels` brings the empty one back, whose only line is "
                f"{','.join(COLUMNS)}"
            ) from None
        except OSError as error:
            raise ExclusionError(
                f"{path}: cannot be read ({error.strerror}); ingest.exclusions in params.yaml "
                "names a CSV file"
            ) from None
        except UnicodeDecodeError as error:
            raise ExclusionError(
                f"{path}: is not in UTF-8 (byte {error.start}); save it as 'CSV UTF-8'"
            ) from None
        rows, faults = _parsed(text)
        if faults:
            lines = "\n".join(f"  {path}:{line}: {fault}" for line, fault in sorted(faults))
            raise ExclusionError(f"{path} has {counted(len(faults), 'fault')}:\n{lines}")
        return cls(path, tuple(rows))

    def of(self, split: str) -> Exclusions:
        """Those of one split of the data set."""
        return Exclusions(self.path, tuple(row for row in self.rows if row.split == split))

    def add(self, rows: Iterable[Exclusion]) -> Added:
        """Append to the file those rows whose target it does not name yet.

        A row that drops what the file, or an earlier one of these, leaves without its fit alone,
        takes that one's place and keeps its kind and note in its own note. All else in the file
        stays to the byte.
        """
        known = {row.target: row for row in self.rows}
        new: dict[Target, Exclusion] = {}
        raised: dict[Target, Exclusion] = {}
        for row in rows:
            before = known.get(row.target)
            if before is None:
                new[row.target] = known[row.target] = row
            elif (before.action, row.action) == (DROP_FIT, DROP):
                place = new if row.target in new else raised
                place[row.target] = known[row.target] = _instead_of(before, row)
        if new or raised:
            text = self.path.read_bytes().decode("utf-8")  # with its mark, if it has one
            text = _replaced(text, {row.line: row for row in raised.values()})
            end = "" if text.endswith("\n") else "\n"
            content = text + end + "".join(_line(row) for row in new.values())
            with atomic_file(self.path) as partial:
                partial.write_bytes(content.encode())
        return Added(list(new.values()), list(raised.values()))


# --- writing -------------------------------------------------------------------------------------


def _instead_of(before: Exclusion, row: Exclusion) -> Exclusion:
    """The row on the other's line, with the other's content in its note."""
    was = f"was {before.action} as {before.kind}" + (f": {before.note}" if before.note else "")
    note = f"{row.note}; {was}" if row.note else was
    return row._replace(note=note, line=before.line)


def _replaced(text: str, rows: Mapping[int, Exclusion]) -> str:
    """The text with these rows in place of those that end on these lines."""
    lines = list(io.StringIO(text, newline=""))
    reader, done = csv.reader(lines, strict=True), 0
    for _ in reader:
        if row := rows.get(reader.line_num):
            last = lines[reader.line_num - 1]
            end = last[len(last.rstrip("\r\n")) :]
            own = range(done, reader.line_num)  # more than one, where a note has line breaks
            lines[own.start : own.stop] = [*[""] * (len(own) - 1), _line(row, end)]
        done = reader.line_num
    return "".join(lines)


def _line(row: Exclusion, end: str = "\n") -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator=end).writerow(row.cells())
    return stream.getvalue()


# --- reading -------------------------------------------------------------------------------------


def _parsed(text: str) -> tuple[list[Exclusion], list[tuple[int, str]]]:
    """The rows, and faults with their lines."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        return [], [(reader.line_num, f"is not CSV ({error}); look at its quotes")]
    if not table or tuple(table[0][1]) != COLUMNS:
        found = repr(",".join(table[0][1])) if table else "an empty file"
        return [], [(1, f"found {found}, expected the header {','.join(COLUMNS)}")]
    rows: list[Exclusion] = []
    faults: list[tuple[int, str]] = []
    first: dict[Target, int] = {}
    for line, cells in table[1:]:
        if len(cells) != len(COLUMNS):
            faults.append((line, f"has {len(cells)} cells, expected {len(COLUMNS)}"))
            continue
        own = list(_cell_faults(dict(zip(COLUMNS, cells, strict=True))))
        faults += [(line, fault) for fault in own]
        if own:
            continue
        row = _row(cells, line)
        if (same := first.setdefault(row.target, line)) != line:
            faults.append((line, f"names what line {same} names; keep one"))
        rows.append(row)
    return rows, faults


def _cell_faults(cell: dict[str, str]) -> Iterator[str]:
    for name in ("split", "sequence", "camera"):
        if not cell[name]:
            yield f"{name} is empty" + ("; * stands for every camera" if name == "camera" else "")
    if not cell["session"].isdecimal():
        yield f"session is {cell['session']!r}, expected a whole number (InterHand2.6M: capture)"
    if not (cell["frame"].isdecimal() or cell["frame"] == ANY):
        yield f"frame is {cell['frame']!r}, expected a whole number, or * for every frame"
    if cell["hand"] not in HANDS:
        yield f"hand is {cell['hand']!r}, expected right, left or *"
    if not KIND.fullmatch(cell["kind"]):
        yield f"kind is {cell['kind']!r}, expected a word such as second_hand (a-z, 0-9 and _)"
    if cell["action"] not in ACTIONS:
        meanings = " or ".join(f"{name} ({meaning})" for name, meaning in ACTIONS.items())
        yield f"action is {cell['action']!r}, expected {meanings}"


def _row(cells: Sequence[str], line: int) -> Exclusion:
    split, session, sequence, frame, camera, hand, kind, action, note = cells
    return Exclusion(
        split,
        int(session),
        sequence,
        None if frame == ANY else int(frame),
        None if camera == ANY else camera,
        None if hand == ANY else hand,
        kind,
        action,
        note,
        line,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like this one, as `; did you mean NAME?`; '' if none is like it."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
