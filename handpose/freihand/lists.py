"""FreiHAND's JSON lists of one set, an entry per hand, checked against each other.

Facts (lmb-freiburg/freihand, utils/fh_utils.py, utils/model.py, pred.py): metres, the camera's
axes as ours, right hands only, 21 joints in our order; `scale` is the length of the middle finger's
first bone, |xyz[9] - xyz[10]|; `mano` has 48 axis-angles relative to hands_mean, 10 betas, the
pixel of the root (the middle MCP) and its scale: root = ((u - cx) / s, (v - cy) / s, f / s) with
f = (fx + fy) / 2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handpose.data.annotation_table import FloatArray
from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.hand.skeleton import MIDDLE_MCP

SHAPES: dict[str, tuple[int, ...]] = {"K": (3, 3), "xyz": (21, 3), "mano": (61,), "scale": ()}
"""Shape of an entry of each list that is read."""

VERTS = "verts"
"""The list of meshes (778, 3), of the official evaluation alone: a gigabyte for training."""

PHOTO_PX = 224

HAND_M = (0.04, 0.4)
"""Extent of a hand's joints: a baby's fist to a giant's palm."""

BONE_TOLERANCE = 0.02
"""Share of the bone by which `scale` may differ: both are rounded."""

MOST_OUTSIDE = 0.5
"""Share of joints beside the photo from which on K is not this photo's."""


class FreiHandError(HandPoseError):
    """A list is missing, or is not FreiHAND's."""


class HandLists(NamedTuple):
    """M hands of a set."""

    K: FloatArray  # (M, 3, 3) px
    joints: FloatArray  # (M, 21, 3) m, camera; NaN as in the file
    global_orient: FloatArray  # (M, 3)
    hand_pose: FloatArray  # (M, 45) relative to hands_mean
    betas: FloatArray  # (M, 10)
    root: FloatArray  # (M, 3) m: the middle MCP

    def __len__(self) -> int:
        """Number of hands, M."""
        return len(self.joints)


def list_file(root: Path, part: str, name: str) -> Path:
    """The file of a list: of `training` or `evaluation`, a key of `SHAPES` or `VERTS`."""
    return root / f"{part}_{name}.json"


def read_lists(root: Path, part: str) -> HandLists:
    """The lists of training or evaluation.

    Raises:
        FreiHandError: a list is missing or damaged, has another length than the others, or
            contradicts them: another set's, millimetres, another order of joints.
    """
    found = {name: read_list(list_file(root, part, name), shape) for name, shape in SHAPES.items()}
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{list_file(root, part, n).name} {k:,}" for n, k in lengths.items())
        raise FreiHandError(
            f"{root}: its lists have different lengths, so hands are missing or doubled: {listed}. "
            "Unpack the lists of one download again"
        )
    K, mano = found["K"], found["mano"]
    _check_joints(list_file(root, part, "xyz"), found["xyz"])
    _check_bones(root, part, found["xyz"], found["scale"])
    _check_cameras(root, part, found["xyz"], K)
    focal = (K[:, 0, 0] + K[:, 1, 1]) / 2
    ray = np.concatenate([mano[:, 58:60] - K[:, :2, 2], focal[:, None]], 1)
    return HandLists(
        K=K,
        joints=found["xyz"],
        global_orient=mano[:, :3],
        hand_pose=mano[:, 3:48],
        betas=mano[:, 48:58],
        root=ray / mano[:, 60:],
    )


def read_list(path: Path, shape: tuple[int, ...]) -> FloatArray:
    """The entries of a list (M, *shape); an entry may stand in further brackets, as `mano` does.

    Raises:
        FreiHandError: the file is missing, is not JSON, or an entry has another shape.
    """
    entries = read_json(path)
    size = int(np.prod(shape, dtype=np.int64))
    if not isinstance(entries, list) or not entries:
        raise FreiHandError(f"{path}: expected a list of hands, found {_short(entries)}")
    try:
        array = np.array(entries, np.float64)
        if array.size != len(entries) * size:
            raise ValueError
        return array.reshape(len(entries), *shape)
    except (TypeError, ValueError):
        at, entry = next(
            ((k, e) for k, e in enumerate(entries) if not _has_size(e, size)), (0, entries[0])
        )
        expected = " x ".join(map(str, shape)) or "one"
        raise FreiHandError(
            f"{path}: entry {at}: expected {expected} numbers, found {_short(entry)}"
        ) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file; NaN is read as such.

    Raises:
        FreiHandError: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FreiHandError(
            f"{path}: not found; expected FreiHAND's lists beside its folders training/ and "
            "evaluation/, as docs/benchmarks.md describes"
        ) from None
    except (ValueError, RecursionError) as error:
        other = recognise(path)
        what = (
            str(other) if other and other.kind not in ("json", "text") else f"is no JSON: {error}"
        )
        raise FreiHandError(f"{path}: {what}") from None


def _check_joints(path: Path, joints: FloatArray) -> None:
    """Refuse joints that are not in metres."""
    sides = np.ptp(joints, axis=1).max(-1)
    size = float(np.median(sides[np.isfinite(sides)])) if np.isfinite(sides).any() else np.nan
    low, high = HAND_M
    if not low <= size <= high:
        raise FreiHandError(
            f"{path}: read as metres, as FreiHAND's are, hands are {size:.3g} m across, as "
            f"millimetres {size / 1000:.3g} m; hands are {low} to {high} m"
        )


def _check_bones(root: Path, part: str, joints: FloatArray, scale: FloatArray) -> None:
    """Refuse joints whose middle finger does not begin with a bone of the stated length."""
    bones = np.linalg.norm(joints[:, MIDDLE_MCP] - joints[:, MIDDLE_MCP + 1], axis=-1)
    known = np.isfinite(bones)
    off = np.abs(bones - scale) > BONE_TOLERANCE * scale
    if known.any() and off[known].mean() > 0.5:
        files = [list_file(root, part, name) for name in ("xyz", "scale")]
        at = int(np.flatnonzero(off & known)[0])
        raise FreiHandError(
            f"{files[0]} and {files[1].name} contradict each other: entry {at} has a bone of "
            f"{1000 * bones[at]:.1f} mm from joint 9 to 10 and a scale of "
            f"{1000 * scale[at]:.1f} mm. Is one of another set, or are the joints in another order?"
        )


def _check_cameras(root: Path, part: str, joints: FloatArray, K: FloatArray) -> None:
    """Refuse cameras that project the hands beside their photos."""
    with np.errstate(divide="ignore", invalid="ignore"):
        uvw = joints @ K.swapaxes(1, 2)
        uv = uvw[..., :2] / uvw[..., 2:]
        inside = np.all((uv > -0.5) & (uv < PHOTO_PX - 0.5), axis=-1)
    known = np.isfinite(joints).all(-1)
    share = float(np.mean(inside, where=known)) if known.any() else 1.0
    if share < 1 - MOST_OUTSIDE:
        raise FreiHandError(
            f"{list_file(root, part, 'K')}: {share:.0%} of the joints lie in the photos of "
            f"{PHOTO_PX} x {PHOTO_PX} px; expected nearly all. Is it of photos of another size, or "
            "of another set?"
        )


def _has_size(entry: Any, size: int) -> bool:
    try:
        return np.array(entry, np.float64).size == size
    except (TypeError, ValueError):
        return False


def _short(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
