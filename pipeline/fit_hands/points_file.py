"""SRC of `handpose fit`: joints or meshes of many hands, and what is refused of them."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.fitting.joint_order import EXTENT_M, extent, extents

Kind = Literal["joints", "vertices", "pixels"]
Unit = Literal["m", "mm"]

KINDS: dict[tuple[int, int], Kind] = {
    (21, 3): "joints",
    (778, 3): "vertices",
    (21, 2): "pixels",
}
"""By the shape of one hand."""

EXPECTED = (
    "expected an array of shape (N, 21, 3), joints; (N, 778, 3), MANO's vertices; or (N, 21, 2), "
    "joints in pixels: a .npy file, a .npz file or a JSON object with it as points, or JSON"
)
UNREADABLE = (
    *(ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error),
    MemoryError,  # a header that announces terabytes
    RuntimeError,  # an encrypted archive; JSON that is nested without end
)
"""What parsing a damaged file raises."""

METRES: dict[Unit, float] = {"m": 1.0, "mm": 1e-3}
LEAST_PX = 2.0
"""Pixels below this extent are fractions of an image."""

MOST_PX = 1e6
"""No camera and no image has a number above this; far above it fits are not finite."""


class PointsError(HandPoseError):
    """SRC is not what `handpose fit` takes."""


@dataclass(frozen=True)
class HandPoints:
    """The content of SRC."""

    kind: Kind
    points: Tensor  # (N, 21 or 778, 3) m, or (N, 21, 2) px
    is_left: Tensor  # (N,) bool
    K: Tensor | None  # (N, 3, 3) px, of pixels

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        unit: Unit,
        side: Literal["left", "right"] | None,
        K: NDArray[np.float64] | None,
    ) -> HandPoints:
        """Read and check a file.

        Args:
            path: .npy, .npz or .json; the latter two may hold `is_left` (N,) and `K` (3, 3) or
                (N, 3, 3) beside `points`.
            unit: of joints and vertices.
            side: of every hand; None: by `is_left` of the file, else right.
            K: (3, 3) px, instead of the file's.

        Raises:
            PointsError: the file cannot be read, or does not hold hands in this unit.
        """
        arrays = _arrays(path)
        points = _hands(path, arrays["points"])
        kind, n = KINDS[points.shape[1], points.shape[2]], len(points)
        is_left = np.full(n, side == "left")
        if side is None and "is_left" in arrays:
            is_left = _sides(path, arrays["is_left"], n)
        tensor = torch.from_numpy(points)
        if kind == "pixels":
            _check_pixels(path, tensor)
            camera = _intrinsics(path, arrays.get("K") if K is None else K, n)
        else:
            if K is not None:
                raise PointsError(f"{path}: holds {kind} in 3D, which need no --intrinsics")
            _check_unit(path, tensor, unit)
            tensor, camera = tensor * METRES[unit], None
        return cls(kind, tensor, torch.from_numpy(is_left), camera)

    def __len__(self) -> int:
        """Number of hands."""
        return len(self.points)

    def sample(self, most: int) -> HandPoints:
        """At most so many of the hands, spread over all."""
        rows = torch.linspace(0, len(self) - 1, min(most, len(self))).round().long()
        K = None if self.K is None else self.K[rows]
        return HandPoints(self.kind, self.points[rows], self.is_left[rows], K)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; a single one is called points."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PointsError(f"{path}: not found; {EXPECTED}") from None
    except IsADirectoryError:
        raise PointsError(f"{path}: is a folder; {EXPECTED}") from None
    try:
        if path.suffix.lower() == ".json":
            return _json_arrays(path, content)
        file = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {"points": file} if isinstance(file, np.ndarray) else dict(file)
    except UNREADABLE as error:
        other = recognise(path)
        if other is not None and other.kind == "json" and isinstance(error, json.JSONDecodeError):
            place = f"line {error.lineno}, column {error.colno}"
            raise PointsError(f"{path}: is not JSON at {place}: {error.msg}; {EXPECTED}") from None
        if other is not None and other.kind not in ("npy", "npz", "zip"):
            raise PointsError(f"{path}: {other}; {EXPECTED}") from None
        raise PointsError(f"{path}: cannot be read ({error}); {EXPECTED}") from None
    if "points" not in arrays and len(arrays) == 1:
        arrays = {"points": next(iter(arrays.values()))}
    if "points" not in arrays:
        raise _no_points(path, arrays)
    return arrays


def _json_arrays(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    """`points`, and `is_left` and `K` where they are there.

    Raises:
        PointsError: there are no points, or they do not make an array.
        ValueError: it is not JSON.
    """
    loaded = json.loads(content)
    named = loaded if isinstance(loaded, dict) else {"points": loaded}
    if "points" not in named:
        raise _no_points(path, named)
    arrays = {}
    for key in ("points", "is_left", "K"):
        if key in named:
            try:
                # sides stay as they are: numpy would make the text 'True' of [true, "left"]
                arrays[key] = np.asarray(named[key], dtype=object if key == "is_left" else None)
            except ValueError:
                fault = f"{key}: not an array: {_ragged(named[key])}"
                raise PointsError(f"{path}: {fault}; {EXPECTED}") from None
    return arrays


def _no_points(path: Path, names: Iterable[str]) -> PointsError:
    return PointsError(f"{path}: holds {', '.join(names) or 'nothing'}, no points; {EXPECTED}")


def _ragged(rows: list[Any]) -> str:
    """Which of these is the first whose shape differs from that of the first."""
    shapes: list[Any] = []
    for k, row in enumerate(rows):
        what = "hand" if isinstance(row, list) and row and isinstance(row[0], list) else "row"
        try:
            shapes.append(np.shape(row))
        except ValueError:
            return f"the rows of {what} {k} differ in length"
        if shapes[k] != shapes[0]:
            return f"{what} {k} has shape {shapes[k]}, {what} 0 has {shapes[0]}"
    return "its rows differ in length"


def _sides(path: Path, is_left: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Whether each hand is a left one, (N,); true and false, or 1 and 0."""
    if is_left.shape != (count,):
        raise PointsError(
            f"{path}: is_left has shape {is_left.shape}, expected ({count},): one per hand"
        )
    for k, value in enumerate(is_left.tolist()):
        if not isinstance(value, int | float) or value not in (0, 1):  # a bool is an int
            raise PointsError(
                f"{path}: is_left holds {value!r} of hand {k}, expected true or false for each hand"
            )
    return is_left.astype(np.bool_)


