"""What both training doors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handpose.data.shards import Shards
from handpose.training.checkpoint import Checkpoint
from stages.fitting import training
from stages.fitting.training import write_curves
from stages.params import load_params


def test_what_decides_the_weights_is_in_the_identity(
    trainable: Path, set_params: Callable[..., None], labels_of: Callable[..., None]
) -> None:
    def identity() -> str:
        params = load_params()
        data = training.TrainingData.open(
            params.pretrain, image_px=64, handedness=params.label.handedness
        )
        return Checkpoint(Path("work"), data.identity({"weights": "start.pth"})).digest

    before = identity()
    set_params(pretrain={"threads": 1, "device": "cpu", "checkpoint_every_s": 1})
    assert identity() == before
    set_params(pretrain={"lr": 0.5})
    changed = identity()
    assert changed != before
    labels_of(("gun", "fist", "left_gun", "left_fist"))
    relabelled = identity()
    assert relabelled != changed
    Path("start.pth").write_bytes(b"weights")
    started = identity()
    assert started != relabelled
    Path("start.pth").write_bytes(b"others")
    assert identity() != started, "another file in its place is another start"


def test_curves_keep_their_digits(tmp_path: Path) -> None:
    write_curves(
        tmp_path / "curves.csv",
        [{"step": 1234567, "loss": 0.5}, {"step": 1234568, "loss": 1e-7, "validation_loss": 2.0}],
    )
    text = (tmp_path / "curves.csv").read_text()
    assert text == "step,loss,validation_loss\n1234567,0.5,\n1234568,1e-07,2\n"


def test_resumed_epochs_read_the_same_batches(trainable: Path) -> None:
    params = load_params()
    data = training.TrainingData.open(params.pretrain, image_px=64, handedness="handed")
    assert data.steps_per_epoch == Shards.open("data/shard").index.count("train") // 4
    whole = [batch.sample_id.tolist() for batch in data.train(1, 0)]
    assert [batch.sample_id.tolist() for batch in data.train(1, 2)] == whole[2:]
    assert [batch.sample_id.tolist() for batch in data.train(0, 0)] != whole
