"""The curated gesture map: which coarse and fine class each gesture folder belongs to.

`labels/gesture_map.csv` has one row per folder, edited by people; `labels/README.md` explains its
columns and how it was judged. It is read strictly: all faults are reported at once, each with its
line and remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from handpose.errors import HandPoseError
from handpose.file_content import recognise, replaced_by
from handpose.gesture_row import (
    COLUMNS,
    DROP,
    LEVELS,
    OTHER_HAND,
    FolderNaming,
    GestureRow,
    Level,
    RowFault,
    parse,
)


class GestureMapError(HandPoseError):
    """The gesture map has faults or cannot be read."""


@dataclass(frozen=True)
class GestureMap:
    """A gesture map without faults."""

    path: Path
    rows: tuple[GestureRow, ...]  # by folder, whatever their order in the file; dropped ones too
    columns: tuple[str, ...] = COLUMNS  # in the order of the file

    @classmethod
    def read(cls, path: Path, naming: FolderNaming | None = None) -> GestureMap:
        """The checked table of this file; `naming` is the data set's rule for folder names, if any.

        Raises:
            GestureMapError: the file is missing, unreadable or has faults; all are reported at
                once, each as `path:line: what is wrong; what to do`.
        """
        try:
            text = _decoded(path)
        except FileNotFoundError:
            raise GestureMapError(
                f"{path}: not found; label.map in params.yaml names the gesture map, and "
                "`git checkout labels` brings the curated one back"
            ) from None
        except OSError as error:
            raise GestureMapError(
                f"{path}: cannot be read ({error.strerror}); label.map in params.yaml names a CSV "
                "file"
            ) from None
        parsed = parse(text, path, naming)
        faults = [*parsed.faults, *_table_faults(parsed.rows, parsed.folders)]
        if faults:
            lines = "\n".join(f"  {path}:{line}: {text}" for line, text in sorted(faults))
            plural = "s" if len(faults) > 1 else ""
            raise GestureMapError(f"{path} has {len(faults)} fault{plural}:\n{lines}")
        rows = tuple(sorted(parsed.rows, key=lambda row: row.folder))
        return cls(path, rows, parsed.columns)

    @property
    def labelled(self) -> tuple[GestureRow, ...]:
        """The rows with classes: those that are not dropped."""
        return tuple(row for row in self.rows if not row.dropped)

    def drop_line(self, folder: str) -> str:
        """The line that leaves a folder out: its name and `DROP`; no more is needed."""
        cells = {"folder": folder, "coarse": DROP, "fine": DROP}
        return ",".join(cells.get(name, "") for name in self.columns)

    def nearest(self, folder: str) -> str | None:
        """The known folder whose name is most like this one, for messages."""
        return _nearest(folder, (row.folder for row in self.rows))

    def class_ids(self, level: Level, *, canonical: bool) -> dict[tuple[str, str], int]:
        """Class ids 0, 1, 2, ... without a gap: (hand, class name) -> id.

        Their order is that of the ids in the file. Where those have a gap, because a class
        was dropped or merged into another, those above move down. With `canonical` both hands have
        the classes of the right one.
        """
        written = {(row.hand, row.name(level)): row.id(level) for row in self.labelled}
        if canonical:
            written = {key: written["right", key[1]] for key in written}
        dense = {old: new for new, old in enumerate(sorted(set(written.values())))}
        return {key: dense[old] for key, old in written.items()}

    def summary(self) -> str:
        """One line of counts."""
        right, left = (sum(row.hand == hand for row in self.labelled) for hand in ("right", "left"))
        coarse, fine = (len(self.class_ids(level, canonical=False)) for level in LEVELS)
        return (
            f"{self.path}: no faults; {right} right-hand and {left} left-hand folders in {coarse} "
            f"coarse and {fine} fine classes, {len(self.rows) - len(self.labelled)} folders dropped"
        )


def _decoded(path: Path) -> str:
    """The text of the file; GestureMapError if it is not text in UTF-8."""
    content, found = path.read_bytes(), recognise(path)
    if found is not None and found.kind not in ("empty", "text", "utf-16"):
        raise GestureMapError(f"{path}: {found}")
    try:
        if b"\0" not in content:
            return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise GestureMapError(f"{path}: {_encoding(content, path)}")


def _encoding(content: bytes, path: Path) -> str:
    """What the text is encoded in, instead of UTF-8, and the command that converts it."""
    try:
        content.decode("utf-8")
        at, what = content.index(b"\0"), "a zero byte"
    except UnicodeDecodeError as error:
        at, what = error.start, f"0x{content[error.start]:02x}"
    name = "Windows-1252, as Excel on Windows saves CSV"
    code = "WINDOWS-1252"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name, code = "UTF-16, as Excel saves Unicode text", "UTF-16"
    elif b"\0" in content:  # of every two bytes of ASCII text one is zero
        code = "UTF-16BE" if content[:1] == b"\0" else "UTF-16LE"
        name = f"{code} without its mark"
    elif b"\r" in content and b"\n" not in content:
        name, code = "Mac Roman, as Excel on a Mac saves CSV", "MACINTOSH"
    return (
        f"is not in UTF-8 (byte {at} is {what}), perhaps in {name}: "
        f"{replaced_by(f'iconv -f {code} -t UTF-8', path)}"
    )


def _table_faults(rows: list[GestureRow], folders: set[str]) -> Iterator[RowFault]:
    """Contradictions between rows; `folders` are also those of rows that could not be read."""
    known: dict[str, GestureRow] = {}
    for row in rows:
        first = known.setdefault(row.folder, row)
        if first is not row:
            yield RowFault(
                row.line, f"folder {row.folder} is already on line {first.line}; keep one"
            )
    labelled = [row for row in known.values() if not row.dropped]
    for level in LEVELS:
        yield from _class_faults(labelled, level)
    yield from _parent_faults(labelled)
    for row in labelled:
        if row.twin in known or row.twin not in folders:
            yield from _twin_faults(row, known)


def _class_faults(rows: Iterable[GestureRow], level: Level) -> Iterator[RowFault]:
    """Each id has one name, each name one id, and each class one hand."""
    by_id: dict[int, GestureRow] = {}
    by_name: dict[tuple[str, str], GestureRow] = {}
    for row in rows:
        name, number = row.name(level), row.id(level)
        same_id = by_id.setdefault(number, row)
        same_name = by_name.setdefault((row.hand, name), row)
        if same_id.hand != row.hand:
            yield RowFault(
                row.line,
                f"{level}_id {number} is of a {row.hand} hand here but of a {same_id.hand} hand on "
                f"line {same_id.line}; each hand has ids of its own",
            )
        elif same_id.name(level) != name:
            yield RowFault(
                row.line,
                f"{level}_id {number} is called {name!r} here but {same_id.name(level)!r} on line "
                f"{same_id.line}; one id has one name",
            )
        elif same_name.id(level) != number:
            yield RowFault(
                row.line,
                f"{level} {name!r} of the {row.hand} hand has id {number} here but "
                f"{same_name.id(level)} on line {same_name.line}; one name has one id on a hand",
            )


def _parent_faults(rows: Iterable[GestureRow]) -> Iterator[RowFault]:
    """A fine class lies inside one coarse class."""
    parent: dict[int, GestureRow] = {}
    for row in rows:
        first = parent.setdefault(row.fine_id, row)
        if first.coarse_id != row.coarse_id:
            yield RowFault(
                row.line,
                f"fine_id {row.fine_id} belongs to coarse_id {row.coarse_id} here but to "
                f"{first.coarse_id} on line {first.line}; a fine class has one coarse parent",
            )


def _twin_faults(row: GestureRow, known: dict[str, GestureRow]) -> Iterator[RowFault]:
    """The twin exists, is of the other hand, points back, and has classes of the same names."""
    twin = known.get(row.twin)
    if twin is None:
        near = _nearest(row.twin, (r.folder for r in known.values() if r.hand != row.hand))
        hint = f"did you mean {near}?" if near else "add its row"
        yield RowFault(row.line, f"twin {row.twin} has no row in this table; {hint}")
    elif twin.dropped:  # its other cells count for nothing
        yield from _lone_faults(row, twin, known.values())
    elif twin.hand == row.hand:
        yield RowFault(
            row.line,
            f"twin {row.twin} is a {twin.hand} hand too; name the {OTHER_HAND[row.hand]} one",
        )
    elif twin.twin != row.folder:
        if twin.twin in known:  # otherwise the fault is reported on the twin's line
            yield RowFault(
                row.line,
                f"twin {row.twin} has {twin.twin} as its twin (line {twin.line}); twins name each "
                "other",
            )
    elif row.hand == "right":  # reported once per pair
        yield from _mirror_faults(row, twin)


def _lone_faults(
    row: GestureRow, twin: GestureRow, rows: Iterable[GestureRow]
) -> Iterator[RowFault]:
    """A row whose twin is dropped needs another folder of its class on that hand."""
    other = OTHER_HAND[row.hand]
    there = {(r.coarse, r.fine) for r in rows if r.hand == other and not r.dropped}
    if (row.coarse, row.fine) not in there:
        yield RowFault(
            row.line,
            f"{row.fine!r} has no {other} hand left since {twin.folder} is dropped (line "
            f"{twin.line}); drop this folder too, or neither",
        )


def _mirror_faults(row: GestureRow, twin: GestureRow) -> Iterator[RowFault]:
    """Both hands have the same classes, since a mirrored image takes the class of its twin."""
    for level in LEVELS:
        if row.name(level) != twin.name(level):
            yield RowFault(
                row.line,
                f"{level} is {row.name(level)!r}, but its twin {twin.folder} (line "
                f"{twin.line}) has {twin.name(level)!r}; a gesture has classes of the same "
                "names on both hands",
            )


def _nearest(folder: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(folder, list(known), n=1)
    return near[0] if near else None
