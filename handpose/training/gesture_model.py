"""Stage 1's network from the keys of `params.yaml`'s net section, or from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handpose.nets.backbone import Backbone
from handpose.nets.gesture_net import GestureNet
from handpose.training.model_io import ModelRecord, load_weights, read_record

BACKBONE = ("feature_location", "weights", "imagenet_normalisation", "frozen_stages")
HEADS = ("gesture_levels", "gesture_hidden", "gesture_dropout")
"""Keys that are keywords of the constructor of this part."""

GESTURE_KEYS = ("backbone", "image_px", *BACKBONE, *HEADS)
"""The keys that decide what Stage 1 trains; it is the same network whatever the others say."""


def build_gesture_net(
    net: Mapping[str, Any], *, coarse_classes: int, fine_classes: int
) -> GestureNet:
    """The network with these `GESTURE_KEYS`, as it is before any training."""
    return GestureNet(
        backbone=Backbone(name=net["backbone"], **{key: net[key] for key in BACKBONE}),
        coarse_classes=coarse_classes,
        fine_classes=fine_classes,
        **{key: net[key] for key in HEADS},
    )


def build_recorded(record: ModelRecord) -> GestureNet:
    """The network that a record tells of, of Stage 1 or inside Stage 2, to be filled with weights.

    The backbone's first weights are not fetched, since those replace them.
    """
    return build_gesture_net(
        record.net | {"weights": ""},
        coarse_classes=len(record.coarse),
        fine_classes=len(record.fine),
    )


def load_gesture_net(folder: Path) -> GestureNet:
    """The trained Stage 1 network of this folder, on the CPU.

    Raises:
        CheckpointError: see `read_record` and `load_weights`.
    """
    net = build_recorded(read_record(folder))
    load_weights(folder, net)
    return net
