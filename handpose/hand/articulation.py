"""Hand poses as a person thinks of them: flexion, abduction and opposition in degrees.

A gesture is a row of `data/gesture_poses.csv`. Its angles turn about hinge axes computed from the
rest skeleton, so the same row drives the stand-in and the real MANO, and a left hand by mirroring.

Signs: flexion bends towards the palm; abduction leads away from the middle finger (the middle
finger's own: towards the index); the thumb's `oppose` turns it about the hand's long axis to below
the palm, `spread` leads away from the index in the plane of the palm, `twist` turns its pad
towards the fingers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.errors import HandPoseError
from handpose.hand.skeleton import MANO_JOINTS

Array = NDArray[np.floating[Any]]

DIGITS = {
    "index": ("MCP", "PIP", "DIP", "abduction"),
    "middle": ("MCP", "PIP", "DIP", "abduction"),
    "ring": ("MCP", "PIP", "DIP", "abduction"),
    "pinky": ("MCP", "PIP", "DIP", "abduction"),
    "thumb": ("oppose", "spread", "twist", "MCP", "IP"),
}
"""Columns of the table and the angles each holds, in this order, separated by slashes."""

ANGLES = tuple(f"{digit}.{angle}" for digit, angles in DIGITS.items() for angle in angles)
"""Names of the 21 angles of a pose."""

WRIST_ANGLES = ("pitch", "yaw", "roll")


class GesturePoseError(HandPoseError):
    """The table of gesture poses cannot be read."""


@dataclass(frozen=True)
class GesturePose:
    """The peak of one gesture."""

    gesture: str
    right_folder: str  # InterHand2.6M's folder, '' where that hand has none
    left_folder: str
    angles: Array  # (21,) degrees, order of ANGLES
    wrist: Array  # (3,) degrees: pitch, yaw, roll
    motion: str  # hold, rise, wave, rock, tap, open, close


class Articulation:
    """Hinge axes of one skeleton, and poses from angles about them."""

    def __init__(self, joints_rest: Array) -> None:
        """From MANO's 16 rest joints of a right hand, (16, 3) m."""
        at = {name: joints_rest[i] for i, name in enumerate(MANO_JOINTS)}
        distal = _unit(at["middle_1"] - at["wrist"])
        radial = at["index_1"] - at["pinky_1"]
        radial = _unit(radial - (radial @ distal) * distal)
        palmar = np.cross(radial, distal)  # out of the palm of a right hand
        self._palmar = palmar
        self._oppose = np.cross(radial, palmar)  # turns radial towards palmar
        self._spread = np.cross(distal, radial)  # turns distal towards radial
        self._twist = _unit(at["thumb_2"] - at["thumb_1"])
        self._hinges: dict[str, list[Array]] = {}  # flexion axes of each digit's three bones
        for digit in DIGITS:
            pad = palmar
            if digit == "thumb":
                pad = np.cos(THUMB_ROLL) * palmar - np.sin(THUMB_ROLL) * radial
            first, second, third = (at[f"{digit}_{k}"] for k in (1, 2, 3))
            bones = (second - first, third - second, third - second)
            self._hinges[digit] = [_unit(np.cross(bone, pad)) for bone in bones]
        towards = {"index": radial, "middle": radial, "ring": -radial, "pinky": -radial}
        self._abduct = {digit: np.cross(distal, side) for digit, side in towards.items()}

    def pose(self, angles: Array) -> Array:
        """Axis-angle of MANO's 15 joints, flat hand = 0: angles (..., 21) deg -> (..., 15, 3) rad."""
        radians = np.radians(angles)
        value = {name: radians[..., i].reshape(-1) for i, name in enumerate(ANGLES)}
        joints = {}
        for digit, hinges in self._hinges.items():
            turns = [value[f"{digit}.{name}"] for name in DIGITS[digit]]
            if digit == "thumb":
                oppose, spread, twist, mcp, ip = turns
                joints["thumb_1"] = (
                    _turn(self._oppose, oppose)
                    * _turn(self._spread, spread)
                    * _turn(self._twist, twist)
                )
                joints["thumb_2"], joints["thumb_3"] = _turn(hinges[1], mcp), _turn(hinges[2], ip)
                continue
            mcp, pip, dip, abduction = turns
            joints[f"{digit}_1"] = _turn(self._abduct[digit], abduction) * _turn(hinges[0], mcp)
            joints[f"{digit}_2"], joints[f"{digit}_3"] = (
                _turn(hinges[1], pip),
                _turn(hinges[2], dip),
            )
        stacked = np.stack([joints[name].as_rotvec() for name in MANO_JOINTS[1:]], axis=1)
        return stacked.reshape(*angles.shape[:-1], 15, 3)


THUMB_ROLL = np.radians(55)
"""How far the thumb's pad is turned from the palm's direction towards the fingers."""


def read_gesture_poses() -> tuple[GesturePose, ...]:
    """The table `handpose/data/gesture_poses.csv`.

    Raises:
        GesturePoseError: a cell is not what its column holds; line and column are named.
    """
    path = resources.files("handpose.data") / "gesture_poses.csv"
    rows = csv.DictReader(path.read_text("utf-8").splitlines())
    return tuple(_row(row, line) for line, row in enumerate(rows, start=2))


def _row(row: dict[str, str], line: int) -> GesturePose:
    """One gesture of the table."""
    angles = [_numbers(row[digit], len(names), digit, line) for digit, names in DIGITS.items()]
    return GesturePose(
        gesture=row["gesture"],
        right_folder=row["right_folder"],
        left_folder=row["left_folder"],
        angles=np.concatenate(angles),
        wrist=_numbers(row["wrist"], len(WRIST_ANGLES), "wrist", line),
        motion=row["motion"],
    )


def _numbers(cell: str, count: int, column: str, line: int) -> Array:
    try:
        values = np.array([float(text) for text in cell.split("/")])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count:
        raise GesturePoseError(
            f"gesture_poses.csv:{line}: column {column} holds {cell!r}, expected {count} numbers "
            "separated by slashes"
        )
    return values


def _turn(axis: Array, angle: Array) -> Rotation:
    """Rotations about one axis (3,) by angles (N,) rad."""
    return Rotation.from_rotvec(angle[:, None] * axis)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
