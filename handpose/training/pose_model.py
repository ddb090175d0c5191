"""Stage 2's network from the keys of `params.yaml`'s net section, or from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.training.checkpoint import CheckpointError
from handpose.training.gesture_model import build_recorded
from handpose.training.model_io import load_weights, read_record

POSE_KEYS = (
    "pose_levels",
    "grid",
    "dim",
    "heads",
    "encoder_layers",
    "volume_depth",
    "volume_sharpness",
    "depth_range_m",
    "fusion_layers",
    "fusion",
    "gesture_tokens",
    "gate_init",
    "side_input",
)
"""Keys that are keywords of `PoseNet`."""


def build_pose_net(net: Mapping[str, Any], *, gesture_net: GestureNet, mano: Mano) -> PoseNet:
    """The network with these `POSE_KEYS` around Stage 1's, as it is before its training."""
    return PoseNet(gesture_net=gesture_net, mano=mano, **{key: net[key] for key in POSE_KEYS})


def load_pose_net(folder: Path, mano: Mano) -> PoseNet:
    """The trained Stage 2 network of this folder, on the CPU.

    Raises:
        CheckpointError: it is of another stage; see also `read_record` and `load_weights`.
    """
    record = read_record(folder)
    if record.stage != "pose":
        raise CheckpointError(f"{folder}: holds a model of stage {record.stage}, expected pose")
    net = build_pose_net(record.net, gesture_net=build_recorded(record), mano=mano)
    load_weights(folder, net)
    return net
