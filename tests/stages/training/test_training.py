"""What both training stages share."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handpose.data.shards import Shards
from handpose.distributed import Distributed
from handpose.training.checkpoint import Checkpoint
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.loss.pose_loss import PoseLoss
from stages import pose, pretrain
from stages.code_digest import stage_digest
from stages.params import load_params
from stages.running.command import run_stage
from stages.training.training import log_to_stdout, write_curves
from stages.training.training_data import TrainingData

ROOT = Path(__file__).parents[3]


def test_what_decides_the_weights_is_in_the_identity(
    trainable: Path, set_params: Callable[..., None], labels_of: Callable[..., None]
) -> None:
    def identity() -> str:
        params = load_params()
        data = TrainingData.open(params.pretrain, image_px=64, handedness=params.label.handedness)
        found = data.identity({"weights": "start.pth"}, stage="pretrain")
        assert found["code"] == stage_digest("pretrain"), "the code that DVC has for this stage"
        return Checkpoint(Path("work"), found).digest

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
    data = TrainingData.open(params.pretrain, image_px=64, handedness="handed")
    assert data.steps_per_epoch == Shards.open("data/shard").index.count("train") // 4
    whole = [batch.sample_id.tolist() for batch in data.train(1, 0)]
    assert [batch.sample_id.tolist() for batch in data.train(1, 2)] == whole[2:]
    assert [batch.sample_id.tolist() for batch in data.train(0, 0)] != whole


class FarEnough(Exception):
    """Raised by a loss when it is called."""


def frames_to(loss: type, main: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The project's functions on the stack when a stage calls its loss, from `run_stage` on."""
    packages = [str(ROOT / package) for package in ("handpose", "stages")]
    names: list[str] = []

    def stop(self: object, *_: object) -> None:
        stack = [f for f in inspect.stack() if f.filename.startswith(tuple(packages))]
        names.extend(f"{Path(f.filename).stem}.{f.function}" for f in reversed(stack))
        names.append(f"{loss.__name__}.__call__")
        raise FarEnough

    monkeypatch.setattr(loss, "__call__", stop)
    with pytest.raises(FarEnough):
        run_stage(main, "stage")
    return names


@pytest.mark.parametrize(
    ("loss", "main"),
    [(GestureLoss, pretrain.main), (PoseLoss, lambda: pose.main(["scratch"]))],
    ids=["pretrain", "pose"],
)
def test_at_most_eight_frames_from_the_stage_to_its_loss(
    trainable: Path, monkeypatch: pytest.MonkeyPatch, loss: type, main: Callable[[], None]
) -> None:
    names = frames_to(loss, main, monkeypatch)
    assert names[0] == "command.run_stage"
    # the step's device part is a function of its own, because a CUDA graph captures it
    step = ["fit.gradient_step", "fit.update_weights", "fit.forward"]
    assert names[-4:] == [*step, f"{loss.__name__}.__call__"]
    assert len(names) <= 8, names


def test_log_lines_carry_the_name_of_the_stage_and_come_from_rank_zero(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("handpose.training.fit")
    for rank in (0, 1):
        with log_to_stdout("pose scratch", Distributed(rank, 2)):
            logger.info("epoch %d/%d", 1, 2)
            logger.debug("not for the user")
            logging.getLogger("another library").warning("nor this")
    logger.info("after the stage")
    assert capsys.readouterr().out == "pose scratch: epoch 1/2\n"


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
def test_a_closed_stdout_stops_no_training(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise error

        def flush(self) -> None:
            raise error

    closed: Any = Closed()
    monkeypatch.setattr(sys, "stdout", closed)
    with log_to_stdout("pretrain"):
        logging.getLogger("handpose").info("epoch 1/2")
