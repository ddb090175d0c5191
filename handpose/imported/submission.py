"""Files that the benchmarks' evaluators read: written, and read with every doubt resolved.

FreiHAND and HO-3D: `pred.json`, [joints of all hands, meshes of all hands] in metres, in the order
of the evaluation set; HO-3D in OpenGL's axes and MANO's order of joints. DexYCB: a line for each
frame with its number and 21 x 3 coordinates in millimetres, separated by commas.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.files import atomic_file
from handpose.fitting.joint_order import EXTENT_M, ORDERS, extent
from handpose.hand.skeleton import inverse
from handpose.imported.readings import MOST, check_reading
from handpose.imported.statement import ANNOTATED, AS_SEEN, CAMERA, ImportedError, Statement

Floats = NDArray[np.float64]

MESH = (778, 3)
JOINTS = (21, 3)

FEWEST_AHEAD = 0.5
"""Share of hands that must lie before the camera."""

JOINTS_OVER_MESH = 1.6
"""Joints whose error after Procrustes is so many times the mesh's are in a wrong order (HandMesh,
issue 86: 25 mm beside 12 mm)."""


@dataclass(frozen=True)
class SubmissionFormat:
    """What an evaluator expects."""

    name: str  # of the benchmark
    hands: int | None  # of the official evaluation set; None: not known
    joint_order: str  # key of `joint_order.ORDERS`
    opengl: bool  # y up and z backward
    kind: Literal["pred.json", "lines"] = "pred.json"


FORMATS = {
    "freihand": SubmissionFormat("FreiHAND", 3_960, "freihand", opengl=False),
    "ho3d_v2": SubmissionFormat("HO-3D v2", 11_524, "mano", opengl=True),
    "ho3d_v3": SubmissionFormat("HO-3D v3", 20_137, "mano", opengl=True),
    **{
        f"dexycb_{setup}": SubmissionFormat(
            f"DexYCB {setup}", None, "openpose", opengl=False, kind="lines"
        )
        for setup in ("s0", "s1", "s2", "s3")
    },
}
"""By key of `data.benchmarks`."""


@dataclass(frozen=True)
class Submission:
    """Predictions of the N hands of an evaluation set, in metres, our axes and order of joints."""

    joints: Floats  # (N, 21, 3), camera
    vertices: Floats | None  # (N, 778, 3), camera


def write_submission(
    path: Path, form: SubmissionFormat, found: Submission, index: NDArray[np.int64]
) -> None:
    """Write predictions as the evaluator reads them.

    Args:
        path: of the file.
        form: of the benchmark.
        found: of N hands.
        index: (N,) number of each in the official order.

    Raises:
        ImportedError: pred.json needs meshes, and there are none.
    """
    joints = _axes(found.joints, form)[:, inverse(ORDERS[form.joint_order])]
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        if form.kind == "lines":
            for number, hand in zip(index.tolist(), 1000 * joints, strict=True):
                stream.write(",".join([str(number), *(f"{x:.4f}" for x in hand.ravel())]) + "\n")
            return
        if found.vertices is None:
            raise ImportedError(f"{path}: {form.name} asks for meshes, and there are none")
        json.dump([joints.round(7).tolist(), _axes(found.vertices, form).round(7).tolist()], stream)


def read_submission(path: Path, form: SubmissionFormat, index: NDArray[np.int64]) -> Submission:
    """Predictions of these hands from a file that the evaluator reads.

    Args:
        path: of the file.
        form: of the benchmark.
        index: (N,) official number of each hand of the truth, rising.

    Raises:
        ImportedError: it is missing, damaged, of another number of hands, not finite, in another
            unit, or behind the camera.
    """
    joints, vertices = (
        _read_lines(path, index) if form.kind == "lines" else _read_lists(path, form, len(index))
    )
    for name, points in (("joints", joints), ("vertices", vertices)):
        if points is None:
            continue
        if not (finite := np.isfinite(points).all((1, 2))).all():
            bad = np.flatnonzero(~finite)
            raise ImportedError(
                f"{path}: {name} of {counted(len(bad), 'hand')} are not finite, the first is hand "
                f"{bad[0]}"
            )
        _check_unit(path, name, points[_spread(len(points))], form)
    ours = _axes(joints, form)
    ahead = float((ours[..., 2].mean(1) > 0).mean())
    if ahead < FEWEST_AHEAD:
        wanted = (
            "OpenGL's axes (y up, z backward)" if form.opengl else "axes x right, y down, z forward"
        )
        raise ImportedError(
            f"{path}: {1 - ahead:.0%} of the hands lie behind the camera; {form.name} expects "
            f"{wanted}. Negate y and z"
        )
    meshes = None if vertices is None else _axes(vertices, form)
    return Submission(ours[:, ORDERS[form.joint_order]], meshes)


def check_order(path: Path, form: SubmissionFormat, found: Submission, truth: Floats) -> None:
    """Refuse joints (N, 21, 3) that another order brings decisively nearer to the truth.

    Raises:
        ImportedError: with both errors.
    """
    rows = _spread(len(truth))
    as_given = found.joints[rows][:, inverse(ORDERS[form.joint_order])]
    check_reading(
        path,
        torch.from_numpy(as_given),
        torch.zeros(len(rows), dtype=torch.bool),
        torch.from_numpy(truth[rows]),
        torch.ones(len(rows), 21, dtype=torch.bool),
        Statement(
            model=path.name,
            split=form.name,
            unit="m",
            joint_order=form.joint_order,
            joint_definition=ANNOTATED,
            frame=CAMERA,
            left_hands=AS_SEEN,
        ),
    )


def _check_unit(path: Path, name: str, points: Floats, form: SubmissionFormat) -> None:
    """Refuse points (N, P, 3) m whose hands are not as large as hands."""
    size, (low, high) = extent(torch.from_numpy(points)), EXTENT_M
    if low <= size <= high:
        return
    unit, other, factor = ("mm", "m", 1000) if form.kind == "lines" else ("m", "mm", 0.001)
    raise ImportedError(
        f"{path}: read in {unit}, as the evaluator reads them, the {name} of a hand are {size:.3g} "
        f"m across, in {other} {size * factor:.3g} m; hands are {low} to {high} m: write {unit}"
    )


def _read_lists(path: Path, form: SubmissionFormat, count: int) -> tuple[Floats, Floats]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ImportedError(f"{path}: not found") from None
    except (ValueError, RecursionError) as error:
        raise ImportedError(f"{path}: is no JSON: {error}; expected {form.kind}") from None
    if not isinstance(content, list) or len(content) != 2:
        what = f"{len(content)} lists" if isinstance(content, list) else type(content).__name__
        raise ImportedError(
            f"{path}: holds {what}; expected two: the joints of all hands, and their meshes"
        )
    return (
        _points(path, "joints", content[0], JOINTS, count, form),
        _points(path, "vertices", content[1], MESH, count, form),
    )


def _points(
    path: Path,
    name: str,
    hands: Any,
    shape: tuple[int, int],
    count: int,
    form: SubmissionFormat,
) -> Floats:
    given = len(hands) if isinstance(hands, list) else 0
    if given != count:
        others = [
            other.name
            for other in FORMATS.values()
            if other.hands == given and other.name != form.name
        ]
        hint = f": as many as {others[0]} has" if others else ": hands are missing or doubled"
        raise ImportedError(
            f"{path}: {name} of {given:,} hands, the evaluation set of {form.name} has {count:,}"
            f"{hint}"
        )
    arrays = [_array(hand) for hand in hands]
    for k, array in enumerate(arrays):
        if array is None or array.shape != shape:
            what = "no equally long lists of numbers" if array is None else f"{array.shape}"
            raise ImportedError(f"{path}: {name} of hand {k} are {what}, expected {shape} numbers")
    return np.stack([array for array in arrays if array is not None])


def _array(hand: Any) -> Floats | None:
    try:
        return np.array(hand, np.float64)
    except (TypeError, ValueError):
        return None


def _read_lines(path: Path, index: NDArray[np.int64]) -> tuple[Floats, None]:
    wanted = set(index.tolist())
    found: dict[int, Sequence[float]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise ImportedError(f"{path}: not found") from None
    except UnicodeDecodeError:
        raise ImportedError(f"{path}: is no text") from None
    for number, line in enumerate(lines, start=1):
        words = line.split(",")
        try:
            frame, values = int(words[0]), [float(word) / 1000 for word in words[1:]]
        except ValueError:
            frame, values = -1, []
        if len(values) != 63:
            raise ImportedError(
                f"{path}:{number}: expected the number of a frame and 63 coordinates in mm, "
                f"separated by commas, found {len(words)} values: {line[:40]}"
            )
        if frame in found:
            raise ImportedError(f"{path}:{number}: frame {frame} has two lines")
        found[frame] = values
    if missing := sorted(wanted - set(found)):
        raise ImportedError(
            f"{path}: {counted(len(missing), 'frame')} with a hand have no line, the first is "
            f"{missing[0]}. Is it of another setup?"
        )
    return np.array([found[k] for k in index.tolist()]).reshape(-1, 21, 3), None


def _axes(points: Floats, form: SubmissionFormat) -> Floats:
    """Between the evaluator's axes and ours; its own inverse."""
    return points * np.array([1.0, -1.0, -1.0]) if form.opengl else points


def _spread(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(MOST, count)).round().astype(np.intp)
