"""The networks of both stages as they were trained, from the folders of their models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.network_by_name import PoseNetwork, make_pose_network, network_class
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, load_weights, read_record


def load_gesture_net(folder: Path) -> GestureNet:
    """The trained Stage 1 network of this folder, on the CPU.

    Raises:
        CheckpointError: an older version trained it; see also `read_record` and `load_weights`.
    """
    net = _gesture_net(folder, read_record(folder))
    load_weights(folder, net)
    return net


def load_pose_net(folder: Path, mano: Mano) -> PoseNetwork:
    """The trained Stage 2 network of this folder, on the CPU.

    Raises:
        CheckpointError: it is of another stage, an older version trained it, or it was trained with
            another definition of the joints than `mano` has; see also `read_record` and
            `load_weights`.
    """
    record = read_pose_record(folder)
    if record.joints != (found := mano.joint_definition.record()):
        raise CheckpointError(
            f"{folder}: this model was trained on the joints {record.joints}, found {found}; set "
            "data.format and hand.joint_regressor as they were, or train it again with `dvc repro`"
        )
    gesture_net = _gesture_net(folder, record)
    keys = dict(record.pose_net)
    name = {"network": keys.pop("network")} if "network" in keys else {}
    try:
        kind = network_class(**name)
    except ValueError as error:
        raise CheckpointError(f"{folder / 'model.json'}: {error}") from None
    _check_keys(folder, "pose_net", keys, kind, besides={"gesture_net", "mano"})
    net = make_pose_network(gesture_net, mano, **record.pose_net)
    load_weights(folder, net)
    return net


def load_joint_definition(folder: Path, mano: Path | str) -> JointDefinition:
    """The joints that the Stage 2 model of this folder was trained on.

    A regressor of its own must lie in `mano`, the folder of the hand model; the record holds no
    more than its digest.

    Raises:
        CheckpointError: it is of another stage; see also `read_record`.
        JointError: the regressor is missing or is another file.
    """
    record = read_pose_record(folder)
    return JointDefinition.load(record.joints["tips"], mano, record.joints["file"])


def read_pose_record(folder: Path) -> ModelRecord:
    """The record of a Stage 2 model.

    Raises:
        CheckpointError: it is of another stage; see also `read_record`.
    """
    record = read_record(folder)
    if record.stage != "pose":
        raise CheckpointError(f"{folder}: holds a model of stage {record.stage}, expected pose")
    return record


def _gesture_net(folder: Path, record: ModelRecord) -> GestureNet:
    """The network of this record, to be filled with weights.

    The backbone's first weights are not fetched, since those replace them.
    """
    sizes = {"coarse_classes", "fine_classes"}
    _check_keys(folder, "encoder", record.encoder, GestureNet, besides=sizes)
    return GestureNet(
        **record.encoder | {"weights": ""},
        coarse_classes=len(record.coarse),
        fine_classes=len(record.fine),
    )


def _check_keys(
    folder: Path, section: str, keys: Mapping[str, Any], net: Callable[..., Any], besides: set[str]
) -> None:
    """Refuse a record that lacks keywords of the network, or has others.

    Keywords with a default may be absent.
    """
    taken = inspect.signature(net).parameters
    needed = {name for name, p in taken.items() if p.default is inspect.Parameter.empty}
    missing, unknown = sorted(needed - besides - keys.keys()), sorted(keys.keys() - taken.keys())
    faults = [
        f"{what} {', '.join(keys)}"
        for what, keys in (("lacks", missing), ("has the unknown", unknown))
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{folder / 'model.json'}: {section} {' and '.join(faults)}: another version trained "
            "this model; train it again with `dvc repro`"
        )
