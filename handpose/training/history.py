"""The course of training as rows, and its stop at the first loss that is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from handpose.errors import HandPoseError

Row = dict[str, float]

ROWS_PER_EPOCH = 50
"""Rows in an epoch, about; each is the mean over the steps since the one before."""

VALIDATION = "validation_"
"""Before the names of the metrics in the row that ends an epoch."""


class FitError(HandPoseError):
    """Training cannot begin or go on."""


class Curve:
    """The loss terms of every step: looked at for one that is not finite, and averaged into rows.

    Terms stay on their device until `look` fetches those of many steps at once.
    """

    def __init__(self, steps_per_epoch: int, look_every: int) -> None:
        """An empty curve with about `ROWS_PER_EPOCH` rows an epoch."""
        self.rows: list[Row] = []
        self._steps_per_epoch, self._look_every = steps_per_epoch, look_every
        self._row_every = max(1, steps_per_epoch // ROWS_PER_EPOCH)
        self._unseen: list[tuple[Row, list[str], Tensor]] = []
        self._seen: list[Row] = []  # steps since the last row

    def add(self, step: int, epoch: int, lr: float, terms: Mapping[str, Tensor]) -> None:
        """Note a step (counted from 1)."""
        where: Row = {"step": step, "epoch": epoch, "lr": lr}
        values = torch.stack([term.detach() for term in terms.values()])  # (terms,)
        self._unseen.append((where, list(terms), values))
        in_epoch = step % self._steps_per_epoch  # 0 after the last one, whose row waits for metrics
        if in_epoch and in_epoch % self._row_every == 0:
            self.end_row({})
        elif len(self._unseen) >= self._look_every:
            self.look()

    def look(self) -> None:
        """Fetch the terms that were not looked at yet.

        Raises:
            FitError: one is not finite; it names the first step and its first such term.
        """
        if not self._unseen:
            return
        for (where, names, _), values in zip(
            self._unseen, torch.stack([v for *_, v in self._unseen]).tolist(), strict=True
        ):
            terms = dict(zip(names, values, strict=True))
            for name, value in terms.items():
                if not math.isfinite(value):
                    raise FitError(_advice(name, value, where))
            self._seen.append(where | terms)
        self._unseen.clear()

    def end_row(self, metrics: Row) -> None:
        """Add the row of the steps since the last one: their mean, and validation metrics."""
        self.look()
        last = self._seen[-1]
        means = {name: math.fsum(s[name] for s in self._seen) / len(self._seen) for name in last}
        where = {name: last[name] for name in ("step", "epoch", "lr")}
        self.rows.append(means | where | {VALIDATION + name: m for name, m in metrics.items()})
        self._seen.clear()

    @property
    def loss(self) -> float:
        """The loss that was looked at last."""
        rows = self._seen or self.rows
        return rows[-1]["loss"] if rows else math.nan

    def last_validation(self) -> str:
        """The newest row's metrics for a reader."""
        return ", ".join(
            f"{name.removeprefix(VALIDATION)} {value:.4g}"
            for name, value in self.rows[-1].items()
            if name.startswith(VALIDATION)
        )

    def state_dict(self) -> dict[str, list[Row]]:
        """Rows, and the steps of the row in work."""
        self.look()
        return {"rows": self.rows, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, list[Row]]) -> None:
        """The inverse of `state_dict`."""
        self.rows, self._seen = list(state["rows"]), list(state["seen"])


def _advice(name: str, value: float, where: Row) -> str:
    return (
        f"step {where['step']} (epoch {where['epoch']}, learning rate {where['lr']:.3g}): "
        f"{name} is {value}. Lower lr, set clip_norm (5 is usual), or set precision to fp32; if it "
        "is so from the first steps on, look at the samples this term reads. The checkpoint of an "
        "earlier step is kept"
    )
