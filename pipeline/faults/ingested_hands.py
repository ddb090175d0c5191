"""What `ingest` wrote, as arrays: every view of a hand, and each hand once.

Many cameras photograph a hand in a frame. Its pose is the same in all of them, so it is read of the
view in which most joints are valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.hand.camera import project
from pipeline.labels.evidence import EvidenceError
from stages.paths import require

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TEXTS = ("split", "source_split", "sequence", "camera", "kind", "image")
NUMBERS = ("session", "subject", "frame", "width", "height")
POSES = {"global_orient": 3, "hand_pose": 45, "betas": 10, "transl": 3}
JOINTS = 21
HAND = ("source_split", "session", "sequence", "frame", "is_left")
"""What identifies a hand in a frame."""


@dataclass(frozen=True)
class IngestedHands:
    """N views of M hands."""

    columns: dict[str, NDArray[Any]]  # TEXTS, NUMBERS and is_left, (N,) each
    bbox: Floats  # (N, 4) x, y, w, h px
    uv: Floats  # (N, 21, 2) px of the photo; NaN where a joint is not valid
    hand_of: Ints  # (N,) the hand of each view
    view_of: Ints  # (M,) the view from which each hand is read
    K: Floats  # (M, 3, 3) px, of that view
    joints: Floats  # (M, 21, 3) m, its camera
    joint_valid: Bools  # (M, 21)
    has_mano: Bools  # (M,) of the following
    fit: dict[str, Floats]  # POSES, (M, ...) each

    def __len__(self) -> int:
        return len(self.hand_of)

    def of_hands(self, name: str) -> NDArray[Any]:
        """A column of each hand (M,)."""
        return np.asarray(self.columns[name][self.view_of])

    @property
    def person(self) -> Ints:
        """A number for each hand's person (M,): splits of a data set may number theirs anew."""
        names = (self.of_hands(name) for name in ("source_split", "subject"))
        codes = np.stack([np.unique(name, return_inverse=True)[1].ravel() for name in names], 1)
        return np.unique(codes, axis=0, return_inverse=True)[1].ravel().astype(np.int64)

    @classmethod
    def read(cls, path: Path) -> IngestedHands:
        """From samples.parquet.

        Raises:
            EvidenceError: there is no such file, or it has no row.
        """
        require(path, "ingest", EvidenceError)
        file = pq.ParquetFile(path)
        if not file.metadata.num_rows:
            raise EvidenceError(f"{path}: has no sample, so there is nothing to check")
        light = file.read(columns=[*TEXTS, *NUMBERS, "is_left", "has_mano", "joint_valid", "bbox"])
        columns = {
            name: light[name].to_numpy(zero_copy_only=False)
            for name in (*TEXTS, *NUMBERS, "is_left")
        }
        valid = _list(light["joint_valid"], JOINTS).astype(bool)
        has_mano = light["has_mano"].to_numpy(zero_copy_only=False)
        hand_of, view_of = _hands(columns, valid.sum(1) + has_mano)
        uv, heavy = _heavy(file, valid, view_of)
        return cls(
            columns,
            _list(light["bbox"], 4).astype(np.float64),
            uv,
            hand_of,
            view_of,
            heavy["K"].reshape(-1, 3, 3),
            heavy["joints_cam"].reshape(-1, JOINTS, 3),
            valid[view_of],
            has_mano[view_of],
            {name: heavy[name] for name in POSES},
        )


def _hands(columns: dict[str, NDArray[Any]], known: Ints) -> tuple[Ints, Ints]:
    """The hand of each view (N,), and of each hand the view that knows most of it (M,)."""
    codes = [np.unique(columns[name], return_inverse=True)[1].ravel() for name in HAND]
    hand_of = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort([np.arange(len(known)), -known, hand_of])
    first = np.flatnonzero(np.diff(hand_of[order], prepend=-1))
    return hand_of.astype(np.int64), order[first].astype(np.int64)


def _heavy(
    file: pq.ParquetFile, valid: Bools, view_of: Ints
) -> tuple[Floats, dict[str, NDArray[np.float64]]]:
    """Pixels of the joints of each view (N, 21, 2), and the pose of each hand (M, ...)."""
    wanted = np.zeros(len(valid), bool)
    wanted[view_of] = True
    uv = np.full((len(valid), JOINTS, 2), np.nan, np.float32)
    sizes = {"K": 9, "joints_cam": 3 * JOINTS, **POSES}
    parts: dict[str, list[Floats]] = {name: [] for name in sizes}
    start = 0
    for batch in file.iter_batches(columns=list(parts)):
        rows = slice(start, start + len(batch))
        start += len(batch)
        joints = _list(batch["joints_cam"], 3 * JOINTS).reshape(-1, JOINTS, 3).astype(np.float64)
        K = _list(batch["K"], 9).reshape(-1, 3, 3).astype(np.float64)
        shown = valid[rows] & (joints[..., 2] > 0)
        pixels = project(np.where(shown[..., None], joints, [0.0, 0.0, 1.0]), K)
        uv[rows] = np.where(shown[..., None], pixels, np.nan)
        own = batch.filter(pa.array(wanted[rows]))
        for name, some in parts.items():
            some.append(_list(own[name], sizes[name]))
    by_row = {name: np.concatenate(some).astype(np.float64) for name, some in parts.items()}
    place = np.searchsorted(np.flatnonzero(wanted), view_of)
    return uv, {name: array[place] for name, array in by_row.items()}


def _list(column: pa.Array | pa.ChunkedArray, size: int) -> NDArray[Any]:
    """A column of flat lists as (N, size)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat).reshape(len(column), size)
