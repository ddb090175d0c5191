"""The rows of a file of predictions and the evaluated samples, one row for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.counted import counted
from handpose.fitting.joint_order import in_our_order
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.imported.predictions_file import SIDES, PredictionsFile
from handpose.imported.readings import (
    check_frame,
    check_pixels,
    check_reading,
    check_same_hand,
    check_unit,
    in_our_convention,
    joints_in_our_convention,
    spread,
)
from handpose.imported.statement import ImportedError
from pipeline.imported.held_out import HeldOut, Key, splits_of

SHOWN = 3
"""Rows that a message names."""


@dataclass(frozen=True)
class Matched:
    """Which sample each row of a file is of."""

    position: Mapping[Key, int]  # of the samples that are scored
    ignored: int  # rows of samples of this split that the evaluation leaves out
    missing: int  # samples without a row


def match(file: PredictionsFile, held_out: HeldOut, *, partial: bool) -> Matched:
    """Match all rows to the samples of their split.

    Args:
        file: the predictions.
        held_out: the samples.
        partial: samples may be missing.

    Raises:
        ImportedError: the file states another split, or its rows are doubled, of another split, of
            the other side, of no sample, or too few.
    """
    path, split = file.path, held_out.split
    if file.statement.split != split:
        raise ImportedError(
            f"{path}: states that it is of split {file.statement.split!r}, expected {split!r}: "
            f"give --split {file.statement.split}, or the predictions of {split}"
        )
    keys: list[Key] = []
    for rows in file.rows(()):
        keys += zip(rows.images, rows.is_left.tolist(), strict=True)
    if not keys:
        raise ImportedError(f"{path}: holds no row")
    doubled = [key for key, count in Counter(keys).items() if count > 1]
    if doubled:
        raise ImportedError(
            f"{path}: {counted(len(doubled), 'hand')} in more than one row ({_names(doubled)}); "
            "one row per hand"
        )
    position = {key: k for k, key in enumerate(held_out.keys)}
    foreign = [key for key in keys if key not in position]
    ignored = _check_foreign(file, foreign, held_out) if foreign else 0
    given = set(keys)
    missing = [key for key in held_out.keys if key not in given]
    if missing and not partial:
        raise ImportedError(
            f"{path}: {counted(len(missing), 'sample')} of the {len(held_out):,} of {split} "
            f"{'have' if len(missing) > 1 else 'has'} no row ({_names(missing)}). A score without "
            "the hands that were not found is of easier images: predict them all, or give "
            "--partial, which scores both sides on the images that are there"
        )
    if len(missing) == len(held_out):
        raise ImportedError(f"{path}: holds no sample that is evaluated")
    return Matched({key: position[key] for key in keys if key in position}, ignored, len(missing))


def _check_foreign(file: PredictionsFile, foreign: Sequence[Key], held_out: HeldOut) -> int:
    """Refuse keys that are no evaluated sample's, but for samples that are left out on purpose.

    Returns how many are left out: their folder has no gesture, or their crop could not be cut.
    """
    found = splits_of([image for image, _ in foreign])
    other = Counter(found[key] for key in foreign if key in found)
    ignored = other.pop(held_out.split, 0)
    if other:
        (split, count), *_ = other.most_common()
        some = [key for key in foreign if found.get(key) == split]
        raise ImportedError(
            f"{file.path}: {counted(count, 'row')} of split {split}, not of {held_out.split} "
            f"({_names(some)})"
        )
    unknown = [key for key in foreign if key not in found]
    swapped = [key for key in unknown if (key[0], not key[1]) in found]
    if swapped:
        raise ImportedError(
            f"{file.path}: {counted(len(swapped), 'row')} of the side that is not in the photo "
            f"({_names(swapped)}): side is that of the hand as it is, also where it was mirrored "
            "for the model"
        )
    if unknown:
        raise ImportedError(
            f"{file.path}: {counted(len(unknown), 'row')} of no sample of this data set "
            f"({_names(unknown)}); image is a path below its root, such as "
            f"{held_out.keys[0][0]}"
        )
    return ignored


def _names(keys: Sequence[Key]) -> str:
    named = [f"{image} {SIDES[int(is_left)]}" for image, is_left in keys[:SHOWN]]
    return ", ".join(named) + (", ..." if len(keys) > SHOWN else "")


def check_statement(file: PredictionsFile, matched: Matched, held_out: HeldOut, mano: Mano) -> None:
    """Refuse a file whose numbers are not what it states, judged by hands spread over it.

    Raises:
        ImportedError: see `readings`.
    """
    rows, position = _some(file, matched)
    statement, path = file.statement, file.path
    where = torch.from_numpy(position)
    is_left = torch.from_numpy(held_out.is_left[position])
    joints = joints_in_our_convention(rows["joints"], is_left, statement)
    truth, valid = held_out.truth(where)
    check_unit(path, "joints", rows["joints"], statement.unit)
    check_reading(path, rows["joints"], is_left, truth, valid, statement)
    check_frame(path, joints, statement)  # last: of another order, the wrist is another joint
    if "vertices" in rows:
        check_unit(path, "vertices", rows["vertices"], statement.unit)
        mesh = in_our_convention(rows["vertices"], is_left, statement)
        check_same_hand(path, joints, mano.joints_from(mesh - joints[:, [WRIST]]).double())
    if "joints_2d" in rows:
        K = torch.from_numpy(held_out.K_photo[position])
        in_front = torch.where(valid[..., None], truth, K[:, None, 2])
        uv = project(in_front, K)
        check_pixels(path, in_order(rows["joints_2d"], file), uv, valid)


def in_order(uv: Tensor, file: PredictionsFile) -> Tensor:
    """2D joints (B, 21, 2) of a file in our order."""
    return in_our_order(uv, file.statement.joint_order)


def _some(file: PredictionsFile, matched: Matched) -> tuple[dict[str, Tensor], NDArray[np.intp]]:
    """The points of some matched rows, spread over all, and their samples."""
    chosen = set(spread(len(matched.position)).tolist())
    points: dict[str, list[NDArray[np.floating]]] = {name: [] for name in file.columns}
    position: list[int] = []
    seen = 0
    for rows in file.rows():
        keys = zip(rows.images, rows.is_left.tolist(), strict=True)
        for k, key in enumerate(keys):
            if key not in matched.position:
                continue
            if seen in chosen:
                position.append(matched.position[key])
                for name in file.columns:
                    points[name].append(rows.points[name][k])
            seen += 1
    tensors = {name: torch.from_numpy(np.stack(values)) for name, values in points.items()}
    return tensors, np.array(position)
