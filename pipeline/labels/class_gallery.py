"""`handpose labels gallery`: one HTML file that shows every class of the map, folder beside folder.

A row is a person, a column a folder. Folders that are merged into one class stand side by side, and
so do twins, the same gesture of either hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handpose.counted import counted
from handpose.files import atomic_file
from handpose.gesture_map import GestureMap
from handpose.gesture_row import DROP, GestureRow
from pipeline.labels.evidence import EvidenceError
from pipeline.thumbnails import MOST_BYTES, HandPhoto, PageSizeError, Thumbnail, evenly, thumbnails
from stages.paths import SAMPLES, require
from stages.running.progress import Progress

TEMPLATE = Path(__file__).parent / "class_gallery.html.j2"

TRIES = 3
"""Photos of one folder, person and camera that are tried, from the middle of the sequence on."""

NAMED = 10
"""Folders without an image that the command names; the page shows all."""

NO_SAMPLE = f"no sample in {SAMPLES}"
NOBODY = "nobody shown made it; show more --people"
LEFT_OUT = "left out of the experiment"
NOT_IN_MAP = "not in the map"

Key = tuple[str, int]
"""A folder and a person."""


class Shot(NamedTuple):
    """One camera's view of a folder and a person."""

    camera: str
    photos: list[HandPhoto]  # the one nearest to the middle of its sequence first
    frame: int  # of that one


class Cell(NamedTuple):
    """What a folder shows of a person."""

    thumbnails: list[tuple[str, Thumbnail, str]]  # camera, picture, full caption


class FolderColumn(NamedTuple):
    """A folder of the table of a class."""

    folder: str
    hand: str
    people: int  # in the data
    images: int
    missing: str  # why there is no image; '' if there is one
    begins: bool  # a gesture: its twin, if any, is the next column


class FineClass(NamedTuple):
    """A fine class with its table."""

    name: str
    gestures: int
    columns: list[FolderColumn]
    rows: list[tuple[int, list[Cell]]]  # person and a cell for each column


class Group(NamedTuple):
    """The folders of a fine class, and who is shown."""

    coarse: str
    fine: str
    folders: list[str]  # twins together
    people: list[int]

    @property
    def keys(self) -> list[Key]:
        """Every cell of its table."""
        return [(folder, person) for person in self.people for folder in self.folders]


class Shots(NamedTuple):
    """The photos of the gesture folders that may be shown."""

    by_key: dict[Key, list[Shot]]
    images: dict[str, int]  # of each folder
    people: dict[str, list[int]]

    @classmethod
    def read(cls, path: Path, cameras: int) -> Shots:
        """From samples.parquet: of each folder and person so many cameras, at equal steps.

        Raises:
            EvidenceError: there is no such file, or it has no gesture folder.
        """
        require(path, "ingest", EvidenceError)
        names = ["sequence", "subject", "session", "camera", "frame", "image", "width", "height"]
        table = pq.read_table(path, columns=[*names, "bbox", "kind"])
        table = table.filter(pc.equal(table["kind"], "gesture")).drop_columns("kind")
        if not len(table):
            raise EvidenceError(f"{path}: has no sample of a gesture folder, so no label is used")
        table = table.append_column("off", pa.array(_from_middle(table)))
        images = _counts(table, "sequence")
        order = [(name, "ascending") for name in ("sequence", "subject", "camera", "off", "frame")]
        by_camera: dict[Key, dict[str, Shot]] = defaultdict(dict)
        for row in _first_rows(table.sort_by(order)):
            key = (row["sequence"], row["subject"])
            photo = HandPhoto(row["image"], row["width"], row["height"], tuple(row["bbox"]))
            shot = by_camera[key].setdefault(row["camera"], Shot(row["camera"], [], row["frame"]))
            shot.photos.append(photo)
        people: dict[str, list[int]] = defaultdict(list)
        for folder, person in sorted(by_camera):
            people[folder].append(person)
        shown = {
            key: list(evenly([own[name] for name in sorted(own)], cameras))
            for key, own in by_camera.items()
        }
        return cls(shown, images, dict(people))


