"""Data sets that were unpacked otherwise: each is reported, and its remedy makes it right."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handpose.interhand.annotations import FILES, DatasetError, annotation_file, official_splits
from handpose.interhand.layout import layout_faults

COMMAND = re.compile(r": ((?:ln|mv|mkdir|cat|tar|python) .*)$")
NAMED = re.compile(r"but (.+) has both: name that folder")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A whole data set, as far as its folders go."""
    root = tmp_path / "my data"
    for capture in (0, 1):
        folder = root / "images" / "train" / f"Capture{capture}"
        folder.mkdir(parents=True)
        (folder / "image.jpg").touch()
    for name in FILES:
        path = annotation_file(root, "train", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return root


def nest(root: Path, part: str, *below: str) -> None:
    """Move a part further down."""
    target = root.joinpath(*below)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / part, target)


def split_in_two(root: Path) -> None:
    """The photos in two batches, as of the 30 fps version."""
    for capture in (0, 1):
        batch = root / f"InterHand2.6M_30fps_batch{capture}" / "images" / "train"
        batch.mkdir(parents=True)
        shutil.move(root / "images" / "train" / f"Capture{capture}", batch)
    shutil.rmtree(root / "images")


def pack(root: Path, part: str, name: str) -> None:
    with tarfile.open(root / name, "w") as tar:
        tar.add(root / part, part)
    shutil.rmtree(root / part)


def flatten(root: Path) -> None:
    for file in list(root.glob("annotations/train/*")):
        shutil.move(file, root / "annotations")
    (root / "annotations" / "train").rmdir()


def zipped(root: Path) -> None:
    shutil.make_archive(str(root / "InterHand2.6M.annotations.5.fps"), "zip", root, "annotations")
    shutil.rmtree(root / "annotations")


def in_parts(root: Path) -> None:
    pack(root, "images", "all.tar")
    content = (root / "all.tar").read_bytes()
    (root / "all.tar").unlink()
    for number, start in enumerate(range(0, len(content), 4000)):
        part = root / f"InterHand2.6M.images.5.fps.v1.0.tar.parta{chr(97 + number)}"
        part.write_bytes(content[start : start + 4000])


BATCH = "InterHand2.6M_5fps_batch1"

WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "one down": (lambda r: nest(r, "images", BATCH, "images"), f"{BATCH}/images is it: link it"),
    "two down": (lambda r: nest(r, "images", "x", BATCH, "images"), "images is it: link it"),
    "annotations down": (lambda r: nest(r, "annotations", "5fps", "annotations"), "is it: link it"),
    "images twice": (lambda r: nest(r, "images/train", "images", "images", "train"), "link it"),
    "annotations twice": (
        lambda r: nest(r, "annotations/train", "annotations", "annotations", "train"),
        "annotations/annotations/train holds its files: link it",
    ),
    "no folder of the split": (flatten, "has no train/, but"),
    "annotations/all": (
        lambda r: nest(r, "annotations/train", "annotations", "all"), "annotations/all holds",
    ),
    "two batches": (split_in_two, "2 folders are parts of it: join them"),
    "capitals": (lambda r: nest(r, "images", "Images"), "must be called images: mv"),
    "parts of a tar": (in_parts, "the archive is not unpacked: cat"),
    "tar": (lambda r: pack(r, "images", "images.tar.gz"), "the archive is not unpacked: tar -xf"),
    "zip": (zipped, "the archive is not unpacked: python -m zipfile"),
}  # fmt: skip


@pytest.mark.parametrize("way", WRONG)
def test_the_command_in_the_message_mends_the_layout(root: Path, way: str) -> None:
    spoil, expected = WRONG[way]
    spoil(root)
    (fault,) = layout_faults(root)
    assert expected in fault
    with pytest.raises(DatasetError) as error:  # ingest says the same
        official_splits(root)
    assert fault in str(error.value)
    command = COMMAND.search(fault)
    assert command is not None, fault
    subprocess.run(command[1], shell=True, check=True)
    assert layout_faults(root) == []
    assert official_splits(root) == ["train"]
    for capture in (0, 1):
        assert (root / "images" / "train" / f"Capture{capture}" / "image.jpg").is_file()


@pytest.mark.parametrize("below", ["images", "images/train", "annotations", ".."])
def test_another_folder_of_the_data_set_is_named(root: Path, below: str) -> None:
    (fault,) = layout_faults(root / below)
    named = NAMED.search(fault)
    assert named is not None, fault
    assert layout_faults(Path(named[1])) == []


def test_an_early_release_is_called_one(root: Path) -> None:
    """annotations/all without fits: v0.0."""
    nest(root, "annotations/train", "annotations", "all")
    (root / "annotations/all/InterHand2.6M_train_MANO_NeuralAnnot.json").unlink()
    (fault,) = layout_faults(root)
    assert "annotations/all holds the annotations of InterHand2.6M's early release" in fault
    assert "download the annotations of v1.0" in fault


def test_a_dangling_link_is_reported(root: Path) -> None:
    shutil.rmtree(root / "images")
    (root / "images").symlink_to("/nowhere/images")
    assert "is a link to /nowhere/images, which does not exist" in layout_faults(root)[0]


def test_what_is_nowhere_is_reported_plainly(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert [fault.partition(";")[0] for fault in layout_faults(tmp_path / "empty")] == [
        f"{tmp_path / 'empty'} has no images/", f"{tmp_path / 'empty'} has no annotations/",
    ]  # fmt: skip
    assert "does not exist" in layout_faults(tmp_path / "no")[0]
