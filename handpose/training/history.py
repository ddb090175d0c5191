"""The training history as rows of scalars; training stops at the first loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from handpose.errors import HandPoseError

Scalars: TypeAlias = dict[str, float]
"""Losses and metrics by name."""

ROWS_PER_EPOCH = 50
"""About so many rows per epoch; each is the mean over the steps since the previous one."""

VALIDATION = "validation_"
"""Prefix of the metrics in the row that ends an epoch."""


class FitError(HandPoseError):
    """Training cannot start or continue."""


class History:
    """The loss terms of every step, checked for values that are not finite, averaged into rows.

    Terms stay on their device until `check` fetches those of many steps at once.
    """

    def __init__(self, steps_per_epoch: int, check_every: int) -> None:
        """An empty history with about `ROWS_PER_EPOCH` rows per epoch."""
        self.rows: list[Scalars] = []
        self._steps_per_epoch, self._check_every = steps_per_epoch, check_every
        self._row_every = max(1, steps_per_epoch // ROWS_PER_EPOCH)
        self._on_device: list[tuple[Scalars, list[str], Tensor]] = []  # steps not yet checked
        self._pending: list[Scalars] = []  # checked steps since the last row

    def add(self, step: int, epoch: int, lr: float, terms: Mapping[str, Tensor]) -> None:
        """Record a step (counted from 1)."""
        when: Scalars = {"step": step, "epoch": epoch, "lr": lr}
        values = torch.stack([term.detach() for term in terms.values()])  # (terms,)
        self._on_device.append((when, list(terms), values))
        in_epoch = step % self._steps_per_epoch  # 0 after the last one, whose row waits for metrics
        if in_epoch and in_epoch % self._row_every == 0:
            self.end_row({})
        elif len(self._on_device) >= self._check_every:
            self.check()

    def check(self) -> None:
        """Fetch the terms of all steps not yet checked.

        Raises:
            FitError: a term is not finite; the message names the first such step and term.
        """
        if not self._on_device:
            return
        for (when, names, _), values in zip(
            self._on_device, torch.stack([v for *_, v in self._on_device]).tolist(), strict=True
        ):
            terms = dict(zip(names, values, strict=True))
            for name, value in terms.items():
                if not math.isfinite(value):
                    raise FitError(_not_finite(name, value, when))
            self._pending.append(when | terms)
        self._on_device.clear()

    def end_row(self, metrics: Scalars) -> None:
        """Add a row: the mean of the steps since the last one, and validation metrics."""
        self.check()
        last, steps = self._pending[-1], self._pending
        means = {name: math.fsum(s[name] for s in steps) / len(steps) for name in last}
        when = {name: last[name] for name in ("step", "epoch", "lr")}
        self.rows.append(means | when | {VALIDATION + name: m for name, m in metrics.items()})
        self._pending.clear()

    @property
    def loss(self) -> float:
        """The loss that was fetched last; NaN before the first."""
        rows = self._pending or self.rows
        return rows[-1]["loss"] if rows else math.nan

    def last_validation(self) -> str:
        """The validation metrics of the last row as text."""
        return ", ".join(
            f"{name.removeprefix(VALIDATION)} {value:.4g}"
            for name, value in self.rows[-1].items()
            if name.startswith(VALIDATION)
        )

    def state_dict(self) -> dict[str, list[Scalars]]:
        """The rows, and the steps of the unfinished row."""
        self.check()
        return {"rows": self.rows, "pending": self._pending}

    def load_state_dict(self, state: Mapping[str, list[Scalars]]) -> None:
        """The inverse of `state_dict`."""
        self.rows, self._pending = list(state["rows"]), list(state["pending"])


def _not_finite(name: str, value: float, when: Scalars) -> str:
    return (
        f"step {when['step']} (epoch {when['epoch']}, learning rate {when['lr']:.3g}): "
        f"{name} is {value}. Lower lr, set clip_norm (5 is usual), or set precision to fp32; if it "
        "happens from the first steps on, inspect the samples this term reads. The checkpoint of "
        "an earlier step is still there"
    )
