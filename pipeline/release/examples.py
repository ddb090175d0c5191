"""A few synthetic crops in git beside the released weights, so that anybody can check them.

`examples.jpg` is a picture of all crops in rows. Each has a border, which the network's view of it
sees when it is turned about its centre. `examples.json` is their truth, in pixels of the views, and
what the model scores on the picture as it is in the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.crop import affine, square, warp
from handpose.errors import HandPoseError
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.hand.camera import project, turn, view_rotation
from handpose.predict import Predictor
from handpose.synthetic.sequence import Photograph
from pipeline.release.scoring import joints_box

PICTURE, TRUTH = "examples.jpg", "examples.json"
COLUMNS = 8
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]


class ExamplesError(HandPoseError):
    """The examples are missing or damaged."""


def write_examples(
    folder: Path, predictor: Predictor, photographs: Sequence[Photograph]
) -> dict[str, float]:
    """Write both files; returns what the model scores on them."""
    px = predictor.net.gesture_net.image_px
    A = np.stack([affine(square(joints_box(p), predictor.box_scale), px) for p in photographs])
    side = px + 2 * border(px)
    crops = [
        warp(p.image, _shift(border(px)) @ a, side) for p, a in zip(photographs, A, strict=True)
    ]
    rows = -(-len(crops) // COLUMNS)
    picture = np.zeros((rows * side, COLUMNS * side, 3), np.uint8)
    for k, crop in enumerate(crops):
        row, column = divmod(k, COLUMNS)
        picture[row * side : (row + 1) * side, column * side : (column + 1) * side] = crop
    content = cv2.imencode(".jpg", picture[..., ::-1], JPEG)[1]
    (folder / PICTURE).write_bytes(content.tobytes())
    K = A @ np.stack([p.K for p in photographs])
    joints = torch.from_numpy(np.stack([p.joints_cam for p in photographs])).float()
    uv = project(joints, torch.from_numpy(K).float())
    turned = turn(joints, torch.from_numpy(view_rotation(K, px)).float())
    truth = {
        "px": px,
        "is_left": [p.is_left for p in photographs],
        "joints_mm": np.round(1000 * (turned - turned[:, :1]).numpy(), 2).tolist(),
        "uv": np.round(uv.numpy(), 2).tolist(),
    }
    (folder / TRUTH).write_text(json.dumps(truth), "utf-8")
    scores = check_examples(folder, predictor)
    (folder / TRUTH).write_text(json.dumps({**truth, "scores": scores}) + "\n", "utf-8")
    return scores


def check_examples(folder: Path, predictor: Predictor) -> dict[str, float]:
    """What a model scores on the examples in this folder.

    Raises:
        ExamplesError: a file is missing, or the picture does not hold the crops.
    """
    crops, truth = read_examples(folder)
    to_view = _shift(-border(truth["px"]))
    hands = predictor.in_photos(list(crops), np.stack([to_view] * len(crops)))
    assert hands.view is not None, "the model has no view heads"
    joints = torch.tensor(truth["joints_mm"]) / 1000
    uv, is_left = torch.tensor(truth["uv"]), torch.tensor(truth["is_left"])
    valid = torch.ones(joints.shape[:2], dtype=torch.bool)
    return {
        "wrist_mpjpe_mm": wrist_mpjpe_mm(hands.joints, joints, valid).mean().item(),
        "pa_mpjpe_mm": pa_mpjpe_mm(hands.joints, joints, valid).mean().item(),
        "error_2d_px": (hands.uv - uv).norm(dim=-1).mean().item(),
        "side": ((hands.view.side_logit > 0) == is_left).float().mean().item(),
    }


def read_examples(folder: Path) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """The crops (N, S, S, 3) RGB in this folder, each with its border, and what `TRUTH` holds.

    Raises:
        ExamplesError: a file is missing, or the picture does not hold the crops.
    """
    try:
        truth = json.loads((folder / TRUTH).read_text("utf-8"))
        picture = (folder / PICTURE).read_bytes()
    except OSError as error:
        raise ExamplesError(f"{error.filename}: cannot be read ({error.strerror})") from None
    return _crops(np.frombuffer(picture, np.uint8), truth, folder / PICTURE), truth


def border(px: int) -> int:
    """Width of what lies around a view of `px` pixels on each side of its crop, pixels."""
    return math.ceil((math.sqrt(2) - 1) / 2 * px) + 1


def _shift(px: int) -> NDArray[np.float64]:
    """(3, 3): pixels moved to the right and down."""
    return np.array([[1.0, 0, px], [0, 1, px], [0, 0, 1]])


def _crops(jpeg: NDArray[np.uint8], truth: dict[str, Any], path: Path) -> NDArray[np.uint8]:
    px, count = truth["px"] + 2 * border(truth["px"]), len(truth["is_left"])
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB) if len(jpeg) else None
    rows = -(-count // COLUMNS)
    if picture is None or picture.shape != (rows * px, COLUMNS * px, 3):
        found = "no picture" if picture is None else f"{picture.shape[1]} x {picture.shape[0]} px"
        raise ExamplesError(
            f"{path}: is {found}, expected {COLUMNS * px} x {rows * px} px: {count} crops"
        )
    tiles = picture.reshape(rows, px, COLUMNS, px, 3).swapaxes(1, 2).reshape(-1, px, px, 3)
    return np.ascontiguousarray(tiles[:count], np.uint8)
