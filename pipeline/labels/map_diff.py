"""What a change of the gesture map means: classes, images, and the stages that would run again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from handpose.counted import counted
from handpose.gesture_map import GestureMap, GestureMapError
from handpose.gesture_row import LEVELS, FolderNaming, Level
from pipeline import git
from pipeline.dag import DagError, read_dag, readers
from pipeline.labels.edit import (
    DROPPED,
    GestureClass,
    GestureMapFile,
    LabelEditError,
    class_of,
)
from stages.paths import LABELS, MEMBERSHIP, SAMPLES

Images = Mapping[str, int]
"""Number of images by gesture folder."""


def diff(
    root: Path, path: Path, rev: str = "HEAD", naming: FolderNaming | None = None
) -> list[str]:
    """What changed in the map since a git revision, as lines of text.

    Args:
        root: the folder of the clone.
        path: of the map, from there.
        rev: the revision that it is compared with.
        naming: the data set's rule for folder names, if any.

    Raises:
        GitError: git cannot be asked.
        LabelEditError: the revision is unknown, has no such file, or has one with faults.
        GestureMapError: the map of today has faults.
    """
    after = GestureMap.read(root / path, naming)
    before = _at_revision(root, path, rev, naming)
    lines = changes(before, after, images(root))
    if not lines:
        return [f"{path} gives every folder the class that it has in {rev}"]
    return [*lines, rerun(root, path, before, after)]


def apply_edit(
    root: Path,
    path: Path,
    edit: Callable[[GestureMapFile], GestureMapFile],
    naming: FolderNaming | None = None,
) -> list[str]:
    """Edit the map in its file; what changed and what will run again, as lines of text.

    Args:
        root: the folder of the clone.
        path: of the map, from there.
        edit: from the map as it is to the map as it shall be.
        naming: the data set's rule for folder names, if any.

    Raises:
        GestureMapError: the map has faults already.
        LabelEditError: the map does not allow this edit; the file is as it was.
    """
    before = GestureMapFile.read(root / path, naming)
    after = edit(before)
    after.replace(before)
    lines = changes(before.table, after.table, images(root))
    return [*(lines or ["nothing to change"]), rerun(root, path, before.table, after.table)]


def changes(before: GestureMap, after: GestureMap, count: Images | None = None) -> list[str]:
    """Folders whose class changed, classes that appear or vanish; empty if there is none.

    Args:
        before: the map as it was.
        after: the map as it is.
        count: images of each folder, if known: they are stated for every class that changed.
    """
    old, new = _classes(before), _classes(after)
    moved = {
        folder: (old.get(folder), new.get(folder))
        for folder in sorted({*old, *new})
        if old.get(folder) != new.get(folder)
    }
    if not moved:
        return []
    numbers = ", ".join(
        f"{len(_members(before, level))} -> {len(_members(after, level))} {level}"
        for level in LEVELS
    )
    lines = [f"{counted(len(moved), 'folder')} changed class ({numbers} classes):"]
    width = max(map(len, moved))
    for folder, pair in moved.items():
        lines.append(f"  {folder:<{width}}  {_in_words(pair[0])} -> {_in_words(pair[1])}")
    for level in LEVELS:
        lines += _appeared(before, after, level)
    if all(
        _partition(before, level) == _partition(after, level) for level in LEVELS
    ):  # names alone
        lines.append("the same folders are together as before: classes have other names alone")
    return lines if count is None else [*lines, *_images_by_class(before, after, count)]


def rerun(root: Path, path: Path, before: GestureMap, after: GestureMap) -> str:
    """One line: the stages that `dvc repro` will run because of this change.

    The shards hold no class, so photos are cropped again only where folders are left out or back.
    """
    if _is_last_run(root, path):
        return "dvc repro will run nothing for it: the map is that of the last run"
    changed = [label_file for label_file, differs in _outputs(before, after).items() if differs]
    try:
        dag = read_dag(root)
    except DagError:
        return "this makes dvc repro run label and what reads its results"
    named = {"label"}.union(*(readers(dag, str(one)) for one in changed))
    *first, last = [name for name in dag if name in named]
    words = f"{', '.join(first)} and {last}" if first else f"{last} alone: no class changed"
    photos = (
        "; photos are cropped again" if MEMBERSHIP in changed else "; no photo is cropped again"
    )
    return f"this makes dvc repro run {words}{photos if first else ''} (handpose plan: how long)"


def images(root: Path) -> Counter[str] | None:
    """Images of each gesture folder in samples.parquet; None where there is no such file."""
    if not (root / SAMPLES).is_file():
        return None
    rows = pq.read_table(root / SAMPLES, columns=["sequence", "kind"])
    folders = rows.filter(pc.equal(rows["kind"], "gesture"))["sequence"]
    return Counter(
        {entry["values"]: entry["counts"] for entry in folders.value_counts().to_pylist()}
    )


# --- parts ---------------------------------------------------------------------------------------


def _at_revision(root: Path, path: Path, rev: str, naming: FolderNaming | None) -> GestureMap:
    commit = git.commit(root, rev)
    if commit is None:
        raise LabelEditError(f"git knows no revision {rev!r}; `git log --oneline` lists them")
    content = git.file_at(root, commit, Path(os.path.relpath(root / path, root)).as_posix())
    if content is None:
        raise LabelEditError(f"{rev} has no {path}; `git log -- {path}` lists the commits with it")
    with tempfile.TemporaryDirectory(prefix="handpose-labels-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        try:
            return GestureMap.read(copy, naming)
        except GestureMapError as error:
            text = str(error).replace(str(copy), f"{rev}:{path}")
            raise LabelEditError(f"{text}\nName a revision whose map has none") from None


def _classes(table: GestureMap) -> dict[str, GestureClass]:
    return {row.folder: class_of(row) for row in table.rows}


def _in_words(one: GestureClass | None) -> str:
    """The class in words."""
    if one is None:
        return "(no row)"
    return "(left out)" if one == DROPPED else str(one)


def _members(table: GestureMap, level: Level) -> dict[tuple[str, str], list[str]]:
    """Folders of each class, by hand and name."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.labelled:
        found.setdefault((row.hand, row.name(level)), []).append(row.folder)
    return found