def gallery(
    root: Path, data_root: Path, table: GestureMap, *, out: Path, people: int, cameras: int
) -> list[str]:
    """Write the page; lines of text, which name the folders that have no image.

    Args:
        root: the folder of the clone, with samples.parquet.
        data_root: where the photos are.
        table: the gesture map.
        out: the HTML file.
        people: of a class, at most.
        cameras: of a person in a folder, at most.

    Raises:
        EvidenceError: there are no samples.
        PageSizeError: the page would be larger than `MOST_BYTES`.
    """
    shots = Shots.read(root / SAMPLES, cameras)
    groups = list(_groups(table, shots, people))
    wanted = [
        (key, shot) for group in groups for key in group.keys for shot in shots.by_key.get(key, [])
    ]
    progress = Progress("gallery", len(wanted), "thumbnails")
    pictures = thumbnails(
        [shot.photos for _, shot in wanted],
        data_root,
        step=progress.step,
        remedy=f"show fewer: --people (now {people}) or --cameras (now {cameras})",
    )
    cells: dict[Key, Cell] = defaultdict(lambda: Cell([]))
    for (key, shot), picture in zip(wanted, pictures, strict=True):
        folder, person = key
        caption = f"{folder}, person {person}, camera {shot.camera}, frame {shot.frame}"
        cells[key].thumbnails.append((shot.camera, picture, caption))
    classes: dict[str, list[FineClass]] = defaultdict(list)
    for group in groups:
        classes[group.coarse].append(_fine(group, cells, shots, table))
    text = _page(classes, table, people=people, cameras=cameras)
    size = len(text.encode("utf-8"))
    if size > MOST_BYTES:
        raise PageSizeError(
            f"the page would have {size / 1e6:.1f} MB, more than the {MOST_BYTES / 1e6:.0f} MB "
            f"that a telephone opens; show fewer: --people (now {people}) or --cameras (now "
            f"{cameras})"
        )
    with atomic_file(out) as partial:
        partial.write_text(text, encoding="utf-8")
    shown = sum(bool(picture.uri) for picture in pictures)
    columns = [column for fines in classes.values() for fine in fines for column in fine.columns]
    lines = list(_missing(columns))
    faults = [picture.fault for picture in pictures if picture.fault]
    if faults:
        what = counted(len(faults), "picture")
        lines.append(f"{what} could not be made, the page says why; the first: {faults[0]}")
    whole = sum(not column.missing for column in columns)
    made = f"{counted(shown, 'thumbnail')} of {counted(whole, 'folder')}"
    return [*lines, f"wrote {out}: {made}, {size / 1e6:.1f} MB"]


# --- which photos --------------------------------------------------------------------------------


def _from_middle(table: pa.Table) -> Any:
    """How far each frame is from the middle of its sequence, where the gesture is held: (N,)."""
    codes = [
        np.unique(table[name].to_numpy(zero_copy_only=False), return_inverse=True)[1]
        for name in ("session", "sequence")
    ]
    _, own = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)
    frame = table["frame"].to_numpy().astype(np.float64)
    first, last = np.full(own.max() + 1, np.inf), np.full(own.max() + 1, -np.inf)
    np.minimum.at(first, own.ravel(), frame)
    np.maximum.at(last, own.ravel(), frame)
    return np.abs(frame - ((first + last) / 2)[own.ravel()])


