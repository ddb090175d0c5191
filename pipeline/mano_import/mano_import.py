"""`handpose mano import`: convert the official pickles to the files that `hand.mano` expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.file_content import recognise
from handpose.files import atomic_file
from handpose.hand.mano import Mano, ManoError, Side, check_side
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from pipeline.licence_guard import git_takes, stage_of
from pipeline.mano_import.mano_pickle import read_pickle, repaired_left

FOLDERS = (".", "models", "mano_v1_2/models")
"""Where the pickles are in the unpacked download of the MANO site."""

RIGHT, LEFT = "MANO_RIGHT.pkl", "MANO_LEFT.pkl"

HOW_TO_GET = (
    "MANO is free for research, but each user has to download it: register at "
    "mano.is.tue.mpg.de, accept its licence, download `Models & Code`, unpack it, and name that "
    "folder here. Without it everything runs on the stand-in hand"
)

DEEPEST = 4
"""Folders below the named one in which a right hand is looked for, to name its own."""

HANDS = 100
"""Random hands by which both files are compared."""

TOLERANCE_MM = 0.1
"""What a left hand may differ from the mirrored right one: far below what is measured."""


def import_mano(source: Path, out: Path | None = None) -> list[str]:
    """Write `MANO_RIGHT.npz` and, for a left hand, `MANO_LEFT.npz`; returns lines for the user.

    With both hands, one line says how well a mirrored right hand stands for a left one.

    Args:
        source: a pickle, or the folder of the unpacked download.
        out: folder to write to; by default that of the pickles.

    Raises:
        ManoError: there is no MANO file, one does not match its name, or `out` cannot be written
            to, is a folder that git would commit, or one that a stage writes.
    """
    try:
        folder = _folder(source)
        out = out or folder
        _check_out(out)
        right = _hand(folder / RIGHT, "right")
        left = _hand(folder / LEFT, "left") if (folder / LEFT).is_file() else None
        lines = _write_both(out, right, left)
        Mano.load(out)  # as every stage will
    except OSError as error:
        raise ManoError(
            f"{error.filename or out or source}: {error.strerror}; name a download that you may "
            "read, and with --out a folder that you may write to"
        ) from None
    return [*lines, f"now set hand.mano to {out.resolve()} in params.yaml"]


def _folder(source: Path) -> Path:
    """The folder with the pickles."""
    if source.is_file() and source.name not in (RIGHT, LEFT):
        other = recognise(source)
        if other is not None and other.kind in ("zip", "archive", "gzip", "xz", "bzip2"):
            raise ManoError(f"{source}: {other}; then name that folder here")
        raise ManoError(
            f"{source}: is a file with another name; expected {RIGHT}, or the folder of the "
            f"unpacked download. {HOW_TO_GET}"
        )
    candidates = [source.parent] if source.is_file() else [source / folder for folder in FOLDERS]
    for folder in candidates:
        if (folder / RIGHT).is_file():
            return folder
    for depth in range(1, DEEPEST + 1):
        for lower in sorted(source.glob("*/" * depth + RIGHT)):
            raise ManoError(f"{source}: {RIGHT} is further down: name {lower.parent}")
    for archive in sorted(source.glob("*mano*.zip")):
        raise ManoError(f"{source}: not unpacked: {archive} {recognise(archive)}; then name that")
    beside = "beside" if source.is_file() else "in"
    found = f"no {RIGHT} {beside} it" if source.exists() else "no such folder"
    raise ManoError(f"{source}: {found}. {HOW_TO_GET}")


def _check_out(out: Path) -> None:
    """Refuse a folder in which MANO would be published, or lost."""
    if out.exists() and not out.is_dir():
        raise ManoError(f"{out}: is a file; name a folder with --out")
    if git_takes(out / "MANO_RIGHT.npz"):
        raise ManoError(
            f"{out}: is in a git repository that does not ignore it, and MANO may not be "
            "published; choose another folder with --out, or add this one to .gitignore"
        )
    if stage := stage_of(out):
        raise ManoError(
            f"{out}: is in an output of stage {stage}: `dvc repro` would replace what is "
            "there, and `dvc push` would publish it, which MANO's licence forbids; choose another "
            "folder with --out, outside the clone"
        )


def _hand(path: Path, side: Side) -> dict[str, NDArray[Any]]:
    arrays = read_pickle(path)
    check_side(path, arrays, side)
    return arrays


def _write_both(
    out: Path, right: dict[str, NDArray[Any]], left: dict[str, NDArray[Any]] | None
) -> list[str]:
    lines = [_write(out / "MANO_RIGHT.npz", right)]
    if left is None:
        return lines
    repaired = repaired_left(left, right)
    lines.append(_write(out / "MANO_LEFT.npz", repaired or left))
    if repaired:
        lines.append(
            f"{LEFT} has its known fault: the shapes of the right hand, not mirrored. The "
            "x-components of shapedirs were negated"
        )
    return [*lines, _mirror_line(mirror_difference_mm(right, repaired or left))]


def mirror_difference_mm(right: dict[str, NDArray[Any]], left: dict[str, NDArray[Any]]) -> float:
    """Largest distance of a vertex of the left hand from that of the mirrored right one, in mm.

    Over `HANDS` random hands, each posed by both models: the left one with the mirrored parameters.
    """
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(HANDS, 3, generator=rng)
    pose = 0.5 * torch.randn(HANDS, 45, generator=rng)
    betas = torch.randn(HANDS, 10, generator=rng)
    is_left = torch.ones(HANDS, dtype=torch.bool)
    left_root = mirror_axis_angle(root, is_left)
    left_pose = mirror_axis_angle(pose.view(HANDS, 15, 3), is_left).flatten(1)
    right_mano, left_mano = Mano(right), Mano(left)
    rights = right_mano(axis_angle_to_matrix(root), right_mano.rotations(pose), betas)
    lefts = left_mano(axis_angle_to_matrix(left_root), left_mano.rotations(left_pose), betas)
    distances = (mirror_points(rights.vertices, is_left) - lefts.vertices).norm(dim=-1)
    return float(1000 * distances.max())


def _mirror_line(difference_mm: float) -> str:
    """The line for the user."""
    line = (
        f"left hands are posed as mirrored right ones: in {HANDS} random hands the vertices differ "
        f"from {LEFT}'s by at most {difference_mm:.2g} mm"
    )
    if difference_mm <= TOLERANCE_MM:
        return line
    return (
        f"{line}. WARNING: the fits of left hands will be wrong by as much; the two files should "
        "be mirror images, so download them again"
    )


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> str:
    with atomic_file(path) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    return f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)"
