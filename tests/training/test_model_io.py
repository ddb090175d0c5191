"""A trained model on disk: whole, and refused when it is not what it says or what is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, load_weights, read_record, save_model


def a_record(**changes: Any) -> ModelRecord:
    fields: dict[str, Any] = {
        "stage": "pose",
        "encoder": {"image_px": 96, "gesture_levels": (4, 8)},
        "pose_net": {"dim": 16, "grid": 4},
        "joints": {"tips": "interhand", "file": "", "sha256": ""},
        "coarse": ["fist", "gun", "claw"],
        "fine": ["fist", "gun", "claw", "dinosaur"],
        "hands": ["right", "left", "right"],
        "handedness": "handed",
        "labels_digest": "a" * 64,
        "params_digest": "b" * 64,
        "seconds": {"pose": 1.0},
        "best_epoch": 2,
        "loss_weights": {"gesture": 0.1},
    }
    return ModelRecord(**fields | changes)


def a_net(width: int = 4) -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
    return net.to(memory_format=torch.channels_last)


def test_weights_and_record_are_read_as_they_were_written(tmp_path: Path) -> None:
    net, again = a_net(), a_net()
    save_model(tmp_path, net, a_record())
    load_weights(tmp_path, again)
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    record = read_record(tmp_path)
    record.require(tmp_path, **{k: v for k, v in vars(a_record()).items() if k != "weights_sha256"})
    assert json.loads((tmp_path / "model.json").read_text())["encoder"]["gesture_levels"] == [4, 8]


def test_weights_of_another_file_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, a_net(), a_record())
    with (tmp_path / "model.safetensors").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(CheckpointError, match=r"is not the file that model\.json names"):
        load_weights(tmp_path, a_net())
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not found"):
        load_weights(tmp_path, a_net())


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, a_net(4), a_record())
    with pytest.raises(CheckpointError, match=r"does not fit the network of model\.json"):
        load_weights(tmp_path, a_net(5))


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "pose"}', '{"unknown": 1}'])
def test_a_broken_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(CheckpointError, match="is not a record of a trained model"):
        read_record(tmp_path)


def test_a_missing_record_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    with pytest.raises(CheckpointError, match=r"model\.json: not found; .*Run `dvc repro`"):
        read_record(tmp_path / "models" / "pose" / "pretrained")


def test_for_another_path_the_error_says_what_a_model_is_and_not_to_train(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.touch()
    (tmp_path / "models").mkdir()  # of no clone
    for folder, found in (
        (tmp_path / "no", r"no.model\.json: not found"),
        (tmp_path / "models" / "no", r"no.model\.json: not found"),
        (photo, r"photo\.jpg: is a file"),
    ):
        message = f"{found}; expected a folder with model\\.json, such as handpose/released"
        with pytest.raises(CheckpointError, match=message) as raised:
            read_record(folder)
        assert "dvc repro" not in str(raised.value)


def test_a_model_of_other_parameters_is_refused_by_what_differs(tmp_path: Path) -> None:
    record = a_record()
    record.require(tmp_path, pose_net={"dim": 16}, coarse=("fist", "gun", "claw"))
    with pytest.raises(CheckpointError) as caught:
        record.require(
            tmp_path, pose_net={"dim": 64, "grid": 4}, coarse=["fist"], handedness="canonical"
        )
    for text in (
        str(tmp_path),
        "pose_net.dim is 16, expected 64",
        "number of coarse is 3, expected 1",
        "handedness is handed, expected canonical",
        "dvc repro pose",
    ):
        assert text in str(caught.value)
    assert "grid" not in str(caught.value)
