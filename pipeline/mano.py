"""`handpose mano import`: from the official pickles to the plain files that `hand.mano` names."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.hand.mano import Mano, ManoError
from handpose.hand.mano_pickle import read_pickle, repaired_left

PLACES = (".", "models", "mano_v1_2/models")
"""Where the pickles lie in what the MANO site gives, unpacked."""

WHERE_FROM = (
    "MANO is free for research, but everybody gets it for themselves: register at "
    "mano.is.tue.mpg.de, accept its licence, download `Models & Code`, unpack it, and name that "
    "folder here. Without it everything runs on the stand-in hand"
)


def import_mano(source: Path, out: Path | None = None) -> list[str]:
    """Write `MANO_RIGHT.npz` and, where there is a left hand, `MANO_LEFT.npz`; lines to tell.

    Args:
        source: a pickle, or the folder of the unpacked download.
        out: folder to write to; by default that of the pickles.

    Raises:
        ManoError: no MANO file is there, one is not what it says, or `out` is a folder that git
            would commit.
    """
    folder = _folder(source)
    out = out or folder
    if _in_git(out):
        raise ManoError(
            f"{out}: lies in a git repository that does not ignore it, and MANO may not be "
            "published; choose another folder with --out, or add this one to .gitignore"
        )
    right = read_pickle(folder / "MANO_RIGHT.pkl")
    told = [_write(out / "MANO_RIGHT.npz", right)]
    if (folder / "MANO_LEFT.pkl").is_file():
        left = read_pickle(folder / "MANO_LEFT.pkl")
        sound = repaired_left(left, right)
        told.append(_write(out / "MANO_LEFT.npz", sound or left))
        if sound:
            told.append(
                "MANO_LEFT.pkl has its known fault: the shapes of the right hand, unmirrored. The "
                "x-components of shapedirs were negated"
            )
    Mano.load(out)  # as every stage will
    told.append(f"now set hand.mano to {out.resolve()} in params.yaml")
    return told


def _folder(source: Path) -> Path:
    candidates = [source.parent] if source.is_file() else [source / place for place in PLACES]
    for folder in candidates:
        if (folder / "MANO_RIGHT.pkl").is_file():
            return folder
    found = "no such folder" if not source.exists() else "no MANO_RIGHT.pkl in it"
    raise ManoError(f"{source}: {found}. {WHERE_FROM}")


def _in_git(folder: Path) -> bool:
    """Whether git would take a file there."""
    file = folder.resolve() / "MANO_RIGHT.npz"
    there = next(parent for parent in file.parents if parent.is_dir())
    ask = ["git", "-C", str(there), "check-ignore", "-q", str(file)]
    try:
        return subprocess.run(ask, capture_output=True).returncode == 1  # 128: no repository
    except FileNotFoundError:
        return False


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
    return f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)"
