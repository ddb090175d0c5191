"""A captured step learns what an eager one learns; a stand-in for the GPU replays by calling."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

import handpose.training.fit
from handpose.distributed import Count
from handpose.sample import HandBatch
from handpose.training.cuda_graph import WARM_UP_STEPS, GraphedStep
from handpose.training.fit import Fitted, TrainingState
from handpose.training.history import FitError
from handpose.training.seeding import rng_state, set_rng_state
from tests.training.test_fit import (
    EPOCHS,
    SETTINGS,
    STEPS,
    Killed,
    assert_same,
    killed_at,
    toy_batches,
    toy_loss,
    train,
)

T = TypeVar("T")
AVERAGED = replace(SETTINGS, ema=0.5)


class FakeRecorder:
    """Captures without leaving a trace, like a GPU; a replay calls the function.

    What Python gave to the captured function, the epoch for one, stays as it was.
    """

    def __init__(self) -> None:
        self.state: TrainingState | None = None
        self.eager = self.captures = self.replays = 0
        self.error: RuntimeError | None = None

    def run(self, function: Callable[[], T]) -> T:
        self.eager += 1
        return function()

    def capture(self, function: Callable[[], T]) -> tuple[Callable[[], None], T]:
        self.captures += 1
        assert self.state is not None
        before = [copy.deepcopy(part.state_dict()) for part in self._parts()]
        generators = rng_state()
        result: Any = function()
        for part, saved in zip(self._parts(), before, strict=True):
            part.load_state_dict(saved)
        set_rng_state(generators)
        for scalar in result.values():
            scalar.fill_(math.nan)  # nothing was computed
        if self.error is not None:
            raise self.error

        def replay() -> None:
            self.replays += 1
            new: Any = function()
            for name, scalar in result.items():
                scalar.copy_(new[name])

        return replay, result

    def _parts(self) -> list[Any]:
        assert self.state is not None
        average = self.state.average
        parts = [self.state.model, self.state.optimiser]
        return parts if average is None else [*parts, average.module]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> FakeRecorder:
    """Every run of the test is captured by it."""
    recorder = FakeRecorder()

    class Noted(TrainingState):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            recorder.state = self

    def graphed(
        _: object, key: Callable[[int], object], device: torch.device, __: int
    ) -> GraphedStep:
        return GraphedStep(device, key, recorder)

    monkeypatch.setattr(handpose.training.fit, "TrainingState", Noted)
    monkeypatch.setattr(handpose.training.fit, "graphed_step", graphed)
    return recorder


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Fitted]:
    """The result of a run without graphs."""
    return train(tmp_path_factory.mktemp("eager"), AVERAGED)


def test_a_captured_run_ends_with_the_eager_runs_weights(
    tmp_path: Path, eager: tuple[dict[str, Tensor], Fitted], recorder: FakeRecorder
) -> None:
    """Dropout, batch statistics, moments, averages and the curve included."""
    assert_same(train(tmp_path, AVERAGED), eager)
    assert (recorder.eager, recorder.captures) == (WARM_UP_STEPS, EPOCHS)
    assert recorder.replays == EPOCHS * STEPS - WARM_UP_STEPS


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_a_captured_run_that_was_killed_ends_with_them_too(
    tmp_path: Path, eager: tuple[dict[str, Tensor], Fitted], recorder: FakeRecorder, step: int
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, AVERAGED, batches=killed_at(step))
    assert_same(train(tmp_path, AVERAGED), eager)


def test_a_step_is_captured_anew_only_if_the_epoch_changes_it(
    tmp_path: Path, recorder: FakeRecorder
) -> None:
    def same(output: Tensor, batch: HandBatch, epoch: int, count: Count) -> dict[str, Tensor]:
        return toy_loss(output, batch, min(epoch, 1), count)

    settings = replace(SETTINGS, epoch_key=lambda epoch: min(epoch, 1))
    captured = train(tmp_path / "captured", settings, loss=same)
    assert recorder.captures == 2
    recorder.error = RuntimeError("")
    assert_same(captured, train(tmp_path / "eager", settings, loss=same))


def test_a_capture_that_fails_leaves_no_trace_and_says_why(
    tmp_path: Path,
    eager: tuple[dict[str, Tensor], Fitted],
    recorder: FakeRecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "handpose")
    recorder.error = RuntimeError("operation not permitted when stream is capturing\nCompile with")
    assert_same(train(tmp_path, AVERAGED), eager)
    assert recorder.captures == 1, "not tried again"
    (message,) = [m for m in caplog.messages if "captured" in m]
    assert "(operation not permitted when stream is capturing); training continues" in message
    assert "Compile" not in message


def test_a_batch_of_another_size_is_an_eager_step(tmp_path: Path, recorder: FakeRecorder) -> None:
    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        for number, batch in enumerate(toy_batches(epoch, skip), start=skip):
            size = 2 if number == STEPS - 1 else len(batch)
            yield HandBatch(**{name: value[:size] for name, value in vars(batch).items()})

    captured = train(tmp_path / "captured", batches=batches)
    assert recorder.replays == (EPOCHS - 1) * (STEPS - 1)
    recorder.error = RuntimeError("")
    assert_same(captured, train(tmp_path / "eager", batches=batches))


def test_a_replayed_loss_that_is_not_finite_is_named_and_never_saved(
    tmp_path: Path, recorder: FakeRecorder
) -> None:
    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        for number, batch in enumerate(toy_batches(epoch, skip), start=epoch * STEPS + skip):
            joints = batch.joints_cam * (math.nan if number == 6 else 1)
            yield HandBatch(**vars(batch) | {"joints_cam": joints})

    with pytest.raises(FitError, match=r"^step 7 .*: near is nan\. Lower lr"):
        train(tmp_path, batches=batches)
    assert recorder.replays > 0
    (saved,) = tmp_path.glob("*/checkpoint.pt")
    state = torch.load(saved, weights_only=True)["state"]
    assert state["step"] == 6
    assert all(value.isfinite().all() for value in state["model"].values())


def test_a_graph_that_is_asked_for_where_there_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"one of the CPU.*Set cuda_graph to auto"):
        train(tmp_path, replace(SETTINGS, cuda_graph=True))
    train(tmp_path, replace(SETTINGS, cuda_graph="auto"))
