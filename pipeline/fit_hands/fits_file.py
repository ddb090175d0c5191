"""What `handpose fit` writes: `fits.json` or `fits.npz`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from handpose.files import atomic_file
from handpose.fitting.hand_fit import HandFits
from handpose.fitting.pose_prior import AXES
from handpose.hand.mano import Mano
from handpose.hand.skeleton import MANO_JOINTS
from pipeline.fit_hands.points_file import HandPoints

SCHEMA = 2
"""Of `fits.json`; it grows when a field goes, or means another thing."""

DETERMINED = 0.5
"""Points that reduce a parameter's prior variance by less than this share do not determine it."""

Format = Literal["json", "npz"]


def write_fits(
    folder: Path, file_format: Format, record: dict[str, Any], arrays: dict[str, Tensor]
) -> Path:
    """Write the results of a run; returns the file's path.

    Args:
        folder: is made if needed.
        file_format: of the file.
        record: about all hands.
        arrays: (N, ...) by name.
    """
    path = folder / f"fits.{file_format}"
    with atomic_file(path) as partial:
        if file_format == "json":
            columns = {name: _rounded(array) for name, array in arrays.items()}
            hands = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
            text = json.dumps({"schema": SCHEMA, **record, "hands": hands})
            partial.write_text(text + "\n", "utf-8")
        else:
            about = np.array(json.dumps({"schema": SCHEMA, **record}))
            binary = {name: array.numpy() for name, array in arrays.items()}
            with partial.open("wb") as stream:  # a name would be given .npz once more
                np.savez(stream, allow_pickle=False, about=about, **binary)
    return path


def fit_arrays(fits: HandFits, points: HandPoints, mano: Mano) -> dict[str, Tensor]:
    """What is written of each hand."""
    n, unit = len(points), "px" if points.kind == "pixels" else "mm"
    residual = fits.residual * (1 if unit == "px" else 1000)
    return {
        "is_left": points.is_left,
        "global_orient": fits.global_orient,
        "hand_pose": fits.hand_pose.view(n, 15, 3),
        "betas": fits.betas,
        "transl_m": fits.transl,
        f"residual_{unit}": residual.mean(1),
        f"residual_largest_{unit}": residual.amax(1),
        "pose_known": fits.pose_known,
        "betas_known": fits.betas_known,
        "transl_deviation_mm": 1000 * fits.transl_deviation,
    }


def undetermined(fits: HandFits) -> list[str]:
    """What the points do not determine in most hands: `index_3 twist`, `betas 7`."""
    angles, betas = fits.pose_known.median(0).values, fits.betas_known.median(0).values
    names = [
        f"{joint} {axis}"
        for joint, known in zip(MANO_JOINTS[1:], angles.tolist(), strict=True)
        for axis, share in zip(AXES, known, strict=True)
        if share < DETERMINED
    ]
    return names + [f"betas {k}" for k, share in enumerate(betas.tolist()) if share < DETERMINED]


def _rounded(array: Tensor) -> list[Any]:
    """Nested lists whose numbers have seven digits, or booleans."""
    if array.dtype == torch.bool:
        flags: list[Any] = array.tolist()
        return flags
    values = [float(f"{value:.7g}") for value in array.flatten().tolist()]
    shaped: list[Any] = np.array(values).reshape(array.shape).tolist()
    return shaped
