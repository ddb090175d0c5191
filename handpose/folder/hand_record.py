"""One line of hands.jsonl: read, checked key by key, every fault named.

docs/own-data.md describes the keys.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from handpose.data.annotation_table import BoolArray, Camera, FloatArray, HandJoints, ManoFit
from handpose.data.splits import TEST, TRAIN, VALIDATION

FILE = "annotations/hands.jsonl"

REQUIRED = ("image", "size", "K", "joints", "subject", "side")
OPTIONAL = (
    *("joint_valid", "R", "C", "mano", "gesture", "sequence", "session", "camera", "frame"),
    "split",
)
MANO_SHAPES = {"global_orient": (3,), "hand_pose": (45,), "betas": (10,), "transl": (3,)}

LARGEST_M = 0.5
"""No hand is larger; one that is was probably written in millimetres."""

FREE_MOTION = "free_motion"
"""Sequence of a record that names neither a gesture nor a sequence."""


class FolderRecord(NamedTuple):
    """One hand in one photo."""

    image: str  # path below data.root
    width: int  # px
    height: int
    camera: Camera
    joints: HandJoints
    fit: ManoFit | None
    subject: int
    side: str  # right or left
    sequence: str  # the gesture, if it is one
    is_gesture: bool
    session: int
    camera_name: str
    frame: int
    split: str


class RecordFault(Exception):
    """A key of a record has not the value that it must have; the text names both."""


def parse(text: str, number: int) -> FolderRecord:
    """The record in a line of the file.

    Args:
        text: of the line.
        number: of the line, from 1; the default of `frame`.

    Raises:
        RecordFault: it is not as docs/own-data.md describes; the first fault is named.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordFault(f"is not JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; deep nesting
        raise RecordFault(f"is not JSON that can be read ({error})") from None
    if not isinstance(record, dict):
        raise RecordFault(f"expected an object with keys, found {_short(record)}")
    _check_keys(record)
    width, height = (int(side) for side in _whole_numbers(record, "size", 2, least=1))
    side = _choice(record, "side", ("right", "left"))
    gesture, sequence = (_text(record, key, "") for key in ("gesture", "sequence"))
    if gesture and sequence:
        raise RecordFault(
            f"sequence: found {_short(sequence)} beside gesture {_short(gesture)}, expected one "
            "of the two; several recordings of a gesture differ by session"
        )
    return FolderRecord(
        image=_image(record),
        width=width,
        height=height,
        camera=_camera(record),
        joints=_joints(record),
        fit=_fit(record),
        subject=_whole(record, "subject"),
        side=side,
        sequence=gesture or sequence or FREE_MOTION,
        is_gesture=bool(gesture),
        session=_whole(record, "session", 0),
        camera_name=_text(record, "camera", "0"),
        frame=_whole(record, "frame", number),
        split=_split(record),
    )


def _check_keys(record: dict[str, Any]) -> None:
    for key in record:
        if key not in (*REQUIRED, *OPTIONAL):
            near = difflib.get_close_matches(key, (*REQUIRED, *OPTIONAL), n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            raise RecordFault(f"{key}: unknown key; {hint}")
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise RecordFault(f"{', '.join(missing)}: missing")


def _image(record: dict[str, Any]) -> str:
    path = PurePosixPath(_text(record, "image", ""))
    if not path.name or path.is_absolute() or ".." in path.parts:
        raise RecordFault(f"image: expected a path below images/, found {_short(record['image'])}")
    if path.parts[0] == "images":
        raise RecordFault(
            f"image: expected a path below images/, found {_short(record['image'])}; leave the "
            "leading images/ out"
        )
    return str("images" / path)


def _camera(record: dict[str, Any]) -> Camera:
    K = _array(record, "K", (3, 3), "px: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
    if not (K[0, 0] > 0 and K[1, 1] > 0 and K[2].tolist() == [0, 0, 1]):
        raise RecordFault(
            f"K: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in px with fx, fy > 0, found "
            f"{_short(record['K'])}"
        )
    if ("R" in record) != ("C" in record):
        lacking = "C" if "R" in record else "R"
        raise RecordFault(f"{lacking}: missing; R and C go together, for joints in world frame")
    if "R" not in record:
        return Camera(K, np.eye(3), np.zeros(3))
    R = _array(record, "R", (3, 3), "a rotation, world to camera")
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise RecordFault(f"R: expected a rotation, world to camera, found {_short(record['R'])}")
    return Camera(K, R, _array(record, "C", (3,), "m: the camera's centre in the world"))


def _joints(record: dict[str, Any]) -> HandJoints:
    joints = _array(record, "joints", (21, 3), "m")
    valid = _flags(record, "joint_valid", 21)
    extent = float(np.ptp(joints[valid], axis=0).max()) if valid.any() else 0.0
    if extent > LARGEST_M:
        raise RecordFault(
            f"joints: expected metres, found a hand of {extent:g} m; divide millimetres by 1000"
        )
    return HandJoints(joints, valid)


def _fit(record: dict[str, Any]) -> ManoFit | None:
    fit = record.get("mano")
    if fit is None:
        return None
    keys = ", ".join(MANO_SHAPES)
    if not isinstance(fit, dict) or set(fit) != set(MANO_SHAPES):
        found = ", ".join(fit) if isinstance(fit, dict) else _short(fit)
        raise RecordFault(f"mano: expected an object with the keys {keys}, found {found}")
    units = {"betas": "shape coefficients", "transl": "m"}
    return ManoFit(
        **{
            key: _array(fit, key, shape, units.get(key, "axis-angle"), within="mano.")
            for key, shape in MANO_SHAPES.items()
        }
    )


def _split(record: dict[str, Any]) -> str:
    split = _text(record, "split", TRAIN)
    if split in (VALIDATION, TEST):
        raise RecordFault(
            f"split: {split} is made of the subjects in ingest.{split}_subjects of params.yaml; "
            f"leave split out, or use another name, such as lab_{split}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", split):
        raise RecordFault(
            f"split: expected lower-case letters, digits and underscores, found {_short(split)}"
        )
    return split


# --- values --------------------------------------------------------------------------------------


def _array(
    record: dict[str, Any], key: str, shape: tuple[int, ...], unit: str, within: str = ""
) -> FloatArray:
    try:
        array = np.array(record[key])
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(0)
    is_numeric = array.dtype.kind in "iuf"  # not texts, booleans or integers above 64 bits
    if array.shape != shape or not is_numeric or not np.isfinite(array).all():
        size = " x ".join(map(str, shape))
        raise RecordFault(
            f"{within}{key}: expected {size} finite numbers ({unit}), found {_short(record[key])}"
            f"{_unquote(record[key])}"
        )
    return array.astype(np.float64)


def _flags(record: dict[str, Any], key: str, count: int) -> BoolArray:
    flags = record.get(key)
    if flags is None:
        return np.ones(count, np.bool_)
    is_listed = isinstance(flags, list) and len(flags) == count
    if not is_listed or not all(type(flag) is bool for flag in flags):
        raise RecordFault(f"{key}: expected {count} times true or false, found {_short(flags)}")
    return np.array(flags, np.bool_)


def _whole_numbers(record: dict[str, Any], key: str, count: int, *, least: int) -> Iterator[int]:
    values = record[key]
    if not isinstance(values, list) or len(values) != count:
        raise RecordFault(f"{key}: expected [width, height] in px, found {_short(values)}")
    for value in values:
        yield _whole({key: value}, key, least=least)


def _whole(record: dict[str, Any], key: str, default: int | None = None, least: int = 0) -> int:
    value = record.get(key, default)
    if type(value) is not int or not least <= value < 1 << 31:
        raise RecordFault(
            f"{key}: expected a whole number from {least} up, found {_short(value)}"
            f"{_unquote(value)}"
        )
    return value


def _text(record: dict[str, Any], key: str, default: str) -> str:
    value = record.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise RecordFault(f"{key}: expected a text, found {_short(value)}")
    return value


def _choice(record: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = record[key]
    if value not in choices:
        raise RecordFault(f"{key}: expected {' or '.join(choices)}, found {_short(value)}")
    return str(value)


def _unquote(value: Any) -> str:
    """The remedy for numbers that are written as text; '' for anything else."""
    try:
        array = np.array(value)
        array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return ""
    return "; numbers are text here: write them without quotes" if array.dtype.kind == "U" else ""


def _short(value: Any, most: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."
