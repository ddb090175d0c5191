"""Edits of the gesture map: both hands' rows together, all other bytes of the file untouched.

A class of a new name takes free ids; a class that loses its last folder leaves a gap, which the
stage `label` closes. An edited map replaces the old one only after it has passed the same checks.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from handpose.gesture_map import GestureMap, GestureMapError
from handpose.gesture_row import DROP, LEVELS, OTHER_HAND, FolderNaming, GestureRow, Level

CLASS_NAME = re.compile(r"[^\W\d]\w*([.-]\w+)*")
"""Of a new class: letters, digits and _, with . or - in between; no digit first."""


class LabelEditError(HandPoseError):
    """An edit that the gesture map does not allow."""


class GestureClass(NamedTuple):
    """The class of a folder, by the names that both hands share."""

    coarse: str
    fine: str

    def __str__(self) -> str:
        """`coarse / fine`, or once where both are one word."""
        return self.coarse if self.coarse == self.fine else f"{self.coarse} / {self.fine}"


DROPPED = GestureClass(DROP, DROP)


def class_of(row: GestureRow) -> GestureClass:
    """The class of a row; `DROPPED` where its folder is left out."""
    return GestureClass(row.coarse, row.fine)


@dataclass(frozen=True)
class GestureMapFile:
    """A gesture map without faults, and its text."""

    text: str
    table: GestureMap
    naming: FolderNaming | None = None

    @classmethod
    def read(cls, path: Path, naming: FolderNaming | None = None) -> GestureMapFile:
        """The map in this file.

        Raises:
            GestureMapError: as `GestureMap.read`: a map with faults is not edited.
        """
        table = GestureMap.read(path, naming)
        return cls(path.read_bytes().decode("utf-8"), table, naming)

    @property
    def rows(self) -> dict[str, GestureRow]:
        """Every row by its folder."""
        return {row.folder: row for row in self.table.rows}

    # --- what a user may ask for -----------------------------------------------------------------

    def set(self, folder: str, name: str) -> GestureMapFile:
        """Both hands' folders in a class that exists, or left out (`drop`).

        Args:
            folder: of either hand.
            name: a fine class, a coarse class that holds one fine class, or a fine id of the
                folder's own hand.

        Raises:
            LabelEditError: there is no such folder or class, the class is of the other hand, or
                the result would have a fault.
        """
        row = self._row(folder)
        chosen = DROPPED if name == DROP else self._class(name, row.hand, folder)
        return self._with(dict.fromkeys(self._hands(row), chosen))

    def merge(self, kept: str, joins: str, level: Level = "fine") -> GestureMapFile:
        """Every folder of the class `joins` in the class `kept`, whose name remains.

        At the level `coarse` the fine classes stay as they are, in one coarse class.

        Raises:
            LabelEditError: there is no such class, or both are one.
        """
        first, second = (self._name(name, level) for name in (kept, joins))
        if first == second:
            raise LabelEditError(f"{kept} and {joins} are one {level} class already")
        parent = next(row.coarse for row in self.table.labelled if row.name(level) == first)
        return self._with(
            {
                row.folder: GestureClass(parent, first if level == "fine" else row.fine)
                for row in self.table.labelled
                if row.name(level) == second
            }
        )

    def split(self, name: str, folders: Sequence[str], coarse: str | None = None) -> GestureMapFile:
        """A new fine class of these folders and their twins.

        Args:
            name: of the new class.
            folders: of either hand; at least one.
            coarse: the coarse class that it lies in, old or new; None: that of the folders.

        Raises:
            LabelEditError: the name is taken or unfit, a folder is unknown or dropped, or the
                folders are of several coarse classes and `coarse` is None.
        """
        rows = [self._row(folder) for folder in folders]
        if dropped := [row.folder for row in rows if row.dropped]:
            raise LabelEditError(
                f"{dropped[0]} is left out: give it a class with `handpose labels set` first"
            )
        parents = sorted({row.coarse for row in rows})
        if coarse is None and len(parents) > 1:
            raise LabelEditError(
                f"these folders are of several coarse classes ({', '.join(parents)}); name the one "
                "of the new class with --coarse"
            )
        parent = parents[0] if coarse is None else coarse
        self._check_new(name, parent)
        chosen = GestureClass(parent, name)
        return self._with({one: chosen for row in rows for one in self._hands(row)})

    def replace(self, before: GestureMapFile) -> None:
        """Write this map in place of `before`, whole or not at all.

        Raises:
            LabelEditError: the file has changed since `before` was read.
        """
        path = self.table.path
        if path.read_bytes() != before.text.encode("utf-8"):
            raise LabelEditError(
                f"{path}: changed while this edit was made, and is left as it is; run it again"
            )
        if self.text != before.text:
            with atomic_file(path) as partial:
                partial.write_bytes(self.text.encode("utf-8"))
                partial.chmod(path.stat().st_mode)

    # --- names -----------------------------------------------------------------------------------

    def _row(self, folder: str) -> GestureRow:
        row = self.rows.get(folder)
        if row is None:
            near = self.table.nearest(folder)
            hint = f"did you mean {near}?" if near else "its first column lists the folders"
            raise LabelEditError(f"{self.table.path} has no folder {folder}; {hint}")
        return row

    def _hands(self, row: GestureRow) -> list[str]:
        """The folder and its twin; alone where that one is left out and this one is not."""
        missing = [name for name in ("hand", "gesture", "twin") if not getattr(row, name)]
        if missing:
            raise LabelEditError(
                f"{self.table.path}:{row.line}: {row.folder} is left out, and its row has no "
                f"{', '.join(missing)}: fill these cells in first"
            )
        twin = self.rows.get(row.twin)
        alone = twin is None or (twin.dropped and not row.dropped)
        return [row.folder] if alone else [row.folder, row.twin]

    def _class(self, name: str, hand: str, folder: str) -> GestureClass:
        """The class of this name, or of this fine id of the hand."""
        rows = self.table.labelled
        by_fine = {row.fine: class_of(row) for row in rows}
        if name in by_fine:
            return by_fine[name]
        inside = sorted({row.fine for row in rows if row.coarse == name})
        if len(inside) == 1:
            return by_fine[inside[0]]
        if inside:
            raise LabelEditError(
                f"{name} is a coarse class of {len(inside)} fine ones; name one of them: "
                f"{', '.join(inside)}"
            )
        numbered = [row for row in rows if str(row.fine_id) == name]
        if numbered and hand in OTHER_HAND and numbered[0].hand != hand:
            own = next(r for r in rows if r.hand == hand and r.fine == numbered[0].fine)
            raise LabelEditError(
                f"fine_id {name} is {own.fine} of the {numbered[0].hand} hand, but {folder} shows "
                f"a {hand} hand, whose {own.fine} is fine_id {own.fine_id}; its name is the same "
                f"on both: {own.fine}"
            )
        if numbered:
            return class_of(numbered[0])
        raise self._unknown(
            name, "fine", [*by_fine, *(row.coarse for row in rows)],
            f"`handpose labels split {name} {folder}` makes a new class",
        )  # fmt: skip

    def _name(self, name: str, level: Level) -> str:
        """The class of this name at this level."""
        rows = self.table.labelled
        names = {row.name(level) for row in rows}
        if name in names:
            return name
        if level == "fine":
            inside = sorted({row.fine for row in rows if row.coarse == name})
            if inside:
                raise LabelEditError(
                    f"{name} is a coarse class; its fine ones are {', '.join(inside)}. Name one of "
                    "them, or merge coarse classes with --coarse"
                )
        elif parent := {row.coarse for row in rows if row.fine == name}:
            raise LabelEditError(
                f"{name} is a fine class, of the coarse class {parent.pop()}; with --coarse name "
                "coarse classes"
            )
        raise self._unknown(name, level, names, f"{self.table.path} lists the classes")

    def _unknown(self, name: str, level: str, known: Iterable[str], remedy: str) -> LabelEditError:
        near = difflib.get_close_matches(name, sorted(set(known)), n=1)
        hint = f"did you mean {near[0]}?" if near else remedy
        return LabelEditError(f"{self.table.path} has no {level} class {name}; {hint}")

    def _check_new(self, name: str, parent: str) -> None:
        rows = self.table.labelled
        for one in (name, parent):
            if not CLASS_NAME.fullmatch(one) or one == DROP:
                raise LabelEditError(
                    f"{one!r} cannot be the name of a class: write letters, digits and _, with a "
                    f"letter or _ first, and not {DROP}"
                )
        if any(row.fine == name for row in rows):
            raise LabelEditError(
                f"there is a fine class {name} already; `handpose labels set FOLDER {name}` moves "
                "a folder there"
            )
        if name != parent and any(row.coarse == name for row in rows):
            raise LabelEditError(
                f"{name} is a coarse class, and the new class would lie in {parent}; choose "
                f"another name, or --coarse {name}"
            )

    # --- rows ------------------------------------------------------------------------------------

    def _with(self, classes: Mapping[str, GestureClass]) -> GestureMapFile:
        """The map with these folders in these classes, checked."""
        rows = self.rows
        ids = self._ids(classes.values())
        lines = self.text.split("\n")
        for folder, chosen in classes.items():
            row = rows[folder]
            if class_of(row) == chosen:
                continue
            cells = dict(zip(LEVELS, chosen, strict=True)) | {
                f"{level}_id": str(ids.get((row.hand, level, name), ""))
                for level, name in zip(LEVELS, chosen, strict=True)
            }
            at = row.line - 1
            lines[at] = _replaced(lines[at], self.table, row, cells)
        return self._checked("\n".join(lines))

    def _ids(self, classes: Iterable[GestureClass]) -> dict[tuple[str, str, str], int]:
        """(hand, level, name) -> id, of the classes that exist and of these."""
        ids: dict[tuple[str, str, str], int] = {}
        for k, level in enumerate(LEVELS):
            own = {(row.hand, row.name(level)): row.id(level) for row in self.table.labelled}
            for name in dict.fromkeys(one[k] for one in classes if one != DROPPED):
                if ("right", name) not in own and ("left", name) not in own:
                    own |= _free_ids(own, name)
            ids |= {(hand, level, name): number for (hand, name), number in own.items()}
        return ids

    def _checked(self, text: str) -> GestureMapFile:
        """This text as a map.

        Raises:
            LabelEditError: it has a fault.
        """
        path = self.table.path
        if text == self.text:
            return self
        partial = path.with_name(f".{path.name}.checked")
        try:
            partial.write_bytes(text.encode("utf-8"))
            table = GestureMap.read(partial, self.naming)
        except GestureMapError as error:
            found = str(error).replace(str(partial), str(path))
            raise LabelEditError(f"nothing was changed, since with this edit {found}") from None
        finally:
            partial.unlink(missing_ok=True)
        return GestureMapFile(text, GestureMap(path, table.rows, table.columns), self.naming)


def _free_ids(own: Mapping[tuple[str, str], int], name: str) -> dict[tuple[str, str], int]:
    """Ids of a new class, one for each hand.

    The lowest gap of both hands, where their ids differ by one number throughout, as in the curated
    map: a class that comes back is what it was. Else the two lowest free ones.
    """
    used = set(own.values())
    offsets = {
        number - own["right", other]
        for (hand, other), number in own.items()
        if hand == "left" and ("right", other) in own
    }
    if len(offsets) == 1:
        (offset,) = offsets
        for right in range(max(used) + 1):
            if not used & {right, right + offset} and 0 <= right + offset <= max(used):
                return {("right", name): right, ("left", name): right + offset}
    free = (number for number in range(len(used) + 2) if number not in used)
    return {("right", name): next(free), ("left", name): next(free)}


def _replaced(line: str, table: GestureMap, row: GestureRow, cells: Mapping[str, str]) -> str:
    """The line with other cells, all other bytes as they were.

    Raises:
        LabelEditError: a quoted cell goes on in the next line.
    """
    parts = re.findall(r'(?:^|,)(\s*(?:"(?:[^"]|"")*"|[^,"]*)\s*)', line)
    found = next(csv.reader([line]), [])
    if len(parts) != len(table.columns) or len(found) != len(table.columns):
        raise LabelEditError(
            f"{table.path}:{row.line}: a quoted cell of {row.folder} holds a line break or a "
            "quote; edit this row by hand"
        )
    for name, value in cells.items():
        at = table.columns.index(name)
        old = parts[at].strip()
        start = parts[at].index(old) if old else len(parts[at])
        new = f'"{value}"' if old.startswith('"') else value
        parts[at] = parts[at][:start] + new + parts[at][start + len(old) :]
    return ",".join(parts)
