"""Where the parts of InterHand2.6M are, when they are not where they should be.

Downloads are unpacked one folder too deep, in parts, or not at all; early releases had other
folders. Each case is named with its remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

PARTS = ("images", "annotations")
SPLITS = ("train", "val", "test")

DEEPEST = 3
"""Folders below data.root in which a lost part is looked for."""

MOST_FOLDERS = 2000
"""Folders that are listed in the search: a data set's own, of photos, are far more."""

EARLY = (
    "InterHand2.6M's early release (v0.0), which this program does not read: download the "
    "annotations of v1.0 from https://mks0601.github.io/InterHand2.6M and unpack them there"
)


def layout_faults(root: Path) -> list[str]:
    """What is wrong with the folders of a data set, each with its remedy; [] if nothing is.

    Args:
        root: must hold images/ and annotations/.
    """
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        return [f"{root} {what}; name the folder that holds images/ and annotations/"]
    lacking = [part for part in PARTS if not (root / part).is_dir()]
    if not lacking:
        return [*_images_faults(root), *_annotations_faults(root)]
    for whole in _wholes(root):
        return [f"{root} has no {_and(lacking)}, but {whole} has both: name that folder"]
    return [_lacking(root, part) for part in lacking]


def _and(parts: Sequence[str]) -> str:
    return " and no ".join(f"{part}/" for part in parts)


def _wholes(root: Path) -> Iterator[Path]:
    """Folders above or below this one that hold both parts."""
    for folder in (root.resolve().parent, root.resolve().parent.parent):
        if root.resolve().name in (*PARTS, *SPLITS) and all(
            (folder / part).is_dir() for part in PARTS
        ):
            yield folder
    for folder in _folders(root):
        if all((folder / part).is_dir() for part in PARTS):
            yield folder


def _lacking(root: Path, part: str) -> str:
    """Why this part is not there, and what to do."""
    path = root / part
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which does not exist; link it anew"
    for other in sorted(root.iterdir()):
        if other.name.lower() == part and other.is_dir():
            return f"{other} must be called {part}: mv {quote(str(other))} {quote(str(path))}"
    if found := [folder for folder in _folders(root) if folder.name == part]:
        return f"{root} has no {part}/. {_bring(found, path)}"
    if archive := _archive(root, part):
        return f"{root} has no {part}/: the archive is not unpacked: {archive}"
    text = f"{root} has no {part}/; name the folder that holds images/ and annotations/"
    if part == "images" and any((root / split).is_dir() for split in SPLITS):
        splits = ", ".join(f"{split}/" for split in SPLITS if (root / split).is_dir())
        return f"{text}. {root} itself holds {splits}: is it the images folder? Name the one above"
    return text


def _bring(found: Sequence[Path], path: Path) -> str:
    """Where a part is instead, and the command that brings it to its place."""
    if len(found) == 1:
        target = str(found[0].relative_to(path.parent))
        return f"{found[0]} is it: link it (or move it): ln -s {quote(target)} {quote(str(path))}"
    join = " && ".join(f"cp -al {quote(f'{folder}/.')} {quote(str(path))}" for folder in found)
    return (
        f"{len(found)} folders are parts of it: join them by hard links, which take no space: "
        f"mkdir {quote(str(path))} && {join}"
    )


def _archive(root: Path, part: str) -> str:
    """The command that unpacks an archive of this part that lies here; '' if none does."""
    here = quote(str(root))
    if part == "images" and any(root.glob("*.tar.part*")):
        return f"cat {here}/*.tar.part* | tar -x -C {here}"
    for archive in sorted(root.glob(f"*{part}*.tar*")):
        return f"tar -xf {quote(str(archive))} -C {here}"
    for archive in sorted(root.glob(f"*{part}*.zip")):
        return f"python -m zipfile -e {quote(str(archive))} {here}"
    return ""


def _images_faults(root: Path) -> Iterator[str]:
    """The folder of train's photos is not where it should be."""
    images = root / "images"
    train = images / "train"
    if train.is_dir() or not (root / "annotations" / "train").is_dir():
        return
    found = [folder for folder in _folders(images) if folder.name == "train"]
    if found:
        yield f"{images} has no train/. {_bring(found, train)}"


def _annotations_faults(root: Path) -> Iterator[str]:
    """The folder of train's annotations is not where it should be."""
    annotations = root / "annotations"
    if (annotations / "train").is_dir():
        return
    for folder in (annotations, *_folders(annotations)):
        data = folder / "InterHand2.6M_train_data.json"
        if not data.is_file():
            continue
        if (folder / "InterHand2.6M_train_MANO_NeuralAnnot.json").is_file():
            target, link = str(folder.relative_to(annotations)), str(annotations / "train")
            yield (
                f"{annotations} has no train/, but {folder} holds its files: link it: "
                f"ln -s {quote(target)} {quote(link)}"
            )
        else:
            yield f"{annotations} has no train/; {folder} holds the annotations of {EARLY}"
        return


def _folders(root: Path) -> Iterator[Path]:
    """Folders below this one, the upper ones first; folders of photos are not entered."""
    level, listed = [root], 0
    for _ in range(DEEPEST):
        below: list[Path] = []
        for folder in level:
            if listed >= MOST_FOLDERS:
                return
            listed += 1
            try:
                below += sorted(
                    path
                    for path in folder.iterdir()
                    if path.is_dir() and not path.name.startswith((".", "Capture"))
                )
            except OSError:  # of another user
                continue
        yield from below
        level = below
