"""Whether joints are what their file states, judged by the truth of the same images.

A wrong order of joints, a mirrored hand, another unit or other axes give errors that look like
those of a bad model. Each is tried as another reading of the same numbers. A reading is refused for
another one only if that is better by a clear margin *and* for nearly every hand, so that no model
is refused for being bad, not even a constant one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from handpose.evaluation import metrics
from handpose.fitting.joint_order import DISTINCT, EXTENT_M, ORDERS, extent, in_our_order
from handpose.hand.mirror import mirror_points
from handpose.hand.skeleton import WRIST
from handpose.imported.statement import (
    AS_SEEN,
    CAMERA,
    METRES,
    MIRRORED,
    ImportedError,
    Statement,
)

MOST = 512
"""Hands that are tried, spread over all."""

FEWEST = 12
"""Hands below which nothing is doubted by their errors: chance would decide."""

MARGIN = 0.8
"""A better reading has at most this share of the error, on average,"""

AGREEMENT = 0.8
"""and a smaller one for at least this share of the hands."""

NO_HAND = 1.5
"""Joints that are farther from their truth, by this factor, than the hands of other images are no
hands in any known order: a constant prediction has a factor below 1."""

AT_WRIST_M = 1e-3

SAME_HAND_MM = 25.0
"""Joints are not of their mesh from here; definitions of joints differ by less than 10 mm."""

AXES = {
    "x negated (the other hand's frame)": (-1.0, 1.0, 1.0),
    "y and z negated (OpenGL's axes: y up, z backward)": (1.0, -1.0, -1.0),
    "x and y negated": (-1.0, -1.0, 1.0),
    "y negated": (1.0, -1.0, 1.0),
    "z negated": (1.0, 1.0, -1.0),
}
"""Other axes that are tried: factors of x, y and z."""


def in_our_convention(points: Tensor, is_left: Tensor, statement: Statement) -> Tensor:
    """Points of a file in metres and camera axes, left hands not mirrored, about the file's origin.

    Args:
        points: (B, P, 3) as the file has them; joints keep their order.
        is_left: (B,).
        statement: of the file.
    """
    metres = points * METRES[statement.unit]
    return mirror_points(metres, is_left) if statement.left_hands == MIRRORED else metres


def joints_in_our_convention(joints: Tensor, is_left: Tensor, statement: Statement) -> Tensor:
    """The same of joints (B, 21, 3), and in the order of `hand/skeleton.py`."""
    return in_our_order(in_our_convention(joints, is_left, statement), statement.joint_order)


def spread(count: int) -> Tensor:
    """At most `MOST` rows of so many, spread over all: (n,)."""
    return torch.linspace(0, count - 1, min(MOST, count)).round().long()


def check_unit(path: Path, name: str, points: Tensor, unit: str) -> None:
    """Refuse points (N, P, 3) whose hands no unit, or only the other unit, makes as large as hands.

    Raises:
        ImportedError: with both readings.
    """
    size = extent(points)
    readings = {name: size * factor for name, factor in METRES.items()}
    low, high = EXTENT_M
    if low <= readings[unit] <= high:
        return
    (other,) = set(readings) - {unit}
    sizes = f"{path}: read as {unit}, as stated, the {name} of a hand are {readings[unit]:.3g} m "
    sizes += f"across, as {other} {readings[other]:.3g} m; hands are {low} to {high} m"
    if low <= readings[other] <= high:
        raise ImportedError(f"{sizes}. State unit {other!r}")
    raise ImportedError(f"{sizes}. Write one hand in a row, in metres or millimetres")


def check_frame(path: Path, joints: Tensor, statement: Statement) -> None:
    """Refuse joints (N, 21, 3), in our convention, whose wrists are not where the frame says.

    Raises:
        ImportedError: they are not.
    """
    wrist = joints[:, WRIST]
    away = float(wrist.norm(dim=-1).median())
    if statement.frame != CAMERA:
        if away > AT_WRIST_M:
            raise ImportedError(
                f"{path}: states that points are relative to the wrist, but half of the wrists are "
                f"{1000 * away:.3g} mm or more from 0: state frame {CAMERA!r}, or subtract the "
                "wrist"
            )
        return
    if away <= AT_WRIST_M:
        raise ImportedError(
            f"{path}: states that points are in the camera's frame, but the wrists are at 0: state "
            "frame 'wrist'"
        )
    if float(wrist[:, 2].median()) < 0:
        raise ImportedError(
            f"{path}: half of the hands lie behind the camera (z < 0): its axes are x right, y "
            "down, z forward. Negate y and z if yours are OpenGL's"
        )


def check_reading(
    path: Path, raw: Tensor, is_left: Tensor, truth: Tensor, valid: Tensor, statement: Statement
) -> None:
    """Refuse joints that another order or other axes fit decisively better than those stated.

    Args:
        path: for messages.
        raw: (N, 21, 3) as the file has them.
        is_left: (N,).
        truth: (N, 21, 3) m, camera, in our order.
        valid: (N, 21) bool, joints of the truth to compare with.
        statement: of the file.

    Raises:
        ImportedError: with the error of both readings.
    """
    in_axes = in_our_convention(raw, is_left, statement)
    by_order = {
        name: metrics.pa_mpjpe_mm(in_our_order(in_axes, name), truth, valid) for name in DISTINCT
    }
    if len(raw) < FEWEST:
        return
    given = next(n for n in DISTINCT if (ORDERS[n] == ORDERS[statement.joint_order]).all())
    if better := _better(by_order, given):
        theirs = [n for n in ORDERS if (ORDERS[n] == ORDERS[better]).all()]
        raise ImportedError(
            f"{path}: joints in another order? Read as joint_order {statement.joint_order!r}, as "
            f"stated, they are {_mean(by_order[given])} mm from the truth after the best "
            f"alignment; read as {' or '.join(map(repr, theirs))}, {_mean(by_order[better])} mm"
        )
    _check_hand(path, by_order, truth, valid)

    joints = in_our_order(in_axes, statement.joint_order)
    for left in (True, False):
        rows = is_left == left
        if int(rows.sum()) >= FEWEST:
            _check_axes(path, joints[rows], truth[rows], valid[rows], left, statement)


def _check_hand(path: Path, by_order: Mapping[str, Tensor], truth: Tensor, valid: Tensor) -> None:
    """Refuse joints that are no hand's in any order."""
    others = truth.roll(len(truth) // 2, 0)  # a hand of another image, as a prediction
    chance = metrics.pa_mpjpe_mm(others, truth, valid & valid.roll(len(truth) // 2, 0))
    if all(float(e.nanmean()) > NO_HAND * float(chance.nanmean()) for e in by_order.values()):
        tried = ", ".join(f"{name} {_mean(error)} mm" for name, error in by_order.items())
        raise ImportedError(
            f"{path}: the joints do not form a hand in any known order: after alignment their "
            f"error is {tried}, that of hands from other images is {_mean(chance)} mm. Write them "
            f"in one of the orders {', '.join(ORDERS)}"
        )


def _check_axes(
    path: Path, joints: Tensor, truth: Tensor, valid: Tensor, left: bool, statement: Statement
) -> None:
    """Refuse hands of one side that other axes would turn into the true ones."""
    stated = "as stated"
    readings = {stated: (1.0, 1.0, 1.0), **AXES}
    errors = {
        name: metrics.wrist_mpjpe_mm(joints * joints.new_tensor(factors), truth, valid)
        for name, factors in readings.items()
    }
    if better := _better(errors, stated):
        side = "left" if left else "right"
        remedy = "Write them in the camera's axes: x right, y down, z forward"
        if left and better == next(iter(AXES)):
            other = MIRRORED if statement.left_hands == AS_SEEN else AS_SEEN
            remedy = f"State left_hands {other!r}, or mirror them"
        raise ImportedError(
            f"{path}: {side} hands are {_mean(errors[stated])} mm from the truth, wrist-relative, "
            f"{stated} (left_hands {statement.left_hands!r}); with {better}, "
            f"{_mean(errors[better])} mm. {remedy}"
        )


def _better(errors: Mapping[str, Tensor], given: str) -> str | None:
    """The reading that is decisively better than the given one, the best if there are several."""
    own = errors[given]
    means = {name: float(error.nanmean()) for name, error in errors.items()}
    decisive = [
        name
        for name, error in errors.items()
        if name != given
        and means[name] < MARGIN * means[given]
        and _share(error < own, error) >= AGREEMENT
    ]
    return min(decisive, key=means.__getitem__, default=None)


def _share(hits: Tensor, error: Tensor) -> float:
    scored = ~error.isnan()
    return float(hits[scored].float().mean()) if bool(scored.any()) else 0.0


def _mean(error: Tensor) -> str:
    return f"{float(error.nanmean()):.1f}"


def check_pixels(path: Path, uv: Tensor, truth: Tensor, valid: Tensor) -> None:
    """Refuse 2D joints that are not in pixels of the photo.

    Args:
        path: for messages.
        uv: (N, 21, 2) of the file, in our order.
        truth: (N, 21, 2) px of the photo.
        valid: (N, 21) bool.

    Raises:
        ImportedError: half of the hands are farther from the true ones than these are wide.
    """
    counts = valid[..., None]
    middle, true_middle = (
        torch.where(counts, points, 0.0).sum(1) / counts.sum(1) for points in (uv, truth)
    )
    size = (
        torch.where(counts, truth, -torch.inf).amax(1)
        - torch.where(counts, truth, torch.inf).amin(1)
    ).amax(-1)
    distance = (middle - true_middle).norm(dim=-1)
    if float((distance > size).float().mean()) > 0.5:
        raise ImportedError(
            f"{path}: joints_2d are {float(distance.median()):.3g} px from hands that are "
            f"{float(size.median()):.3g} px wide: are they pixels of a crop, or shares of an "
            "image? Write pixels of the photo"
        )


def check_same_hand(path: Path, joints: Tensor, of_mesh: Tensor) -> None:
    """Refuse joints (N, 21, 3) m that lie farther from those of their mesh than hands differ.

    Raises:
        ImportedError: half of the hands do.
    """
    ours, meshs = (points - points[:, [WRIST]] for points in (joints, of_mesh))
    away = metrics.distances_mm(ours, meshs).mean(-1)  # (N,) mm
    if float(away.median()) > SAME_HAND_MM:
        raise ImportedError(
            f"{path}: joints and vertices are of different hands: half of the joints lie "
            f"{float(away.median()):.3g} mm or more from those of their mesh, wrists together. "
            "Write both in one unit and frame, and vertices in MANO's order"
        )
