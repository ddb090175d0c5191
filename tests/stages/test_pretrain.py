"""Stage 1: what it writes, what it refuses, and how it resumes."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from handpose.files import digest
from handpose.nets.gesture_net import GestureNet
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.model_io import read_record
from handpose.training.trained_nets import load_gesture_net
from stages import pretrain
from stages.params import load_params
from stages.paths import LABELS
from stages.pretrain import constant_baselines, validate
from stages.running.command import run_stage
from stages.training.training_data import TrainingData, TrainingDataError
from tests.stages import conftest

OUT = Path("models/pretrain")


def run_pretrain() -> int:
    return run_stage(pretrain.main, "pretrain")


def test_a_model_its_record_and_its_metrics_are_written(trainable: Path) -> None:
    assert run_pretrain() == 0
    assert {path.name for path in OUT.iterdir()} == {
        "model.safetensors",
        "model.json",
        "curves.csv",
        "metrics.json",
        "manifest.json",
    }
    record = read_record(OUT)
    assert (record.stage, len(record.coarse), len(record.fine)) == ("pretrain", 4, 4)
    assert record.hands == ["right", "right", "left", "left"]
    assert record.handedness == "handed"
    assert record.labels_digest == digest(Path("data/labels/labels.parquet"))
    assert set(record.seconds) == {"pretrain"}
    assert record.encoder["image_px"] == 64
    assert record.pose_net == {}, "Stage 1 is the same whatever Stage 2's sizes are"

    metrics = json.loads((OUT / "metrics.json").read_text())
    assert set(metrics["validation"]) == {"loss", "coarse_accuracy", "fine_accuracy"}
    assert metrics["chance"] == {"coarse": 0.25, "fine": 0.25}
    assert metrics["majority"] == {"coarse": 2 / 6, "fine": 2 / 6}
    assert metrics["best_epoch"] == record.best_epoch

    with (OUT / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["validation_coarse_accuracy"]) for row in rows] == [False, False, True] * 2
    best = rows[3 * record.best_epoch - 1]
    assert float(best["validation_loss"]) == pytest.approx(metrics["validation"]["loss"], rel=1e-4)

    manifest = json.loads((OUT / "manifest.json").read_text())
    assert manifest["digests"][str(OUT / "model.safetensors")] == record.weights_sha256
    (mark,) = Path("work/pretrain").glob("*/finished")
    assert mark.read_text() == hashlib.md5((OUT / "model.json").read_bytes()).hexdigest()

    params = load_params()
    data = TrainingData.open(params.pretrain, image_px=64, handedness="handed")
    loss = GestureLoss(0, 0, 1, params.pretrain.fine_weight_max)
    again = validate(load_gesture_net(OUT), data.validation(), loss)
    assert again == metrics["validation"], "the weights are those that were validated"


def test_a_run_killed_in_the_middle_ends_with_the_same_bytes(
    trainable: Path, monkeypatch: pytest.MonkeyPatch, set_params: Callable[..., None]
) -> None:
    augment = {
        "rotation_deg": 15,
        "upright": 0.5,
        "scale": 0.1,
        "shift": 0.05,
        "colour": 0.1,
        "flip": 0.5,
        "occlude": 0.5,
    }
    more = {"contrastive": 0.1, "hierarchical": True, "augment": augment}
    set_params(pretrain={"checkpoint_every_s": 0, **more})
    assert run_pretrain() == 0
    terms = "coarse,fine,contrastive,hierarchy,loss,"
    assert (OUT / "curves.csv").read_text().startswith(f"step,epoch,lr,{terms}")
    whole = {name: (OUT / name).read_bytes() for name in ("model.safetensors", "curves.csv")}

    shutil.rmtree(OUT)
    shutil.rmtree("work")

    class Killed(BaseException):
        pass

    saves, save = 0, Checkpoint.save

    def dying_save(self: Checkpoint, state: dict[str, object]) -> None:
        nonlocal saves
        saves += 1
        save(self, state)
        if saves == 5:  # in the second epoch
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoint, "save", dying_save)
        run_pretrain()
    set_params(pretrain={"checkpoint_every_s": 60, "device": "cpu"})  # how, not what
    assert run_pretrain() == 0
    assert whole == {name: (OUT / name).read_bytes() for name in whole}


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("data/labels/labels.parquet", "run `dvc repro label`"),
        ("data/shard/index.json", "`dvc repro shard`"),
    ],
)
def test_what_is_missing_is_named_with_the_stage_that_makes_it(
    trainable: Path, capsys: pytest.CaptureFixture[str], remove: str, message: str
) -> None:
    Path(remove).unlink()
    assert run_pretrain() == 2
    printed = capsys.readouterr().err
    assert remove in printed
    assert message in printed
    assert not OUT.exists()


def test_damaged_labels_are_named(trainable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LABELS.write_bytes(LABELS.read_bytes()[:100])
    assert run_pretrain() == 2
    assert "labels.parquet: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"train": 12}, "split validation holds 0 samples, needed are at least 1"),
        ({"train": 3, "validation": 4}, "split train holds 3 samples, needed are at least 4"),
    ],
)
def test_too_few_samples_are_refused(
    trainable: Path,
    capsys: pytest.CaptureFixture[str],
    shards_of: Callable[..., None],
    samples: dict[str, int],
    message: str,
) -> None:
    shards_of(**samples)
    assert run_pretrain() == 2
    assert message in capsys.readouterr().err


def test_validation_without_a_gesture_is_an_error_and_not_a_zero(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(4, side=8)
    nobody = torch.full_like(batch.coarse, UNLABELLED)
    batches = [dataclasses.replace(batch, coarse=nobody, fine=nobody)]
    with pytest.raises(TrainingDataError, match="none of the 4 validation samples"):
        constant_baselines(batches, coarse_classes=3, fine_classes=3)


class Oracle(nn.Module):
    """Logits as given, whatever the image shows."""

    def __init__(self, coarse: Tensor, fine: Tensor) -> None:
        super().__init__()
        self.coarse, self.fine = nn.Parameter(coarse), nn.Parameter(fine)

    def forward(self, image: Tensor) -> GestureOutput:
        rows = slice(0, len(image))
        return GestureOutput(self.coarse[rows], self.fine[rows], self.coarse[rows])


def test_validation_counts_labelled_samples_alone(make_batch: Callable[..., HandBatch]) -> None:
    batch = dataclasses.replace(
        make_batch(4, side=8),
        coarse=torch.tensor([0, 1, 2, UNLABELLED]),
        fine=torch.tensor([0, 1, 2, UNLABELLED]),
    )
    right = 50 * torch.eye(4)[[0, 1, 2, 3], :3]
    wrong = 50 * torch.eye(4)[[0, 2, 1, 3], :3]
    found = validate(Oracle(right, wrong), [batch, batch], GestureLoss(0, 0, 1, 0.5))
    assert found["coarse_accuracy"] == 1
    assert found["fine_accuracy"] == pytest.approx(1 / 3)
    assert found["loss"] == pytest.approx(0.5 * 50 * 2 / 3)


def test_a_share_of_the_labels_trains_as_many_steps_on_these_images_alone(
    trainable: Path,
    set_params: Callable[..., None],
    shards_of: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shards_of(train=48, validation=6)  # a sequence of 12 images in each of four folders
    seen: list[list[int]] = []

    def watched(net: nn.Module, batch: HandBatch) -> GestureOutput:
        if net.training:
            seen.append(batch.sample_id.tolist())
        return forward(net, batch)

    forward = pretrain.forward
    monkeypatch.setattr(pretrain, "forward", watched)
    set_params(pretrain={"labelled_share": 0.1})
    assert run_pretrain() == 0
    assert len(seen) == 2 * 12, "two epochs of as many steps as 48 images make"
    images = {i for batch in seen for i in batch}
    assert len(images) == 12 and len({i % 4 for i in images}) == 1
    passes = [sorted(seen[i] + seen[i + 1] + seen[i + 2]) for i in range(0, 24, 3)]
    assert all(one == sorted(images) for one in passes), "each image once in a pass"
    assert len({tuple(batch) for batch in seen}) > 20, "in another order"
    text = "learns from 12 of 48 labelled images: 1 sequence of 1 person in 1 fine class"
    assert text in capsys.readouterr().out
    metrics = json.loads((OUT / "metrics.json").read_text())
    assert metrics["labelled"]["images"] == 12


def test_without_a_label_in_training_there_is_no_share(
    trainable: Path, set_params: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pq.read_table(LABELS).to_pylist()
    validation = range(12, 18)
    pq.write_table(
        pa.Table.from_pylist([{**rows[i % 4], "sample_id": i} for i in validation]), LABELS
    )
    set_params(pretrain={"labelled_share": 0.5})
    assert run_pretrain() == 2
    message = capsys.readouterr().err
    assert "none of the 12 training samples has a class, so pretrain.labelled_share" in message


COLOURED = {"rotation_deg": 30.0, "scale": 0.2, "colour": 0.4}


@pytest.mark.parametrize(
    ("objective", "term", "measure", "reference"),
    [
        ("instances", "instances", "instance_accuracy", ("chance", "instance")),
        ("pose", "joints", "mpjpe_mm", ("mean_joints", "mpjpe_mm")),
    ],
)
def test_a_warm_up_leaves_the_backbone_of_an_encoder_and_random_heads(
    trainable: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
    term: str,
    measure: str,
    reference: tuple[str, str],
) -> None:
    """Killed in the middle it ends with the same bytes; its numbers are of its own objective."""
    begun: list[dict[str, Tensor]] = []

    def watched(**keywords: Any) -> GestureNet:
        net = GestureNet(**keywords)
        begun.append({name: value.clone() for name, value in net.state_dict().items()})
        return net

    monkeypatch.setattr(pretrain, "GestureNet", watched)
    augment = load_params().pretrain.augment.model_copy(update=COLOURED).keywords()
    set_params(
        pretrain={"objective": objective, "augment": augment, "checkpoint_every_s": 0},
        pose_net={"gesture_tokens": False},
    )
    assert run_pretrain() == 0
    trained = load_gesture_net(OUT).state_dict()
    assert trained.keys() == begun[0].keys(), "the head of the objective is thrown away"
    moved = {name for name in trained if not torch.equal(trained[name], begun[0][name])}
    assert moved and not [name for name in moved if name.startswith("heads.")]

    metrics = json.loads((OUT / "metrics.json").read_text())
    assert metrics["objective"] == objective
    assert set(metrics["validation"]) == {"loss", measure}
    assert metrics[reference[0]][reference[1]] > 0 and "majority" not in metrics
    rows = (OUT / "curves.csv").read_text().splitlines()
    assert rows[0] == (
        f"step,epoch,lr,{term},loss,gradient_norm,validation_loss,validation_{measure}"
    )
    whole = {name: (OUT / name).read_bytes() for name in ("model.safetensors", "curves.csv")}
    shutil.rmtree(OUT)
    shutil.rmtree("work")
    saves, save = 0, Checkpoint.save

    def dying_save(self: Checkpoint, state: dict[str, object]) -> None:
        nonlocal saves
        saves += 1
        save(self, state)
        if saves == 5:  # in the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", dying_save)
        assert run_pretrain() != 0 and not OUT.exists()
    assert run_pretrain() == 0
    assert whole == {name: (OUT / name).read_bytes() for name in whole}


def test_an_image_comes_in_two_views_and_validation_has_the_same_ones_in_every_epoch(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    augment = load_params().pretrain.augment.model_copy(update=COLOURED)
    settings = load_params().pretrain.model_copy(update={"augment": augment})
    data = TrainingData.open(settings, image_px=64, handedness="handed", views=2)
    for batches, sizes in (
        (list(data.train(0, 0)), [8, 8, 8]),
        (list(data.validation()), [8, 4]),
    ):
        assert [len(batch) for batch in batches] == sizes
        for batch in batches:
            first, second = batch.sample_id.chunk(2)
            assert torch.equal(first, second)
            assert not torch.equal(*batch.image.chunk(2))
    for one, other in zip(data.validation(), data.validation(), strict=True):
        assert torch.equal(one.image, other.image)


def test_soft_targets_are_of_the_training_fits_and_are_reported(
    trainable: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[GestureLoss] = []

    def watched(**keywords: Any) -> GestureLoss:
        seen.append(GestureLoss(**keywords))
        return seen[-1]

    monkeypatch.setattr(pretrain, "GestureLoss", watched)
    set_params(pretrain={"soft_targets_deg": 5.0, "labelled_share": 0.5})
    assert run_pretrain() == 0
    (loss,) = seen
    for table in (loss.coarse_targets, loss.fine_targets):
        assert table is not None and table.shape == (4, 4)
        torch.testing.assert_close(table.sum(1), torch.ones(4))
        assert not table[:2, 2:].any() and not table[2:, :2].any(), "not of the other hand"
    assert "soft targets: an image is to be " in capsys.readouterr().out
    recorded = json.loads((OUT / "metrics.json").read_text())["soft_targets"]
    assert set(recorded) == {"coarse_own_class", "fine_own_class"}
    assert all(0 < share <= 1 for share in recorded.values())


def test_without_a_fit_there_are_no_soft_targets(
    trainable: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = conftest.stored_sample

    def without(sample_id: int, folder: str) -> tuple[bytes, dict[str, Any]]:
        jpeg, label = stored(sample_id, folder)
        return jpeg, label | {"has_mano": False}

    monkeypatch.setattr(conftest, "stored_sample", without)
    conftest.write_shards(train=12, validation=6)
    set_params(pretrain={"soft_targets_deg": 5.0})
    assert run_pretrain() == 2
    message = capsys.readouterr().err
    assert "no training sample with a gesture has a MANO fit" in message
    assert "pretrain.soft_targets_deg has nothing to go by; switch it off" in message
