"""Both trained networks from their folders, without params.yaml."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.hand.joint_definition import SMPLX, JointDefinition
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, save_model
from handpose.training.trained_nets import (
    load_gesture_net,
    load_joint_definition,
    load_pose_net,
)
from stages.params import EncoderParams, PoseNetParams

ENCODER = EncoderParams(image_px=64).keywords()
POSE_NET = PoseNetParams(grid=4, dim=16, heads=2).keywords()


def a_record(stage: str, **changes: Any) -> ModelRecord:
    record = ModelRecord(
        stage=stage,
        encoder=ENCODER,
        pose_net=POSE_NET if stage == "pose" else {},
        joints=SMPLX.record() if stage == "pose" else {},
        coarse=["fist", "gun", "claw"],
        fine=["fist", "gun", "claw", "dinosaur"],
        hands=["right", "left", "right"],
        handedness="handed",
        labels_digest="",
        params_digest="",
        seconds={},
        best_epoch=1,
        loss_weights={},
    )
    return dataclasses.replace(record, **changes)


@pytest.fixture
def gesture_net() -> GestureNet:
    torch.manual_seed(1)
    return GestureNet(**ENCODER, coarse_classes=3, fine_classes=4)


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)


def test_a_stage_2_model_says_the_same_when_it_is_read_again(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano, image: Tensor
) -> None:
    net = PoseNet(gesture_net, mano, **POSE_NET)
    save_model(tmp_path, net, a_record("pose"))
    is_left = torch.tensor([False, True])
    with torch.no_grad():
        before = net.eval()(image, is_left)
        after = load_pose_net(tmp_path, mano).eval()(image, is_left)
    assert torch.equal(before.vertices, after.vertices)
    assert torch.equal(before.uv, after.uv)


def test_a_stage_1_model_says_the_same_and_needs_no_key_of_stage_2(
    tmp_path: Path, gesture_net: GestureNet, image: Tensor
) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain"))
    with torch.no_grad():
        before, after = gesture_net.eval()(image), load_gesture_net(tmp_path).eval()(image)
    assert torch.equal(before.fine_logits, after.fine_logits)


def test_a_stage_1_model_is_no_stage_2_model(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano
) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain"))
    with pytest.raises(CheckpointError, match="holds a model of stage pretrain, expected pose"):
        load_pose_net(tmp_path, mano)


def test_a_hand_with_other_joints_is_refused(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano
) -> None:
    net = PoseNet(gesture_net, mano, **POSE_NET)
    interhand = JointDefinition("interhand").record()
    save_model(tmp_path, net, a_record("pose", joints=interhand))
    with pytest.raises(CheckpointError, match=r"trained on the joints .*interhand.*found .*smplx"):
        load_pose_net(tmp_path, mano)
    assert load_joint_definition(tmp_path, "").record() == interhand
    save_model(tmp_path, gesture_net, a_record("pretrain"))
    with pytest.raises(CheckpointError, match="holds a model of stage pretrain, expected pose"):
        load_joint_definition(tmp_path, "")


def test_first_weights_are_not_fetched_for_a_trained_model(
    tmp_path: Path, gesture_net: GestureNet
) -> None:
    save_model(
        tmp_path, gesture_net, a_record("pretrain", encoder=ENCODER | {"weights": "gone.pth"})
    )
    load_gesture_net(tmp_path)


def test_a_model_that_does_not_say_which_frame_it_is_in_is_refused(
    tmp_path: Path, gesture_net: GestureNet, mano: Mano
) -> None:
    keys = {key: value for key, value in POSE_NET.items() if key != "turn_camera"}
    save_model(tmp_path, PoseNet(gesture_net, mano, **POSE_NET), a_record("pose", pose_net=keys))
    with pytest.raises(CheckpointError, match=r"pose_net lacks turn_camera: .* train it again"):
        load_pose_net(tmp_path, mano)


def test_a_key_of_another_version_is_named(tmp_path: Path, gesture_net: GestureNet) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain", encoder=ENCODER | {"stem": 3}))
    with pytest.raises(CheckpointError, match="encoder has the unknown stem"):
        load_gesture_net(tmp_path)


def test_a_model_of_an_older_version_is_refused(tmp_path: Path, gesture_net: GestureNet) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain"))
    fields = json.loads((tmp_path / "model.json").read_text())
    fields["net"] = fields.pop("encoder") | fields.pop("pose_net")
    (tmp_path / "model.json").write_text(json.dumps(fields))
    with pytest.raises(
        CheckpointError, match="an older version trained this model; train it again"
    ):
        load_gesture_net(tmp_path)


def test_a_model_that_does_not_say_whose_joints_it_predicts_is_refused(
    tmp_path: Path, gesture_net: GestureNet
) -> None:
    save_model(tmp_path, gesture_net, a_record("pretrain"))
    fields = json.loads((tmp_path / "model.json").read_text())
    del fields["joints"]
    (tmp_path / "model.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=r"has no `joints`: an older version trained"):
        load_gesture_net(tmp_path)
