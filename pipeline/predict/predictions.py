"""`predictions.json`, the meshes and the pictures that `handpose predict` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.estimator import HandEstimate
from handpose.files import atomic_file
from handpose.hand.rotation import matrix_to_axis_angle
from pipeline.predict.hand_box import BoxedHand

SCHEMA = 2
"""Of `predictions.json`; it grows when a field goes, or means another thing."""

JSON_NAME = "predictions.json"
GESTURES = 5
"""Likeliest gestures of a hand that are listed."""

Array = NDArray[np.floating[Any]]


class PictureError(HandPoseError):
    """A picture or a video cannot be written."""


def hand_record(found: BoxedHand, size: tuple[int, int]) -> dict[str, Any]:
    """One hand, or that there is none, of a photo of `size` (width, height) px."""
    record: dict[str, Any] = {
        "size_px": list(size),
        "box_px": _numbers(np.array(found.box)) if np.isfinite(found.box).all() else None,
        "box_from": found.origin,
        "found": found.hand is not None,
    }
    if found.hand is None:
        return {**record, "why": found.why}
    hand = found.hand
    return {
        **record,
        "side": hand.side,
        "side_probability": _number(hand.side_probability),
        "side_certain": hand.side_is_certain,
        "facing": hand.facing or None,
        "facing_probability": _number(hand.facing_probability) if hand.facing else None,
        "is_hand_probability": _number_or_none(hand.is_hand_probability),
        "joints_px": _numbers(hand.joints_px),
        "joints_px_radius90": _numbers_or_none(hand.joints_px_radius90),
        "joints_m": _numbers(hand.joints),
        "joints_m_radius90": _numbers_or_none(hand.joints_radius90),
        "frame": hand.frame,
        "scale": "relative",
        "mano": {
            "frame": "right hand",
            "global_orient": _numbers(_axis_angle(hand.global_orient)),
            "hand_pose": _numbers(_axis_angle(hand.hand_pose)),
            "hand_pose_relative_to_mean": False,
            "betas": _numbers(hand.betas),
        },
        "gestures": [[name, _number(p)] for name, p in hand.gestures[:GESTURES]],
    }


def write_predictions(folder: Path, record: dict[str, Any]) -> Path:
    """Write the JSON file of a run; returns its path."""
    path = folder / JSON_NAME
    with atomic_file(path) as partial:
        partial.write_text(json.dumps({"schema": SCHEMA, **record}, indent=1) + "\n", "utf-8")
    return path


def write_mesh(path: Path, hand: HandEstimate) -> None:
    """The mesh as Wavefront OBJ: metres about the wrist, axes as of `hand.frame`."""
    lines = [f"# {hand.side} hand; metres about the wrist; x right, y down, z away: {hand.frame}"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in hand.vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in hand.faces.tolist()]
    with atomic_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """An RGB image as PNG.

    Raises:
        PictureError: OpenCV cannot encode it.
    """
    done, content = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise PictureError(f"{path}: OpenCV cannot encode {image.shape[1]} x {image.shape[0]} px")
    with atomic_file(path) as partial:
        partial.write_bytes(content.tobytes())


def _axis_angle(rotations: Array) -> Array:
    """(..., 3, 3) -> (..., 3) rad."""
    array: Array = matrix_to_axis_angle(torch.from_numpy(np.array(rotations))).numpy()
    return array


def _numbers(array: Array) -> list[Any]:
    """Nested lists of `_number`."""
    if array.ndim == 1:
        return [_number(value) for value in array.tolist()]
    return [_numbers(row) for row in array]


def _numbers_or_none(array: Array | None) -> list[Any] | None:
    return None if array is None else _numbers(array)


def _number_or_none(value: float | None) -> float | None:
    return None if value is None else _number(value)


def _number(value: float) -> float:
    """With nine digits, which distinguish any two float32."""
    return float(f"{value:.9g}")
