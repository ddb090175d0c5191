"""The training loop, the same for both stages: read `fit`, then `gradient_step`.

The loop knows nothing of gestures or hands. It is given an epoch's batches, the forward pass, the
loss terms and the validation, and leaves the model with its best weights. All that changes while it
runs is in a `TrainingState`, which is what a checkpoint holds: a run that was killed goes on as if
nothing had happened, bit for bit on a CPU.

Several processes run the same loop, each on its slice of every batch; `handpose/distributed.py` is
what they say to each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Distributed
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.ema import averaged
from handpose.training.history import Curve, FitError, Row
from handpose.training.seeding import rng_state, set_rng_state
from handpose.training.signals import Stop

Output = TypeVar("Output")

LOOK_EVERY = {"cpu": 1, "cuda": 20}
"""Steps between two looks at the losses; on a GPU a look makes the CPU wait for it."""

TELL_EVERY_S = 5.0


@dataclass(frozen=True)
class FitSettings:
    """How to train."""

    epochs: int
    steps_per_epoch: int
    lr: Callable[[int], float]  # of the gradient step, counted from 0 over all epochs
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # of the gradient; 0 is off
    ema: float = 0.0  # decay of the weights' average, which is then what is kept; 0 is off
    bf16: bool = False  # forward pass under autocast
    best: str = "loss"  # validation metric that picks the weights to keep
    maximise: bool = False  # more of it is better
    checkpoint_every_s: float = 60.0  # 0 is after every step


@dataclass(frozen=True)
class Fitted:
    """What a finished run leaves besides the model's weights."""

    rows: list[Row]  # of the curve: step and epoch from 1, lr, loss terms, validation metrics
    best_epoch: int  # from 1
    metrics: Row  # of the validation after that epoch
    seconds: float  # in `fit`, over all its resumptions, up to the last checkpoint


def fit(
    model: nn.Module,
    *,
    batches: Callable[[int, int], Iterable[HandBatch]],
    forward: Callable[[nn.Module, HandBatch], Output],
    loss_terms: Callable[[Output, HandBatch, int], dict[str, Tensor]],
    validate: Callable[[nn.Module], Row],
    recipe: FitSettings,
    checkpoint: Checkpoint,
    tell: Callable[[str], None],
    distributed: Distributed = SINGLE_PROCESS,
) -> Fitted:
    """Train the model on the device it is on, and leave it with its best weights.

    SIGTERM or Ctrl-C end the step in work, save a checkpoint and raise SystemExit.

    Args:
        model: what to train.
        batches: (epoch, skip) -> that epoch's batches without the first `skip`, the same every time
            it is asked; epochs count from 0. One of several processes gets its slice of each.
        forward: (model, batch) -> the model's output; in bf16 if the recipe says so.
        loss_terms: (output, batch, epoch) -> weighted terms by name, whose sum is the loss; means
            that divide by `distributed.count`.
        validate: metrics by name of a model, which it puts into evaluation mode; the same for every
            process.
        recipe: how to train.
        checkpoint: where the state of the run is kept, and found again.
        tell: called with a line of progress every few seconds.
        distributed: the processes that share each batch; the first one's checkpoint counts.

    Raises:
        FitError: a loss term, the gradient or a metric is not finite, or an epoch has not as many
            batches as the recipe says.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    run = TrainingState(
        model, recipe, Objective(model, forward, loss_terms, recipe.bf16), distributed
    )
    if (saved := distributed.run_on_rank_zero(checkpoint.load)) is not None:
        run.load_state_dict(saved)
        if run.epoch < recipe.epochs:
            tell(f"goes on after step {run.step}/{run.steps} from {checkpoint.path}")
        else:
            tell(f"was trained before; its results are written anew from {checkpoint.path}")
    pace = ProgressLog(run, tell)
    with Stop(tell, distributed) as stop:
        while run.epoch < recipe.epochs:
            model.train()
            for batch in batches(run.epoch, run.step - run.epoch_begin):
                gradient_step(run, batch)
                pace.step(len(batch))
                if distributed.all_reduce_max(
                    stop.signal or checkpoint.age_s >= recipe.checkpoint_every_s
                ):
                    checkpoint.save(run.state_dict())
                    stop.leave()
            run.end_epoch(validate)
            checkpoint.save(run.state_dict())
            tell(f"epoch {run.epoch}/{recipe.epochs}: {run.curve.last_validation()}")
            stop.leave()
    return run.finish()


def gradient_step(run: TrainingState, batch: HandBatch) -> None:
    """One step of the optimiser, noted in the curve."""
    recipe = run.recipe
    lr = recipe.lr(run.step)
    for group in run.optimiser.param_groups:
        group["lr"] = lr
    run.distributed.seed_step(run.seed, run.step)

    terms: dict[str, Tensor] = run.objective(batch.to(run.device), run.epoch)
    loss = torch.stack(list(terms.values())).sum()

    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(run.weights, recipe.clip_norm or math.inf)
    run.optimiser.step()
    run.optimiser.zero_grad()
    if run.average is not None:
        run.average.update_parameters(run.model)
    run.step += 1
    noted = {**terms, "loss": loss, "gradient_norm": norm}
    run.curve.add(run.step, run.epoch + 1, lr, run.distributed.mean(noted))


class Objective(nn.Module):
    """A model and its loss in one: what several processes wrap, to see which weights it hears of.

    Around the model alone, whose output is a dataclass, DistributedDataParallel finds no output to
    start from; with a static graph it then averages nothing and does not say so.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[nn.Module, HandBatch], Output],
        loss_terms: Callable[[Output, HandBatch, int], dict[str, Tensor]],
        bf16: bool,
    ) -> None:
        """See `fit`."""
        super().__init__()
        self.model, self._bf16 = model, bf16
        self._output, self._loss_terms = forward, loss_terms

    def forward(self, batch: HandBatch, epoch: int) -> dict[str, Tensor]:
        """The terms of the loss."""
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self._bf16):
            output = self._output(self.model, batch)
        return self._loss_terms(output, batch, epoch)  # in bf16 pixels would be too coarse


