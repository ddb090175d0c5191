"""The networks of both stages as they were trained, from the folders of their models."""

from __future__ import annotations

from pathlib import Path

from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, load_weights, read_record


def load_gesture_net(folder: Path) -> GestureNet:
    """The trained Stage 1 network of this folder, on the CPU.

    Raises:
        CheckpointError: see `read_record` and `load_weights`.
    """
    net = _gesture_net(read_record(folder))
    load_weights(folder, net)
    return net


def load_pose_net(folder: Path, mano: Mano) -> PoseNet:
    """The trained Stage 2 network of this folder, on the CPU.

    Raises:
        CheckpointError: it is of another stage; see also `read_record` and `load_weights`.
    """
    record = read_record(folder)
    if record.stage != "pose":
        raise CheckpointError(f"{folder}: holds a model of stage {record.stage}, expected pose")
    net = PoseNet(_gesture_net(record), mano, **record.pose_net)
    load_weights(folder, net)
    return net


def _gesture_net(record: ModelRecord) -> GestureNet:
    """The network of this record, to be filled with weights.

    The backbone's first weights are not fetched, since those replace them.
    """
    return GestureNet(
        **record.encoder | {"weights": ""},
        coarse_classes=len(record.coarse),
        fine_classes=len(record.fine),
    )
