"""A confidence head on disk: `confidence.safetensors` and `confidence.json` beside its model's.

The record names the weights of the model that the head was trained for; with any other weights the
head is refused, because its scales and its calibration would be those of another network.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from handpose.confidence.calibration import REGION
from handpose.confidence.confidence_head import ConfidenceHead
from handpose.files import write_durably
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord

WEIGHTS, RECORD = "confidence.safetensors", "confidence.json"

REMEDY = "train it anew with `handpose confidence`, or delete both files, which the model can spare"


@dataclass(frozen=True)
class ConfidenceRecord:
    """The contents of `confidence.json`."""

    model_sha256: str  # of the model.safetensors that the head reads
    features: int  # keywords of ConfidenceHead
    dim: int
    hidden: int
    region: float  # share of joints that a region holds, on the people of the calibration
    training: dict[str, int]  # hands, windows without one, people and damaged photos of each
    calibration: dict[str, int]  # likewise, of the people that it is calibrated on
    factors: list[float]  # of the calibration, for people to read; those that count are weights
    weights_sha256: str = ""  # of confidence.safetensors; `save_confidence` fills it in

    def __str__(self) -> str:
        """One line for people."""
        own, other = self.training, self.calibration
        return (
            f"trained on {own['hands']} hands and {own['windows']} windows without one of "
            f"{own['people']} people, calibrated on {other['hands']} and {other['windows']} of "
            f"{other['people']} others"
        )


def save_confidence(folder: Path, head: ConfidenceHead, record: ConfidenceRecord) -> None:
    """Write weights and record; `confidence.json` comes last."""
    tensors = {k: tensor.detach().cpu().contiguous() for k, tensor in head.state_dict().items()}
    weights = safetensors.torch.save(tensors)
    record = dataclasses.replace(record, weights_sha256=hashlib.sha256(weights).hexdigest())
    write_durably(folder / WEIGHTS, weights)
    text = json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    write_durably(folder / RECORD, text.encode())


def load_confidence(folder: Path, model: ModelRecord) -> ConfidenceHead | None:
    """The head in this folder, in evaluation mode on the CPU; None if there is none.

    Args:
        folder: of the model.
        model: its record.

    Raises:
        CheckpointError: the head belongs to other weights, was calibrated for other regions, is
            damaged, or its weights are missing.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = ConfidenceRecord(**json.loads(path.read_text("utf-8")))
        data = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{folder / WEIGHTS}: not found, but {RECORD} is there") from None
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: is not a record of a confidence head: {error}") from None
    if record.model_sha256 != model.weights_sha256:
        raise CheckpointError(
            f"{path}: this confidence head is of the model {record.model_sha256[:12]}, found the "
            f"model {model.weights_sha256[:12]} beside it; {REMEDY}"
        )
    if record.region != REGION:
        raise CheckpointError(
            f"{path}: its regions hold {record.region:.0%} of joints, expected {REGION:.0%}; "
            f"{REMEDY}"
        )
    if hashlib.sha256(data).hexdigest() != record.weights_sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS}: is not the file that {RECORD} names (another SHA-256); {REMEDY}"
        )
    head = ConfidenceHead(features=record.features, dim=record.dim, hidden=record.hidden)
    try:
        head.load_state_dict(safetensors.torch.load(data))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: does not fit {RECORD}: {error}") from None
    return head.eval()
