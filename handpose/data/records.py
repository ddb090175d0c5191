"""One sample of a shard: the crop as JPEG, and all labels except the gesture as JSON.

Classes are joined by the sample's folder when it is read, so a new gesture map needs no new tars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.data.crop import Square, central
from handpose.data.labels import ClassIds
from handpose.sample import HandSample

VIEW = "view"
"""Where the network's view lies in the stored image, if not in its middle: x and y of the centre
and the side, px. Crops cut without decoding begin on the grid of the JPEG's blocks."""

FIELDS = ("K", "joints_cam", "joint_valid", "has_mano", "global_orient", "hand_pose", "betas",
          "is_left", "sample_id")  # fmt: skip
"""Fields of `HandSample` in the JSON, flattened, with the same units, in the camera's frame."""

ORIGIN = ("sequence", "kind", "subject", "session", "camera", "frame")
"""Where the sample comes from; of kind gesture, `sequence` is the gesture folder."""


def encode_labels(labels: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """The JSON of each label: values and arrays under ORIGIN, FIELDS and, if it is there, VIEW.

    Each float32, which must be finite, as the shortest decimal that reads back as the same one.
    """
    chosen = [
        {key: label[key] for key in (*ORIGIN, *FIELDS, *([VIEW] if VIEW in label else []))}
        for label in labels
    ]
    arrays = [value.ravel() for label in chosen for value in label.values() if _is_float32(value)]
    # of all labels at once: Arrow's conversion costs more than what it converts
    joined = np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
    decimals = iter(pa.array(joined).cast(pa.string()).to_pylist())
    return [_json(label, decimals).encode() for label in chosen]


def _is_float32(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def _json(label: Mapping[str, Any], decimals: Iterator[str]) -> str:
    """A JSON object, its float32 arrays last: they take the next `decimals`, already formatted."""
    floats = {key: value.size for key, value in label.items() if _is_float32(value)}
    rest = {
        key: value.ravel().tolist() if isinstance(value, np.ndarray) else value
        for key, value in label.items()
        if key not in floats
    }
    members = [f'"{key}": [{", ".join(islice(decimals, size))}]' for key, size in floats.items()]
    return "".join((json.dumps(rest)[:-1], *(f", {member}" for member in members), "}"))


def view_of(label: Mapping[str, Any], image_side: int, view_px: int) -> Square:
    """The network's view in a stored image: as its label gives it, else in the middle."""
    return Square(*label[VIEW]) if VIEW in label else central(image_side, view_px)


def decode(jpeg: bytes, label: Mapping[str, Any], ids: ClassIds) -> HandSample:
    """The sample of a stored JPEG and its parsed label, with its classes."""

    def floats(key: str, *shape: int) -> NDArray[np.float32]:
        return np.array(label[key], np.float32).reshape(shape)

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return HandSample(
        image=np.asarray(image, np.uint8),
        K=floats("K", 3, 3),
        view_rotation=np.eye(3, dtype=np.float32),
        joints_cam=floats("joints_cam", 21, 3),
        joint_valid=np.array(label["joint_valid"], np.bool_),
        global_orient=floats("global_orient", 3),
        hand_pose=floats("hand_pose", 45),
        betas=floats("betas", 10),
        has_mano=label["has_mano"],
        is_left=label["is_left"],
        coarse=ids.coarse,
        fine=ids.fine,
        sample_id=label["sample_id"],
    )
