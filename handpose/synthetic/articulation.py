"""Hand poses in anatomical angles: flexion, abduction and opposition in degrees.

A gesture is a row of `gesture_poses.csv`. Its angles rotate about hinge axes computed from the rest
skeleton, so the same row drives the stand-in and the real MANO, and a left hand by mirroring.

Signs: flexion bends towards the palm; abduction moves away from the middle finger (the middle
finger's own: towards the index). The thumb's `oppose` rotates it about the hand's long axis below
the palm, `spread` moves it away from the index in the plane of the palm, `twist` turns its pad from
facing the fingers to the direction of the palm. The wrist angles start from an upright hand that
shows its palm: `pitch` bends it towards the palm, `roll` rotates it about the forearm so that the
palm faces the side of the thumb, then `yaw` tilts it to the side of the little finger, thumb up.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.errors import HandPoseError
from handpose.hand.skeleton import MANO_JOINTS, MANO_PARENTS

Array = NDArray[np.floating[Any]]

DIGITS = {
    "index": ("MCP", "PIP", "DIP", "abduction"),
    "middle": ("MCP", "PIP", "DIP", "abduction"),
    "ring": ("MCP", "PIP", "DIP", "abduction"),
    "pinky": ("MCP", "PIP", "DIP", "abduction"),
    "thumb": ("oppose", "spread", "twist", "MCP", "IP"),
}
"""Digit columns of the table and the slash-separated angles of each, in order."""

ANGLES = tuple(f"{digit}.{angle}" for digit, angles in DIGITS.items() for angle in angles)
"""Names of the 21 angles of a pose."""

FLEXION = np.array([[-18.0, -3.0, -3.0], [86.0, 98.0, 62.0]])
"""Lowest and highest MCP, PIP and DIP of a finger, in degrees."""
WIDEST = 24.0
"""Largest abduction, in degrees."""
THUMB = np.array([[-12.0, -12.0, -20.0, -10.0, -15.0], [72.0, 28.0, 30.0, 58.0, 75.0]])
"""Lowest and highest of the thumb's angles, in degrees."""

WRIST_ANGLES = ("pitch", "yaw", "roll")
MOTIONS = ("hold", "rise", "wave", "rock", "tap", "open", "close")
TABLE = "gesture_poses.csv"
"""The table of gestures: this package's own, or that of a hand model, in its folder."""
COLUMNS = ("gesture", "right_folder", "left_folder", *DIGITS, "wrist", "motion", "touches")

THUMB_ROLL = np.radians(55)
"""Rotation of the thumb's pad from the palm's direction towards the fingers."""


class GesturePoseError(HandPoseError):
    """The table of gesture poses is malformed."""


@dataclass(frozen=True)
class GesturePose:
    """The peak pose of one gesture."""

    gesture: str
    right_folder: str  # InterHand2.6M's folder; '' if that hand has none
    left_folder: str
    angles: Array  # (21,) degrees, order of ANGLES
    wrist: Array  # (3,) degrees, order of WRIST_ANGLES
    motion: str  # one of MOTIONS
    touches: tuple[tuple[str, str], ...]  # pairs of MANO joints whose segments touch at the peak


class Articulation:
    """Hinge axes of one skeleton; converts angles about them to poses."""

    def __init__(self, joints_rest: Array) -> None:
        """From MANO's 16 rest joints of a right hand, (16, 3) m."""
        self._rest = np.asarray(joints_rest, np.float64)
        at = {name: joints_rest[i] for i, name in enumerate(MANO_JOINTS)}
        distal = _unit(at["middle_1"] - at["wrist"])
        radial = at["index_1"] - at["pinky_1"]
        radial = _unit(radial - (radial @ distal) * distal)
        palmar = np.cross(radial, distal)  # out of the palm of a right hand
        self._oppose = np.cross(radial, palmar)  # rotates radial towards palmar
        self._spread = np.cross(distal, radial)  # rotates distal towards radial
        self._twist = _unit(at["thumb_2"] - at["thumb_1"])
        self._hinges: dict[str, list[Array]] = {}  # flexion axes of each digit's three bones
        for digit in DIGITS:
            pad = palmar
            if digit == "thumb":
                pad = np.cos(THUMB_ROLL) * palmar - np.sin(THUMB_ROLL) * radial
            first, second, third = (at[f"{digit}_{k}"] for k in (1, 2, 3))
            bones = (second - first, third - second, third - second)  # MANO has no tip joint
            self._hinges[digit] = [_unit(np.cross(bone, pad)) for bone in bones]
        towards = {"index": radial, "middle": radial, "ring": -radial, "pinky": -radial}
        self._abduct = {digit: np.cross(distal, side) for digit, side in towards.items()}

    def pose(self, angles: Array) -> Array:
        """Axis-angle of MANO's 15 joints, flat hand = 0: angles (..., 21) deg -> (..., 15, 3) rad.

        The result is absolute: subtract `hands_mean` for InterHand2.6M's convention.
        """
        radians = np.radians(angles).reshape(-1, len(ANGLES))  # (N, 21)
        value = dict(zip(ANGLES, radians.T, strict=True))
        turns: dict[str, Rotation] = {}
        for digit, names in DIGITS.items():
            first, second, third = self._hinges[digit]
            a, b, c, *more = (value[f"{digit}.{name}"] for name in names)
            if digit == "thumb":
                mcp, ip = more
                saddle = _turn(self._oppose, a) * _turn(self._spread, b) * _turn(self._twist, c)
                bends = (saddle, _turn(second, mcp), _turn(third, ip))
            else:
                (abduction,) = more
                # abduction is applied before flexion, so that the tips of bent fingers can meet
                knuckle = _turn(first, a) * _turn(self._abduct[digit], abduction)
                bends = (knuckle, _turn(second, b), _turn(third, c))
            turns |= {f"{digit}_{k}": bend for k, bend in enumerate(bends, start=1)}
        pose = np.stack([turns[name].as_rotvec() for name in MANO_JOINTS[1:]], axis=1)
        return pose.reshape(*angles.shape[:-1], 15, 3)

    def bone(self, start: str, end: str) -> Array:
        """From one of MANO's 16 joints to another at rest: (3,) m."""
        bone: Array = self._rest[MANO_JOINTS.index(end)] - self._rest[MANO_JOINTS.index(start)]
        return bone

    def segments(self, angles: Array) -> tuple[Array, Array]:
        """Frames of the segments that begin at MANO's 16 joints; the wrist's does not move.

        angles (N, 21) deg -> rotations (N, 16, 3, 3) from the rest pose, origins (N, 16, 3) m.
        """
        turns = Rotation.from_rotvec(self.pose(angles).reshape(-1, 3)).as_matrix()
        local = turns.reshape(-1, 15, 3, 3)
        rest = self._rest
        R = np.broadcast_to(np.eye(3), (len(angles), 16, 3, 3)).copy()
        origin = np.broadcast_to(rest, (len(angles), 16, 3)).copy()
        for joint, parent in enumerate(MANO_PARENTS):
            if parent >= 0:
                R[:, joint] = R[:, parent] @ local[:, joint - 1]
                origin[:, joint] = origin[:, parent] + R[:, parent] @ (rest[joint] - rest[parent])
        return R, origin


