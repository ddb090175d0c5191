"""A head on disk: it comes back as it was, and is refused beside any other model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.confidence_io import (
    RECORD,
    WEIGHTS,
    ConfidenceRecord,
    load_confidence,
    save_confidence,
)
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord
from tests.confidence.hands_at_random import C, D, random_output
from tests.test_predict import a_record

MODEL: ModelRecord = dataclasses.replace(a_record({}, {}, "handed"), weights_sha256="a" * 64)


@pytest.fixture
def head(tmp_path: Path) -> ConfidenceHead:
    torch.manual_seed(0)
    head = ConfidenceHead(features=C, dim=D, hidden=8).eval()
    head.factors.copy_(torch.tensor([2.0, 3.0, 0.5]))
    own = {"hands": 12, "windows": 5, "people": 3, "damaged": 0}
    record = ConfidenceRecord(
        model_sha256=MODEL.weights_sha256,
        features=C,
        dim=D,
        hidden=8,
        region=0.9,
        training=own,
        calibration=own | {"people": 2},
        factors=head.factors.tolist(),
    )
    assert str(record).endswith("calibrated on 12 and 5 of 2 others")
    save_confidence(tmp_path, head, record)
    return head


def test_a_head_comes_back_as_it_was(tmp_path: Path, head: ConfidenceHead) -> None:
    found, output = load_confidence(tmp_path, MODEL), random_output(3)
    assert found is not None and not found.training
    with torch.no_grad():
        before, after = head.regions(output, 64), found.regions(output, 64)
    assert torch.equal(before.radius_px, after.radius_px)
    assert torch.equal(before.is_hand, after.is_hand)


def test_no_file_is_no_head(tmp_path: Path) -> None:
    assert load_confidence(tmp_path, MODEL) is None


def test_a_head_of_another_model_is_refused_with_the_remedy(
    tmp_path: Path, head: ConfidenceHead
) -> None:
    other = dataclasses.replace(MODEL, weights_sha256="b" * 64)
    with pytest.raises(
        CheckpointError, match="of the model aaaaaaaaaaaa, found the model bbbbb"
    ) as e:
        load_confidence(tmp_path, other)
    assert "`handpose confidence`, or delete both files" in str(e.value)


def _drop_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _spoil_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"none")


def _change(key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        fields = json.loads((folder / RECORD).read_text("utf-8")) | {key: value}
        (folder / RECORD).write_text(json.dumps(fields), "utf-8")

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_drop_weights, "confidence.safetensors: not found, but confidence.json is there"),
        (_spoil_weights, "is not the file that confidence.json names"),
        (_change("region", 0.5), "its regions hold 50% of joints, expected 90%"),
        (_change("unknown", 1), "is not a record of a confidence head"),
        (_change("dim", D + 1), "does not fit confidence.json"),
    ],
)
def test_a_damaged_head_is_refused(
    tmp_path: Path, head: ConfidenceHead, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=words):
        load_confidence(tmp_path, MODEL)