def _partition(table: GestureMap, level: Level) -> set[frozenset[str]]:
    return {frozenset(folders) for folders in _members(table, level).values()}


def _appeared(before: GestureMap, after: GestureMap, level: Level) -> Iterator[str]:
    """Class names that one of the two alone has."""
    old, new = ({name for _, name in _members(table, level)} for table in (before, after))
    for word, names in (("gone", old - new), ("new", new - old)):
        if names:
            noun = "class" if len(names) == 1 else "classes"
            yield f"  {word} {level} {noun}: {', '.join(sorted(names))}"


def _images_by_class(before: GestureMap, after: GestureMap, count: Images) -> Iterator[str]:
    """Images of each class whose folders changed, before and after."""
    for level in LEVELS:
        old, new = _members(before, level), _members(after, level)
        changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        if not changed:
            continue
        yield f"images of the {level} classes that changed:"
        width = max(len(f"{hand} {name}") for hand, name in changed)
        for key in changed:
            was, now = (sum(count.get(f, 0) for f in side.get(key, ())) for side in (old, new))
            yield f"  {' '.join(key):<{width}}  {was:>9,} -> {now:>9,}"


def _outputs(before: GestureMap, after: GestureMap) -> dict[Path, bool]:
    """Whether `label` would write these files anew."""
    ids = [
        [(row, table.class_ids(level, canonical=False)[row.hand, row.name(level)])
         for row in table.labelled for level in LEVELS]
        for table in (before, after)
    ]  # fmt: skip
    dense = [{(row.folder, class_of(row), number) for row, number in side} for side in ids]
    dropped = [{row.folder for row in table.rows if row.dropped} for table in (before, after)]
    return {LABELS: dense[0] != dense[1], MEMBERSHIP: dropped[0] != dropped[1]}


def _is_last_run(root: Path, path: Path) -> bool:
    """Whether `dvc.lock` names these bytes of the map."""
    md5 = hashlib.md5((root / path).read_bytes(), usedforsecurity=False).hexdigest()
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text("utf-8"))
        deps = lock["stages"]["label"]["deps"]
        return any(dep["path"] == path.as_posix() and dep.get("md5") == md5 for dep in deps)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False
