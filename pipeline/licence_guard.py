"""Who takes what lies in a folder: git commits it, or a stage replaces it and `dvc push` sends it.

Nothing of MANO and of InterHand2.6M may be published, so neither may lie where one of them does.
"""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import numpy as np

from handpose.synthetic.stand_in import MODEL_NAME
from pipeline.dag import read_dag


def git_takes(path: Path) -> bool:
    """Whether git would commit this file, there already or not."""
    path = path.resolve()
    there = next(parent for parent in path.parents if parent.is_dir())
    ask = ["git", "-C", str(there), "check-ignore", "-q", str(path)]
    try:
        return subprocess.run(ask, capture_output=True).returncode == 1  # 128: no repository
    except FileNotFoundError:
        return False


def stage_of(folder: Path) -> str | None:
    """The stage of a clone of this pipeline that makes this folder, or one in which it lies.

    Raises:
        DagError: the clone's `dvc.yaml` cannot be read.
    """
    named = (folder.absolute(), folder.resolve())  # data/ may be a link to a larger disk
    above = {place for path in named for place in (path, *path.parents)}
    clones = [place for place in above if (place / "pipeline" / "stage.py").is_file()]
    for clone in clones:
        for stage in read_dag(clone).values():
            if any((clone / out).resolve() in above for out in stage.outs):
                return stage.name
    return None


def is_synthetic(root: Path) -> bool:
    """Whether a data set was drawn by this project, and may be replaced."""
    return (root / "annotations" / "synthetic.json").is_file()


def is_stand_in(file: Path) -> bool:
    """Whether a hand model is this project's own, and may be replaced and passed on."""
    try:
        with np.load(file) as arrays:
            return "model_name" in arrays.files and str(arrays["model_name"]) == MODEL_NAME
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
