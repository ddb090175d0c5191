"""The training loop on a toy: a few weights, a few steps, every way to be interrupted."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.fit import FitSettings, Fitted, LossFunction, fit
from handpose.training.history import FitError, Scalars
from handpose.training.seeding import seed
from tests.toy_batch import toy_batch

IDENTITY = {"run": "toy"}
EPOCHS, STEPS, SIZE = 3, 4, 3
SETTINGS = FitSettings(
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    lr=lambda step: 0.01 / (1 + step),
    weight_decay=0.1,
    clip_norm=1.0,
    best="error",
    checkpoint_every_s=0,
)


def toy() -> nn.Module:
    """Everything with a state of its own: batch statistics, dropout's random numbers, weights."""
    seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(), nn.Linear(16, 2)
    )


def toy_batches(epoch: int, skip: int) -> Iterator[HandBatch]:
    for step in range(skip, STEPS):
        yield toy_batch(100 * epoch + step, SIZE)


def forward(model: nn.Module, batch: HandBatch) -> Tensor:
    output: Tensor = model(batch.image.float() / 255)
    return output


def toy_loss(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
    truth = batch.joints_cam[:, 0, :2]
    return {"near": (output - truth).abs().mean(), "far": (epoch + 1) * output.square().mean()}


def toy_validate(model: nn.Module) -> Scalars:
    model.eval()
    with torch.no_grad():
        batch = toy_batch(-1, SIZE)
        terms = toy_loss(forward(model, batch), batch, 0, SINGLE_PROCESS.count)
        return {"error": terms["near"].item()}


def train(
    folder: Path,
    settings: FitSettings = SETTINGS,
    *,
    model: nn.Module | None = None,
    batches: Callable[[int, int], Iterator[HandBatch]] = toy_batches,
    loss: LossFunction[Tensor] = toy_loss,
    validate: Callable[[nn.Module], Scalars] = toy_validate,
) -> tuple[dict[str, Tensor], Fitted]:
    """Weights and result of a toy run whose checkpoints are in `folder`."""
    model = model or toy()
    with Checkpoint(folder, IDENTITY) as checkpoint:
        fitted = fit(
            model,
            batches=batches,
            forward=forward,
            loss=loss,
            validate=validate,
            settings=settings,
            checkpoint=checkpoint,
        )
    return model.state_dict(), fitted


def assert_same(
    ours: tuple[dict[str, Tensor], Fitted], theirs: tuple[dict[str, Tensor], Fitted]
) -> None:
    """The same weights, curve and best epoch, bit for bit."""
    assert_equal(ours[0], theirs[0])
    assert replace(ours[1], seconds=0) == replace(theirs[1], seconds=0)


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Fitted]:
    """The result of an uninterrupted run."""
    return train(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the library logs for the user."""
    caplog.set_level(logging.INFO, "handpose")
    return caplog


class Killed(BaseException):
    """Nothing in the loop may catch it, like the end of a process."""


def killed_at(step: int) -> Callable[[int, int], Iterator[HandBatch]]:
    """Batches that end the run when it asks for the one after `step`."""

    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        for number, batch in enumerate(toy_batches(epoch, skip), start=epoch * STEPS + skip):
            if number == step:
                raise Killed
            yield batch

    return batches


@pytest.mark.parametrize("every_s", [0.0, math.inf], ids=["each_step", "each_epoch"])
@pytest.mark.parametrize("step", [0, 1, 3, 4, 5, 7, 8, 11])
def test_a_run_killed_at_any_step_ends_with_the_same_weights(
    tmp_path: Path, whole: tuple[dict[str, Tensor], Fitted], step: int, every_s: float
) -> None:
    settings = replace(SETTINGS, checkpoint_every_s=every_s)
    with pytest.raises(Killed):
        train(tmp_path, settings, batches=killed_at(step))
    torch.rand(7)  # whatever else the process did with its random numbers
    assert_same(train(tmp_path, settings), whole)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("save", [1, 4, 5, 6, 15])
def test_a_run_killed_beside_a_checkpoint_ends_with_the_same_weights(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: tuple[dict[str, Tensor], Fitted],
    save: int,
    when: str,
) -> None:
    saves, replace_file = 0, os.replace

    def dying_replace(source: Path, target: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == save and when == "before":
            raise Killed
        replace_file(source, target)
        if saves == save:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", dying_replace)
        train(tmp_path)
    assert_same(train(tmp_path), whole)


def test_an_interrupted_validation_is_done_on_resumption(
    tmp_path: Path, whole: tuple[dict[str, Tensor], Fitted]
) -> None:
    def killed(model: nn.Module) -> Scalars:
        raise Killed

    with pytest.raises(Killed):
        train(tmp_path, validate=killed)
    assert_same(train(tmp_path), whole)


def test_a_killed_run_with_averaged_weights_ends_with_the_same(tmp_path: Path) -> None:
    settings = replace(SETTINGS, ema=0.5)
    with pytest.raises(Killed):
        train(tmp_path / "killed", settings, batches=killed_at(6))
    assert_same(train(tmp_path / "killed", settings), train(tmp_path / "whole", settings))


class OwnWeights(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(
        self, output: Tensor, batch: HandBatch, epoch: int, count: Count
    ) -> dict[str, Tensor]:
        terms = toy_loss(output, batch, epoch, count)
        return {
            name: term * (-s).exp() + s
            for (name, term), s in zip(terms.items(), self.shift, strict=True)
        }


def test_a_loss_with_weights_of_its_own_is_trained_and_resumed_with_them(tmp_path: Path) -> None:
    whole, loss = OwnWeights(), OwnWeights()
    settings = replace(SETTINGS, lr_factors={"loss.shift": 10.0})
    result = train(tmp_path / "whole", settings, loss=whole)
    assert bool(whole.shift.all())
    with pytest.raises(Killed):
        train(tmp_path / "killed", settings, batches=killed_at(6), loss=OwnWeights())
    assert_same(train(tmp_path / "killed", settings, loss=loss), result)
    assert torch.equal(loss.shift, whole.shift)
    again = OwnWeights()
    assert_same(train(tmp_path / "whole", settings, batches=killed_at(0), loss=again), result)
    assert torch.equal(again.shift, whole.shift), "a finished run hands them out again"
    assert "loss.shift" not in result[0], "they are no part of the model"


def test_a_finished_run_only_hands_its_result_out_again(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    result = train(tmp_path)
    log.clear()
    again = train(tmp_path, batches=killed_at(0))
    assert_same(again, result)
    assert again[1].seconds == result[1].seconds > 0, "all of model.json is as it was"
    assert "rewriting its results" in log.messages[0]


def test_seconds_count_over_resumptions(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path, batches=killed_at(6))
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        state = checkpoint.load()
    assert state is not None
    assert train(tmp_path)[1].seconds > state["seconds"] > 0


def test_sigterm_saves_the_current_step_and_ends_the_process(
    tmp_path: Path, whole: tuple[dict[str, Tensor], Fitted], log: pytest.LogCaptureFixture
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.test_fit", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert len(list(islice((line for line in lines if line.startswith("batch")), 6))) == 6
    process.terminate()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, rest
    assert_same(train(tmp_path), whole)
    assert log.messages[0].startswith("resumes after step 6/12")


@pytest.mark.parametrize("step", [1, 6])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_loss_that_is_not_finite_stops_the_run_by_its_name(
    tmp_path: Path, step: int, value: float
) -> None:
    taken = 0

    def loss(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        nonlocal taken
        taken += 1
        good = toy_loss(output, batch, epoch, count)
        return good | {"far": good["far"] * (value if taken == step else 1)}

    with pytest.raises(FitError, match=rf"^step {step} .*: far is (nan|inf)\. Lower lr"):
        train(tmp_path, loss=loss)
    assert taken == step
    assert (len(list(tmp_path.glob("*/checkpoint.pt"))) == 1) == (step > 1)
    train(tmp_path)  # and the checkpoint of the step before is sound


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def loss(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        return {"root": (output - output).square().sum().sqrt()}  # 0, and its slope is 0 / 0

    with pytest.raises(FitError, match=r"step 1 .*gradient_norm is nan"):
        train(tmp_path, loss=loss)


def test_a_metric_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"validation after epoch 1: .*error.*nan"):
        train(tmp_path, validate=lambda model: {"error": math.nan})


def test_an_epoch_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="epoch 1 had 4 batches instead of 5"):
        train(tmp_path, replace(SETTINGS, steps_per_epoch=5))


@pytest.mark.parametrize(("maximise", "best"), [(False, 2), (True, 1)])
def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path, maximise: bool, best: int) -> None:
    errors, seen = iter([0.9, 0.2, 0.5]), []

    def validate(model: nn.Module) -> Scalars:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"error": next(errors), "other": 0.0}

    weights, fitted = train(tmp_path, replace(SETTINGS, maximise=maximise), validate=validate)
    assert fitted.best_epoch == best
    assert fitted.metrics == {"error": 0.2 if best == 2 else 0.9, "other": 0.0}
    assert_equal(weights, seen[best - 1])


def test_averaged_weights_follow_their_law_and_are_what_is_validated(tmp_path: Path) -> None:
    model, decay, updates = toy(), 0.25, [0]
    expected: dict[str, Tensor] = {}
    seen: list[dict[str, Tensor]] = []

    def average() -> None:
        for name, parameter in model.named_parameters():
            value = parameter.detach().clone()
            d = min(decay, (1 + updates[0]) / (10 + updates[0]))
            expected[name] = d * expected.get(name, value) + (1 - d) * value

    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        for batch in toy_batches(epoch, skip):
            yield batch
            average()  # asked for the next batch: the step is done
            updates[0] += 1

    def validate(average: nn.Module) -> Scalars:
        seen.append({name: value.clone() for name, value in average.named_parameters()})
        return toy_validate(average)

    settings = replace(SETTINGS, ema=decay, epochs=1)
    weights, _ = train(tmp_path, settings, model=model, batches=batches, validate=validate)
    for name in expected:
        torch.testing.assert_close(seen[0][name], expected[name])
        assert torch.equal(weights[name], seen[0][name])


def test_the_history_holds_every_step_once_as_means(tmp_path: Path) -> None:
    losses: list[float] = []
    steps = 110  # two steps a row, and an epoch's end

    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        return (toy_batch(number, SIZE) for number in range(steps))

    def loss(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        term = output.square().mean()
        losses.append(term.item())
        return {"near": term, "far": 2 * term}

    settings = replace(SETTINGS, epochs=2, steps_per_epoch=steps, checkpoint_every_s=math.inf)
    _, fitted = train(tmp_path, settings, batches=batches, loss=loss)
    rows = fitted.rows
    assert [row["step"] for row in rows] == list(range(2, 2 * steps + 1, 2))
    for row in rows:
        step = int(row["step"])
        assert row["near"] == pytest.approx(sum(losses[step - 2 : step]) / 2)
        assert row["loss"] == pytest.approx(3 * row["near"])
        assert row["epoch"] == (step - 1) // steps + 1
        assert row["lr"] == settings.lr(step - 1)
    ends = [row["step"] for row in rows if "validation_error" in row]
    assert ends == [steps, 2 * steps]


def test_the_gradient_is_clipped_and_its_norm_recorded_before(tmp_path: Path) -> None:
    norms = []

    def note(optimiser: torch.optim.Optimizer, *_: object) -> None:
        grads = [p.grad for group in optimiser.param_groups for p in group["params"]]
        norms.append(torch.stack([g.norm() for g in grads]).norm().item())

    hook = register_optimizer_step_pre_hook(note)
    _, fitted = train(tmp_path, replace(SETTINGS, clip_norm=0.01))
    hook.remove()
    assert max(norms) <= 0.0101
    assert min(row["gradient_norm"] for row in fitted.rows) > 0.02


def test_matrices_decay_but_biases_norms_and_gates_do_not(tmp_path: Path) -> None:
    def nothing(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        return {"nothing": 0 * output.sum()}

    before = {name: p.detach().clone() for name, p in toy().named_parameters()}
    settings = replace(SETTINGS, epochs=1, lr=lambda step: 0.5, weight_decay=0.1)
    weights, _ = train(tmp_path, settings, loss=nothing)
    for name, value in before.items():
        factor = (1 - 0.5 * 0.1) ** STEPS if value.dim() > 1 else 1.0
        torch.testing.assert_close(weights[name], factor * value)


def test_a_parameter_learns_as_fast_as_its_factor_says(tmp_path: Path) -> None:
    """AdamW's first step is lr in every weight, whatever the gradient's size."""
    before = {name: p.detach().clone() for name, p in toy().named_parameters()}
    settings = replace(SETTINGS, epochs=1, steps_per_epoch=1, weight_decay=0.0, clip_norm=0.0)
    settings = replace(settings, lr=lambda step: 1e-3, lr_factors={"4.bias": 20.0})

    def one_batch(epoch: int, skip: int) -> Iterator[HandBatch]:
        yield from list(toy_batches(epoch, skip))[:1]

    weights, _ = train(tmp_path, settings, batches=one_batch)
    moved = {name: (weights[name] - value).abs().max().item() for name, value in before.items()}
    assert moved["4.bias"] == pytest.approx(20e-3, rel=1e-3)
    assert moved["4.weight"] == pytest.approx(1e-3, rel=1e-3)


def test_a_factor_of_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"factors for \['gate'\], which are not trained"):
        train(tmp_path, replace(SETTINGS, lr_factors={"gate": 2.0}))


def test_last_keeps_the_last_epoch_even_if_another_was_better(tmp_path: Path) -> None:
    errors = iter([0.1, 0.5, 0.9])
    _, fitted = train(
        tmp_path, replace(SETTINGS, best="last"), validate=lambda model: {"error": next(errors)}
    )
    assert (fitted.best_epoch, fitted.metrics) == (3, {"error": 0.9})


@pytest.mark.parametrize("bf16", [True, False])
def test_bf16_is_for_the_forward_pass_alone(tmp_path: Path, bf16: bool) -> None:
    def loss(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        assert output.dtype == (torch.bfloat16 if bf16 else torch.float32)
        assert not torch.is_autocast_enabled("cpu")
        return toy_loss(output.float(), batch, epoch, count)

    weights, _ = train(tmp_path, replace(SETTINGS, bf16=bf16, epochs=1), loss=loss)
    assert all(value.dtype != torch.bfloat16 for value in weights.values())


def test_progress_has_rate_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("handpose.training.fit.LOG_EVERY_S", 0.0)
    train(tmp_path)
    assert re.fullmatch(
        r"epoch 2/3, step 5/12, \d+ images/s, \d+ s left, loss \d\.\d+", log.messages[5]
    ), log.messages


def slow_batches(epoch: int, skip: int) -> Iterator[HandBatch]:
    """Slow enough for a signal to arrive during training."""
    for batch in toy_batches(epoch, skip):
        print("batch", flush=True)
        time.sleep(0.2)
        yield batch


if __name__ == "__main__":  # a training process for the test above
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), batches=slow_batches)
