"""A trained model on disk: the weights, and the record of how to build the network they fit.

`model.safetensors` holds what was trained and nothing of MANO; `model.json` is a `ModelRecord`. No
`params.yaml` is needed to use them: see `trained_nets.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from handpose.files import write_durably
from handpose.training.checkpoint import CheckpointError, differences


@dataclass(frozen=True)
class ModelRecord:
    """The contents of `model.json`."""

    stage: str  # pretrain or pose
    encoder: dict[str, Any]  # keywords of GestureNet: params.yaml's section of that name
    pose_net: dict[str, Any]  # keywords of Stage 2's network, likewise; none in Stage 1
    joints: dict[str, str]  # JointDefinition.record() of Stage 2's joints; none in Stage 1
    coarse: list[str]  # names of the coarse classes by id
    fine: list[str]
    hands: list[str]  # right or left, of each coarse class
    handedness: str  # handed or canonical: left images are mirrored before they enter the network
    labels_digest: str  # SHA-256 of the labels it was trained on
    params_digest: str  # SHA-256 of everything that decided its training
    seconds: dict[str, float]  # of training, by stage
    best_epoch: int
    loss_weights: dict[str, float]  # of Stage 2's terms; none in a model of Stage 1
    weights_sha256: str = ""  # of model.safetensors; `save_model` fills it in
    before: str = ""  # of the model whose weights its training started from, likewise

    def require(self, folder: Path, *, remedy: str = "", **expected: Any) -> None:
        """Refuse the model where its record is not as expected.

        Args:
            folder: where it lies, for the message.
            remedy: what to do instead, a sentence; to train the model again by default.
            **expected: fields of the record; a mapping is compared in the keys it has.

        Raises:
            CheckpointError: it names all that differs.
        """
        found = dataclasses.asdict(self)
        for name, value in expected.items():
            if isinstance(value, Mapping):
                found[name] = {key: found[name].get(key) for key in value}
        if wrong := differences(expected, {name: found[name] for name in expected}):
            remedy = remedy or (
                f"Train it again with `dvc repro {self.stage}`, or go back to the settings it has"
            )
            raise CheckpointError(
                f"{folder}: this model was trained with other settings: {'; '.join(wrong)}. "
                f"{remedy}"
            )


_EXPECTED = (
    "expected a folder with model.json, such as handpose/released, or models/pose/pretrained of "
    "a clone in which it was trained"
)


def _remedy(folder: Path) -> str:
    """What to do where there is no model; only a clone's own are trained by `dvc repro`."""
    above = folder.absolute().parents
    if any(models.name == "models" and (models.parent / "dvc.yaml").is_file() for models in above):
        return "no trained model is here. Run `dvc repro`, which trains it"
    return _EXPECTED


def save_model(folder: Path, model: nn.Module, record: ModelRecord) -> None:
    """Write weights and record; `model.json` comes last and holds the weights' SHA-256."""
    weights = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    )
    record = dataclasses.replace(record, weights_sha256=hashlib.sha256(weights).hexdigest())
    text = json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    write_durably(folder / "model.safetensors", weights)
    write_durably(folder / "model.json", text.encode())


def read_record(folder: Path) -> ModelRecord:
    """The record of the model in this folder.

    Raises:
        CheckpointError: there is none, it cannot be read, or an older version wrote it.
    """
    path = folder / "model.json"
    try:
        fields = json.loads(path.read_text("utf-8"))
        if "net" in fields:  # before encoder and pose_net were two sections
            raise CheckpointError(
                f"{path}: found `net`, expected `encoder` and `pose_net`: an older version trained "
                "this model; train it again with `dvc repro`"
            )
        if "pose_net" in fields and "joints" not in fields:  # before data sets had their own
            raise CheckpointError(
                f"{path}: has no `joints`: an older version trained this model; train it again "
                "with `dvc repro`"
            )
        return ModelRecord(**fields)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found; {_remedy(folder)}") from None
    except NotADirectoryError:
        raise CheckpointError(f"{folder}: is a file; {_EXPECTED}") from None
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: is not a record of a trained model: {error}") from None


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fill the network with the weights in this folder.

    Raises:
        CheckpointError: they are missing, are not those of model.json, or do not fit.
    """
    path = folder / "model.safetensors"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found, but model.json is there") from None
    if hashlib.sha256(data).hexdigest() != read_record(folder).weights_sha256:
        raise CheckpointError(
            f"{path}: is not the file that model.json names (another SHA-256); fetch both again "
            "with `dvc checkout --force`, or train again"
        )
    try:
        model.load_state_dict(safetensors.torch.load(data))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: does not fit the network of model.json: {error}") from None