def _first_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Of each folder, person and camera the first `TRIES` rows of a sorted table."""
    keys = [
        np.unique(table[name].to_numpy(zero_copy_only=False), return_inverse=True)[1].ravel()
        for name in ("sequence", "subject", "camera")
    ]
    new = np.ones(len(table), bool)
    new[1:] = np.any([np.diff(key) != 0 for key in keys], 0)
    starts = np.flatnonzero(new)
    place = np.arange(len(table)) - np.repeat(starts, np.diff(np.append(starts, len(table))))
    yield from table.take(pa.array(np.flatnonzero(place < TRIES))).to_pylist()


def _counts(table: pa.Table, name: str) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in table[name].value_counts().to_pylist()}


def _people(folders: Iterable[str], shots: Shots, most: int) -> list[int]:
    """Who is shown in a class: those who made most of its folders, so that rows are full."""
    made: dict[int, int] = defaultdict(int)
    for folder in folders:
        for person in shots.people.get(folder, []):
            made[person] += 1
    return sorted(sorted(made, key=lambda person: (-made[person], person))[:most])


# --- the page ------------------------------------------------------------------------------------


def _groups(table: GestureMap, shots: Shots, most: int) -> Iterator[Group]:
    """The fine classes by their coarse ones.

    Last what the map leaves out, and folders that it does not know.
    """
    classes: dict[tuple[str, str], list[GestureRow]] = defaultdict(list)
    for row in table.labelled:
        classes[row.coarse, row.fine].append(row)
    parts = [(*names, _with_twins(rows)) for names, rows in sorted(classes.items())]
    known = {row.folder for row in table.rows}
    for coarse, fine, folders in (
        *parts,
        (LEFT_OUT, DROP, [row.folder for row in table.rows if row.dropped]),
        (NOT_IN_MAP, "add a row for each", sorted(set(shots.images) - known)),
    ):
        if folders:
            yield Group(coarse, fine, folders, _people(folders, shots, most))


def _with_twins(rows: Sequence[GestureRow]) -> list[str]:
    """The folders of a class, each right hand followed by its twin."""
    own = {row.folder for row in rows}
    found: list[str] = []
    for row in sorted(rows, key=lambda row: (row.hand != "right", row.folder)):
        for folder in (row.folder, row.twin):
            if folder in own and folder not in found:
                found.append(folder)
    return found


def _fine(group: Group, cells: Mapping[Key, Cell], shots: Shots, table: GestureMap) -> FineClass:
    known = {row.folder: row for row in table.rows}
    empty = Cell([])
    columns = list[FolderColumn]()
    for place, folder in enumerate(group.folders):
        own = [cells.get((folder, person), empty) for person in group.people]
        row = known.get(folder)
        twin = row is not None and place > 0 and group.folders[place - 1] == row.twin
        columns.append(
            FolderColumn(
                folder,
                row.hand if row is not None else "",
                len(shots.people.get(folder, [])),
                shots.images.get(folder, 0),
                _why_missing(own, shots.images.get(folder, 0)),
                begins=not twin,
            )
        )
    rows = [
        (person, [cells.get((folder, person), empty) for folder in group.folders])
        for person in group.people
    ]
    return FineClass(group.fine, sum(column.begins for column in columns), columns, rows)


def _why_missing(own: Sequence[Cell], images: int) -> str:
    """Why a folder shows no image; '' if it shows one."""
    if not images:
        return NO_SAMPLE
    pictures = [picture for cell in own for _, picture, _ in cell.thumbnails]
    if any(picture.uri for picture in pictures):
        return ""
    return pictures[0].fault if pictures else NOBODY


def _page(
    classes: Mapping[str, Sequence[FineClass]], table: GestureMap, *, people: int, cameras: int
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        classes=classes, map=table.path, people=people, cameras=cameras, counted=counted
    )


def _missing(columns: Sequence[FolderColumn]) -> Iterator[str]:
    """One line for each reason why folders have no image."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        if column.missing:
            is_reason = column.missing in (NO_SAMPLE, NOBODY)
            reason = column.missing if is_reason else "whose photos cannot be shown"
            by_reason[reason].append(column.folder)
    for reason, folders in by_reason.items():
        more = f" and {len(folders) - NAMED} more" if len(folders) > NAMED else ""
        names = ", ".join(sorted(folders)[:NAMED])
        yield f"no image of {counted(len(folders), 'folder')}, {reason}: {names}{more}"
