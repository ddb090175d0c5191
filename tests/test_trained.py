"""A trained model on disk: built again without params.yaml, refused when it is not what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.checkpoint import CheckpointError
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import PoseOutput
from handpose.trained import (
    GESTURE_NET,
    ModelRecord,
    build_gesture_net,
    build_pose_net,
    load_gesture_net,
    load_pose_net,
    read_record,
    save_model,
)
from stages.params import Net, load_params

KEYS: dict[str, Any] = load_params().net.model_dump() | {
    "image_px": 64,
    "grid": 4,
    "dim": 16,
    "heads": 2,
}


def a_record(**changes: Any) -> ModelRecord:
    fields: dict[str, Any] = {
        "stage": "pose",
        "net": KEYS,
        "coarse": ["fist", "gun", "claw"],
        "fine": ["fist", "gun", "claw", "dinosaur"],
        "hands": ["right", "left", "right"],
        "handedness": "handed",
        "labels_digest": "a" * 64,
        "params_digest": "b" * 64,
        "seconds": {"pose": 1.0},
        "best_epoch": 2,
    }
    return ModelRecord(**fields | changes)


def a_gesture_net() -> GestureNet:
    torch.manual_seed(1)
    return build_gesture_net(KEYS, coarse_classes=3, fine_classes=4)


@pytest.fixture
def pose_net(mano: Mano) -> PoseNet:
    return build_pose_net(KEYS, gesture_net=a_gesture_net(), mano=mano)


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)


def test_a_stage_2_model_says_the_same_when_it_is_read_again(
    tmp_path: Path, pose_net: PoseNet, mano: Mano, image: Tensor
) -> None:
    save_model(tmp_path, pose_net, a_record())
    is_left = torch.tensor([False, True])
    with torch.no_grad():
        before: PoseOutput = pose_net.eval()(image, is_left)
        after: PoseOutput = load_pose_net(tmp_path, mano).eval()(image, is_left)
    assert torch.equal(before.vertices, after.vertices)
    assert torch.equal(before.uv, after.uv)


def test_a_stage_1_model_says_the_same_when_it_is_read_again(tmp_path: Path, image: Tensor) -> None:
    net = a_gesture_net()
    keys = {key: KEYS[key] for key in GESTURE_NET}
    save_model(tmp_path, net, a_record(stage="pretrain", net=keys))
    with torch.no_grad():
        before, after = net.eval()(image), load_gesture_net(tmp_path).eval()(image)
    assert torch.equal(before.fine_logits, after.fine_logits)


def test_weights_that_were_fetched_once_are_not_fetched_again(tmp_path: Path) -> None:
    save_model(tmp_path, a_gesture_net(), a_record(net=KEYS | {"weights": "gone.pth"}))
    load_gesture_net(tmp_path)


def test_every_key_of_the_net_section_reaches_a_constructor(mano: Mano) -> None:
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    keys = Watched(KEYS)
    gesture_net = build_gesture_net(keys, coarse_classes=3, fine_classes=4)
    assert read | {"image_px"} == set(GESTURE_NET)
    build_pose_net(keys, gesture_net=gesture_net, mano=mano)
    assert read | {"image_px"} == set(Net.model_fields)


def test_weights_of_another_file_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, a_gesture_net(), a_record())
    with (tmp_path / "model.safetensors").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(CheckpointError, match=r"is not the file that model\.json tells of"):
        load_gesture_net(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not found"):
        load_gesture_net(tmp_path)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, a_gesture_net(), a_record(coarse=["fist", "gun"]))
    with pytest.raises(CheckpointError, match=r"does not fit the network of model\.json"):
        load_gesture_net(tmp_path)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_model(tmp_path, a_gesture_net(), a_record())
    record = read_record(tmp_path)
    record.require(tmp_path, **{k: v for k, v in vars(a_record()).items() if "sha256" not in k})


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "pose"}', '{"unknown": 1}'])
def test_a_broken_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(CheckpointError, match="is no record of a trained model"):
        read_record(tmp_path)


def test_a_missing_model_and_one_of_another_stage_are_refused(tmp_path: Path, mano: Mano) -> None:
    with pytest.raises(CheckpointError, match=r"model\.json: not found"):
        load_pose_net(tmp_path, mano)
    save_model(tmp_path, a_gesture_net(), a_record(stage="pretrain"))
    with pytest.raises(CheckpointError, match="holds a model of stage pretrain, expected pose"):
        load_pose_net(tmp_path, mano)


def test_a_model_of_other_parameters_is_refused_by_what_differs(tmp_path: Path) -> None:
    record = a_record()
    record.require(tmp_path, net={"dim": 16}, coarse=("fist", "gun", "claw"))
    with pytest.raises(CheckpointError) as caught:
        record.require(
            tmp_path, net={"dim": 64, "grid": 4}, coarse=["fist"], handedness="canonical"
        )
    for text in (
        str(tmp_path),
        "net.dim is 16 there, expected 64",
        "number of coarse is 3 there, expected 1",
        "handedness is handed there, expected canonical",
        "dvc repro pose",
    ):
        assert text in str(caught.value)
    assert "grid" not in str(caught.value)


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    save_model(tmp_path, a_gesture_net(), a_record())
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["net"]["dim"] == 16
    assert content["coarse"] == ["fist", "gun", "claw"]
