"""Both networks from the keys of params.yaml, and from their folders without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.training.checkpoint import CheckpointError
from handpose.training.gesture_model import GESTURE_KEYS, build_gesture_net, load_gesture_net
from handpose.training.model_io import ModelRecord, save_model
from handpose.training.pose_model import build_pose_net, load_pose_net
from stages.params import NetParams, load_params

SMALL = {"image_px": 64, "grid": 4, "dim": 16, "heads": 2}
KEYS: dict[str, Any] = load_params().net.model_dump() | SMALL


def a_record(stage: str, net: dict[str, Any]) -> ModelRecord:
    return ModelRecord(
        stage=stage,
        net=net,
        coarse=["fist", "gun", "claw"],
        fine=["fist", "gun", "claw", "dinosaur"],
        hands=["right", "left", "right"],
        handedness="handed",
        labels_digest="",
        params_digest="",
        seconds={},
        best_epoch=1,
    )


@pytest.fixture
def gesture_net() -> GestureNet:
    torch.manual_seed(1)
    return build_gesture_net(KEYS, coarse_classes=3, fine_classes=4)


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)


def test_a_stage_2_model_says_the_same_when_it_is_read_again(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano, image: Tensor
) -> None:
    net = build_pose_net(KEYS, gesture_net=gesture_net, mano=mano)
    save_model(tmp_path, net, a_record("pose", KEYS))
    is_left = torch.tensor([False, True])
    with torch.no_grad():
        before = net.eval()(image, is_left)
        after = load_pose_net(tmp_path, mano).eval()(image, is_left)
    assert torch.equal(before.vertices, after.vertices)
    assert torch.equal(before.uv, after.uv)


def test_a_stage_1_model_says_the_same_and_needs_no_key_of_stage_2(
    tmp_path: Path, gesture_net: GestureNet, image: Tensor
) -> None:
    keys = {key: KEYS[key] for key in GESTURE_KEYS}
    save_model(tmp_path, gesture_net, a_record("pretrain", keys))
    with torch.no_grad():
        before, after = gesture_net.eval()(image), load_gesture_net(tmp_path).eval()(image)
    assert torch.equal(before.fine_logits, after.fine_logits)


def test_a_stage_1_model_is_no_stage_2_model(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano
) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain", KEYS))
    with pytest.raises(CheckpointError, match="holds a model of stage pretrain, expected pose"):
        load_pose_net(tmp_path, mano)


def test_first_weights_are_not_fetched_for_a_trained_model(
    tmp_path: Path, gesture_net: GestureNet
) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain", KEYS | {"weights": "gone.pth"}))
    load_gesture_net(tmp_path)


def test_every_key_of_the_net_section_reaches_a_constructor(mano: Mano) -> None:
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    keys = Watched(KEYS)
    gesture_net = build_gesture_net(keys, coarse_classes=3, fine_classes=4)
    assert read | {"image_px"} == set(GESTURE_KEYS), "image_px decides what it is trained on"
    build_pose_net(keys, gesture_net=gesture_net, mano=mano)
    assert read | {"image_px"} == set(NetParams.model_fields)