class TrainingState:
    """All that changes in the course of training."""

    def __init__(
        self, model: nn.Module, recipe: FitSettings, objective: nn.Module, distributed: Distributed
    ) -> None:
        """A run that has not begun."""
        self.model, self.recipe, self.distributed = model, recipe, distributed
        self.objective = distributed.replicate(objective)
        self.seed = torch.initial_seed()
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.device = self.weights[0].device
        self.optimiser = _adamw(self.weights, recipe.weight_decay)
        self.average = averaged(model, recipe.ema) if recipe.ema else None
        self.curve = Curve(recipe.steps_per_epoch, LOOK_EVERY.get(self.device.type, 1))
        self.step = 0  # gradient steps taken
        self.epoch = 0  # epochs taken and validated
        self.best: dict[str, Any] = {}  # epoch, metrics and weights of the best validation
        self._seconds, self._since = 0.0, time.monotonic()  # as of the last `state_dict`

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.epochs * self.recipe.steps_per_epoch

    @property
    def epoch_begin(self) -> int:
        """Steps that lie before the epoch in work."""
        return self.epoch * self.recipe.steps_per_epoch

    def end_epoch(self, validate: Callable[[nn.Module], Row]) -> None:
        """Validate, note the metrics in the curve, and keep the weights if they are the best."""
        recipe = self.recipe
        if (taken := self.step - self.epoch_begin) != recipe.steps_per_epoch:
            raise FitError(
                f"epoch {self.epoch + 1} had {taken} batches instead of {recipe.steps_per_epoch}: "
                "the shards do not hold what their index says; run `dvc repro -f shard`"
            )
        self.curve.look()  # weights that are no numbers would only confuse the validation
        model = self.model if self.average is None else self.average.module
        self.distributed.broadcast_state(model)
        metrics = validate(model)
        self.epoch += 1
        if bad := {name: value for name, value in metrics.items() if not math.isfinite(value)}:
            raise FitError(
                f"validation after epoch {self.epoch}: {bad} cannot be compared; do the "
                "validation samples carry the annotations that these metrics need?"
            )
        self.curve.end_row(metrics)
        sign = 1 if recipe.maximise else -1
        if not self.best or sign * metrics[recipe.best] > sign * self.best["metrics"][recipe.best]:
            weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            self.best = {"epoch": self.epoch, "metrics": metrics, "weights": weights}

    def finish(self) -> Fitted:
        """Put the best weights into the model."""
        self.model.load_state_dict(self.best["weights"])
        return Fitted(self.curve.rows, self.best["epoch"], self.best["metrics"], self._seconds)

    def state_dict(self) -> dict[str, Any]:
        """All of it as tensors and plain values.

        Raises:
            FitError: the last steps were not finite; such a state is not worth keeping.
        """
        now = time.monotonic()
        self._seconds, self._since = self._seconds + now - self._since, now
        return {
            "curve": self.curve.state_dict(),
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "best": self.best,
            "seconds": self._seconds,
            "rng": rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was called, the random generators included."""
        self.curve.load_state_dict(state["curve"])
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.epoch, self.best = state["step"], state["epoch"], state["best"]
        self._seconds, self._since = state["seconds"], time.monotonic()
        set_rng_state(state["rng"])


def _adamw(weights: list[nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and kernels, but no biases, norms and gates."""
    groups = [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)


class ProgressLog:
    """Progress lines with rate and time left."""

    def __init__(self, run: TrainingState, tell: Callable[[str], None]) -> None:
        """Of the steps that this process takes."""
        self._run, self._tell = run, tell
        self._images, self._steps = 0, 0
        self._begun = self._told = time.monotonic()

    def step(self, images: int) -> None:
        """Count a step; tell when it is time."""
        self._images += images
        self._steps += 1
        now, run = time.monotonic(), self._run
        if now - self._told < TELL_EVERY_S:
            return
        self._told = now
        seconds = now - self._begun
        left = (run.steps - run.step) * seconds / self._steps
        self._tell(
            f"epoch {run.epoch + 1}/{run.recipe.epochs}, step {run.step}/{run.steps}, "
            f"{run.distributed.world * self._images / seconds:.0f} images/s, {left:.0f} s left, "
            f"loss {run.curve.loss:.4g}"
        )