def _hands(path: Path, points: NDArray[Any]) -> NDArray[np.float64]:
    """Hands (N, P, D); a single hand becomes one of one."""
    if points.ndim == 2 and points.shape in KINDS:
        points = points[None]
    if points.ndim != 3 or points.shape[1:] not in KINDS or points.dtype.kind not in "fiu":
        what = f"of shape {points.shape}" if points.dtype.kind in "fiu" else "no array of numbers"
        raise PointsError(f"{path}: points are {what}; {EXPECTED}")
    if not len(points):
        raise PointsError(f"{path}: holds no hand: its shape is {points.shape}")
    hands = points.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(hands).all((1, 2)))
    if len(bad):
        raise PointsError(
            f"{path}: hand {bad[0]} holds something that is not a finite number, and so do "
            f"{len(bad)} of {len(hands)} hands; leave them out"
        )
    flat = np.flatnonzero(np.ptp(hands, axis=1).max(-1) == 0)
    if len(flat):
        raise PointsError(
            f"{path}: all points of hand {flat[0]} are one, and so it is with {len(flat)} of "
            f"{len(hands)} hands; leave them out"
        )
    return hands


def _check_unit(path: Path, points: Tensor, unit: Unit) -> None:
    """Refuse hands that no hand's size fits, with what the other unit would make of them."""
    size = extent(points)
    readings = {name: size * factor for name, factor in METRES.items()}
    low, high = EXTENT_M
    if low <= readings[unit] <= high:
        sizes = METRES[unit] * extents(points)
        odd = ((sizes < low) | (sizes > high)).nonzero().flatten().tolist()
        if odd:
            raise PointsError(
                f"{path}: hand {odd[0]}, read as {unit}, is {float(sizes[odd[0]]):.3g} m across, "
                f"expected {low} to {high} m, and so it is with {len(odd)} of {len(points)} hands; "
                "give all hands in one unit, and leave out those with a misplaced joint"
            )
        return
    (other,) = set(readings) - {unit}
    both = f"read as {unit} a hand is {readings[unit]:.3g} m across, as {other} "
    both += f"{readings[other]:.3g} m"
    if low <= readings[other] <= high:
        raise PointsError(f"{path}: {both}: give --unit {other}")
    raise PointsError(
        f"{path}: {both}; expected {low} to {high} m: are these points of one hand each, in metres "
        "or millimetres?"
    )


def _check_pixels(path: Path, points: Tensor) -> None:
    if (size := extent(points)) < LEAST_PX:
        raise PointsError(
            f"{path}: a hand is {size:.3g} px wide: are these fractions of an image? Multiply u by "
            "its width and v by its height"
        )
    far = (points.abs().amax((1, 2)) > MOST_PX).nonzero().flatten().tolist()
    if far:
        raise PointsError(
            f"{path}: hand {far[0]} is more than {MOST_PX:,.0f} px from the image's corner, and so "
            f"it is with {len(far)} of {len(points)} hands; leave them out"
        )


def _intrinsics(path: Path, K: NDArray[Any] | None, count: int) -> Tensor:
    if K is None:
        raise PointsError(
            f"{path}: joints in pixels need the camera: give --intrinsics fx,fy,cx,cy, or K in the "
            "file"
        )
    if K.shape not in ((3, 3), (count, 3, 3)) or K.dtype.kind not in "fiu":
        raise PointsError(f"{path}: K has shape {K.shape}, expected (3, 3) or ({count}, 3, 3)")
    camera = torch.from_numpy(K.astype(np.float64)).expand(count, 3, 3)
    focal = torch.stack([camera[:, 0, 0], camera[:, 1, 1], camera[:, :2, :2].det()])
    if not bool(camera.isfinite().all()) or float(focal.min()) <= 0:
        raise PointsError(f"{path}: K is of no camera: its focal lengths must be above 0 px")
    if float(camera.abs().max()) > MOST_PX:
        raise PointsError(f"{path}: K is of no camera: it holds a number above {MOST_PX:,.0f} px")
    last = camera.new_tensor([0.0, 0.0, 1.0])
    wrong = (~torch.isclose(camera[:, 2], last).all(1)).nonzero().flatten().tolist()
    if wrong:
        found = ", ".join(f"{value:g}" for value in camera[wrong[0], 2].tolist())
        raise PointsError(
            f"{path}: K is of no camera: its last row is ({found}), expected (0, 0, 1); write K as "
            "fx, 0, cx; 0, fy, cy; 0, 0, 1, row by row"
        )
    return camera
