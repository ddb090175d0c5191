"""Where the 21 joints lie in a hand's mesh: the definition belongs to the data set.

MANO gives 16 joints as averages of its vertices and no fingertips. Every data set and toolbox takes
its own vertices for the tips, 4 to 6 mm apart, and InterHand2.6M has a regressor of its own for all
21. Predictions, training targets and scores must use the definition that the annotations follow.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.hand.skeleton import (
    FINGERS,
    FROM_INTERHAND,
    FROM_MANO_AND_TIPS,
    MANO_JOINTS,
    TIPS,
)

TIP_VERTICES = {
    "smplx": (744, 320, 443, 554, 671),  # smplx vertex_ids.py 'mano'; HaMeR and WiLoR use them too
    "interhand": (745, 317, 445, 556, 673),  # EANet J_sh, InterHand2.6M's J_regressor_mano_ih26m
    "intaghand": (745, 317, 444, 556, 673),  # IntagHand's and EANet's evaluation: Table 2
    "freihand": (744, 320, 443, 555, 672),  # lmb-freiburg/freihand utils/mano_utils.py
    "ho3d": (744, 333, 444, 555, 672),  # shreyashampali/ho3d setup_mano.py, its patch of lbs.py
}
"""Vertex ids of the fingertips, thumb to pinky, per public source. DexYCB's, those of manopth, are
IntagHand's."""

LAST_JOINTS = tuple(MANO_JOINTS.index(f"{finger}_3") for finger in FINGERS)
"""MANO's joint that moves each fingertip, thumb to pinky."""

INTERHAND_REGRESSOR = "J_regressor_mano_ih26m.npy"
"""Its name in InterHand2.6M's repository."""

REGRESSOR_SHAPE = (21, 778)

EXPECTED = (
    f"expected InterHand2.6M's {INTERHAND_REGRESSOR}. Fetch it again, or set hand.joint_regressor "
    "to ''"
)

ROW_SUM_TOLERANCE = 1e-3


class JointError(HandPoseError):
    """A file with a joint regressor is missing, or is not InterHand2.6M's."""


@dataclass(frozen=True, eq=False)
class JointDefinition:
    """The 21 joints as weighted means of MANO's 778 vertices."""

    tips: str
    """Key of `TIP_VERTICES`: the source of the fingertips where `regressor` is None."""

    regressor: NDArray[np.float32] | None = None
    """(21, 778) in the order of `hand/skeleton.py`, for all joints; None: MANO's own for the 16."""

    file: str = ""
    """Name of the file that `regressor` is from."""

    sha256: str = ""
    """Of that file."""

    @classmethod
    def load(cls, tips: str, folder: Path | str = ".", file: str = "") -> JointDefinition:
        """The definition with these fingertips or, with a `file` in `folder`, with its regressor.

        The file is `INTERHAND_REGRESSOR`: float, (21, 778), rows in the order of InterHand2.6M's
        joints, which sum to 1, fingertips at one vertex each.

        Raises:
            JointError: the file is missing or is another.
        """
        if not file:
            return cls(tips)
        path = Path(folder) / file
        try:
            content = path.read_bytes()
            rows = np.load(io.BytesIO(content), allow_pickle=False)
            if not isinstance(rows, np.ndarray):  # an npz
                raise ValueError("several arrays")
        except FileNotFoundError:
            raise JointError(
                f"{path}: not found; expected InterHand2.6M's joint regressor, "
                f"{INTERHAND_REGRESSOR} (docs/interhand.md). Put it there, or set "
                "hand.joint_regressor to ''"
            ) from None
        except (OSError, ValueError, EOFError) as error:
            other = recognise(path) if path.is_file() else None
            if other is not None and other.kind != "npy":
                raise JointError(f"{path}: {other}. {EXPECTED}") from None
            raise JointError(f"{path}: is not a readable npy file ({error}); {EXPECTED}") from None
        if fault := _fault(rows):
            raise JointError(f"{path}: {fault}; {EXPECTED}")
        ordered = np.ascontiguousarray(rows[FROM_INTERHAND], np.float32)
        return cls(tips, ordered, file, hashlib.sha256(content).hexdigest())

    def matrix(self, mano: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float32]:
        """(21, 778) vertices -> joints.

        The stand-in numbers its vertices as MANO at the fingertips of most sources only. A source's
        vertex that the last joint of its finger does not move is no fingertip: smplx's stands for
        it.

        Args:
            mano: (16, 778) the model's own regressor.
            weights: (778, 16) its skinning weights.
        """
        if self.regressor is not None:
            return self.regressor
        ids, others = np.array(TIP_VERTICES[self.tips]), np.array(TIP_VERTICES["smplx"])
        ids = np.where(weights[ids, LAST_JOINTS] > 0.5, ids, others)
        tips = np.zeros((len(TIPS), mano.shape[1]))
        tips[np.arange(len(TIPS)), ids] = 1
        return np.concatenate([mano, tips])[FROM_MANO_AND_TIPS].astype(np.float32)

    def record(self) -> dict[str, str]:
        """What a trained model remembers of it: nothing of the regressor but its digest."""
        return {"tips": self.tips, "file": self.file, "sha256": self.sha256}

    def __str__(self) -> str:
        """One line for the user."""
        if self.file:
            return f"InterHand2.6M's regressor, {self.file}"
        vertices = ", ".join(map(str, TIP_VERTICES[self.tips]))
        return f"MANO's regressor, fingertips of {self.tips} (vertices {vertices})"


SMPLX = JointDefinition("smplx")
"""The definition that goes with no data set."""


def _fault(rows: Any) -> str:
    """What shows that this is not InterHand2.6M's regressor, or nothing."""
    if not isinstance(rows, np.ndarray) or rows.shape != REGRESSOR_SHAPE:
        return f"has shape {np.shape(rows)}, expected {REGRESSOR_SHAPE}"
    if rows.dtype.kind != "f" or not np.isfinite(rows).all():
        return "holds something that is not a number"
    if np.abs(rows.sum(1) - 1).max() > ROW_SUM_TOLERANCE:
        return "has rows that do not sum to 1"
    at = rows[FROM_INTERHAND][list(TIPS)].argmax(1).tolist()
    if at != list(TIP_VERTICES["interhand"]):
        return (
            f"has the fingertips at the vertices {at}, expected {list(TIP_VERTICES['interhand'])}"
        )
    return ""
