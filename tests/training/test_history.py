"""Rows of means, and the check that losses are finite."""

from __future__ import annotations

import math

import pytest
import torch

from handpose.training.history import FitError, History


def add(history: History, step: int, value: float) -> None:
    history.add(step, 1, 0.1, {"near": torch.tensor(value), "loss": torch.tensor(2 * value)})


def test_losses_of_a_gpu_are_checked_later_but_the_first_bad_step_is_named() -> None:
    history = History(steps_per_epoch=1000, check_every=5)
    for step in range(1, 5):
        bad = math.nan if step >= 3 else 1.0
        history.add(step, 1, 0.1, {"near": torch.tensor(1.0), "far": torch.tensor(bad)})
    with pytest.raises(FitError, match=r"^step 3 .*far is nan"):
        history.add(5, 1, 0.1, {"near": torch.tensor(math.nan), "far": torch.tensor(1.0)})
    with pytest.raises(FitError, match=r"^step 3 "):
        history.state_dict()


def test_rows_do_not_depend_on_when_losses_are_checked() -> None:
    histories = [History(steps_per_epoch=120, check_every=n) for n in (1, 7, 1000)]
    for history in histories:
        for step in range(1, 121):
            add(history, step, 1 / step)
        history.end_row({"error": 3.0})
    rows = histories[0].rows
    assert len(rows) == 60
    assert rows[1]["near"] == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert rows[-1]["validation_error"] == 3
    assert all(history.rows == rows for history in histories)


def test_an_unfinished_row_goes_on_after_resumption() -> None:
    whole, first, second = (History(steps_per_epoch=500, check_every=3) for _ in range(3))
    for step in range(1, 11):
        add(whole, step, step)
        add(first if step <= 4 else second, step, step)
        if step == 4:
            second.load_state_dict(first.state_dict())
    assert (
        second.rows
        == whole.rows
        == [{"step": 10, "epoch": 1, "lr": 0.1, "near": 5.5, "loss": 11.0}]
    )


def test_the_last_loss_and_validation_are_available() -> None:
    history = History(steps_per_epoch=100, check_every=1)
    assert math.isnan(history.loss)
    add(history, 1, 1.5)
    assert history.loss == 3
    history.end_row({"error": 0.25, "other": 1e-6})
    assert history.loss == 3
    assert history.last_validation() == "error 0.25, other 1e-06"