def own_gesture_table(hand: Path | str) -> Path | None:
    """The table of gestures in a hand model's folder, for that hand alone; None: it has none."""
    table = Path(hand) / TABLE
    return table if table.is_file() else None


def read_gesture_poses(path: Traversable | None = None) -> tuple[GesturePose, ...]:
    """The gestures of a table, by default of `handpose/synthetic/gesture_poses.csv`.

    Raises:
        GesturePoseError: a cell does not fit its column; the message names line and column.
    """
    source = path or resources.files("handpose.synthetic") / TABLE
    lines = csv.reader(source.read_text("utf-8").splitlines())
    header = tuple(next(lines, ()))
    if header != COLUMNS:
        raise GesturePoseError(
            f"{source.name}:1: columns are {','.join(header)}; expected {','.join(COLUMNS)}"
        )
    poses = [_row(cells, f"{source.name}:{line}") for line, cells in enumerate(lines, start=2)]
    for column in ("gesture", "right_folder", "left_folder"):
        first: dict[str, int] = {}
        for line, pose in enumerate(poses, start=2):
            name = getattr(pose, column)
            if name and first.setdefault(name, line) != line:
                raise GesturePoseError(
                    f"{source.name}:{line}: column {column} repeats {name!r} of line {first[name]}"
                )
    return tuple(poses)


def _row(cells: list[str], where: str) -> GesturePose:
    """One gesture; `where` is its file and line."""
    if len(cells) != len(COLUMNS):
        raise GesturePoseError(
            f"{where}: {len(cells)} cells, expected {len(COLUMNS)}: {','.join(COLUMNS)}"
        )
    row: dict[str, Any] = {}
    for column, cell in zip(COLUMNS, cells, strict=True):
        try:
            row[column] = _value(column, cell)
        except ValueError as error:
            raise GesturePoseError(
                f"{where}: column {column} holds {cell!r}, expected {error}"
            ) from None
    if not row["right_folder"] and not row["left_folder"]:
        raise GesturePoseError(f"{where}: right_folder and left_folder are both empty; name one")
    angles = np.concatenate([row.pop(digit) for digit in DIGITS])  # (21,)
    return GesturePose(angles=angles, **row)


def _value(column: str, cell: str) -> Any:
    """Parse a cell; the ValueError's text is what was expected."""
    if column in DIGITS:
        return _numbers(cell, DIGITS[column])
    if column == "wrist":
        return _numbers(cell, WRIST_ANGLES)
    if column == "touches":
        pairs = [tuple(pair.split("+")) for pair in cell.split()]
        if not all(len(pair) == 2 and set(pair) <= set(MANO_JOINTS) for pair in pairs):
            raise ValueError("pairs of MANO's joints such as thumb_3+index_3, between spaces")
        return tuple(pairs)
    if column == "motion" and cell not in MOTIONS:
        raise ValueError(f"one of {', '.join(MOTIONS)}")
    if column == "gesture" and not cell:
        raise ValueError("a name")
    return cell


def _numbers(cell: str, names: tuple[str, ...]) -> Array:
    """Parse a cell of degrees such as 80/96/56/-4."""
    numbers = [float(text) for text in cell.split("/")] if _NUMBERS.fullmatch(cell) else []
    if len(numbers) != len(names):
        raise ValueError(f"{len(names)} numbers {'/'.join(names)}")
    return np.array(numbers)


_NUMBERS = re.compile(r"-?\d+(\.\d+)?(/-?\d+(\.\d+)?)*")


def _turn(axis: Array, angle: Array) -> Rotation:
    """Rotations about one axis (3,) by angles (N,) rad."""
    return Rotation.from_rotvec(angle[:, None] * axis)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
