"""The training loop, the same for both stages: read `fit`, then `gradient_step`.

The loop knows nothing of gestures or hands. It is given an epoch's batches, the forward pass, the
loss and the validation, and leaves the model with its best weights. Everything that changes during
training is in a `TrainingState`, which is what a checkpoint holds: a run that was killed resumes as
if nothing had happened, bit for bit on a CPU.

Several processes run the same loop, each on its slice of every batch; they communicate through
`handpose/distributed.py`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Count, Distributed
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.compilation import compiled_if_it_works, should_compile
from handpose.training.cuda_graph import Automatic, graphed_step
from handpose.training.ema import MovingAverage
from handpose.training.history import FitError, History, Scalars
from handpose.training.optimiser import FusedAdamW
from handpose.training.seeding import rng_state, set_rng_state
from handpose.training.signals import DeferredSignals

logger = logging.getLogger(__name__)

Output = TypeVar("Output")
LossFunction: TypeAlias = Callable[[Output, HandBatch, int, Count], dict[str, Tensor]]

CHECK_EVERY = {"cpu": 1, "cuda": 20}
"""Steps between two checks that the losses are finite; on a GPU a check makes the CPU wait."""

LOG_EVERY_S = 5.0


@dataclass(frozen=True)
class FitSettings:
    """How to train."""

    epochs: int
    steps_per_epoch: int
    lr: Callable[[int], float]  # of the gradient step, counted from 0 over all epochs
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # of the gradient; 0 is off
    ema: float = 0.0  # decay of the weights' average, which is then validated and saved; 0 is off
    bf16: bool = False  # forward pass under autocast
    best: str = "loss"  # validation metric that selects the weights, or `last`: the last epoch's
    maximise: bool = False  # more of it is better
    checkpoint_every_s: float = 60.0  # 0 is after every step
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    """Factors of the learning rate, by the name of the parameter."""
    cuda_graph: Automatic = "auto"  # the step as a CUDA graph; auto: for one process on a GPU
    compile: Automatic = "auto"  # torch.compile of the network; auto: likewise, if it can be
    epoch_key: Callable[[int], object] = lambda epoch: epoch
    """Epoch, from 0 -> what the loss does differently in it; a CUDA graph holds for one key."""

    def better(self, metrics: Scalars, best: Scalars) -> bool:
        """Whether an epoch with these metrics is kept instead of the best one before it."""
        if self.best == "last":
            return True
        sign = 1 if self.maximise else -1
        return sign * metrics[self.best] > sign * best[self.best]


@dataclass(frozen=True)
class Fitted:
    """What a finished run leaves besides the model's weights."""

    rows: list[Scalars]  # step and epoch from 1, lr, loss terms, validation metrics
    best_epoch: int  # from 1
    metrics: Scalars  # of the validation after that epoch
    seconds: float  # in `fit`, over all its resumptions, up to the last checkpoint


def fit(
    model: nn.Module,
    *,
    batches: Callable[[int, int], Iterable[HandBatch]],
    forward: Callable[[nn.Module, HandBatch], Output],
    loss: LossFunction[Output],
    validate: Callable[[nn.Module], Scalars],
    settings: FitSettings,
    checkpoint: Checkpoint,
    distributed: Distributed = SINGLE_PROCESS,
) -> Fitted:
    """Train the model on the device it is on, and leave it with the selected weights.

    SIGTERM or Ctrl-C let the current step finish, save a checkpoint and raise SystemExit.

    Args:
        model: what to train.
        batches: (epoch, skip) -> that epoch's batches without the first `skip`, the same for every
            call; epochs count from 0. Each of several processes gets its slice of every batch.
        forward: (model, batch) -> the model's output; under autocast if the settings say bf16.
        loss: (output, batch, epoch, count) -> weighted terms by name, whose sum is the loss; means
            divide by `count` of their mask. The parameters of a module are trained too, on the
            model's device; in `lr_factors` their names begin with `loss.`.
        validate: model -> metrics by name; it puts the model into evaluation mode. The result is
            the same in every process.
        settings: how to train.
        checkpoint: where the state of the run is saved, and resumed from.
        distributed: the processes that share each batch; rank 0's checkpoint is the one used.

    Raises:
        FitError: a loss term, the gradient or a metric is not finite, or an epoch does not have as
            many batches as the settings say.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    objective = Objective(model, forward, loss, settings.bf16, distributed.count)
    state = TrainingState(model, settings, objective, distributed)
    if (saved := distributed.run_on_rank_zero(checkpoint.load)) is not None:
        state.load_state_dict(saved)
        if state.epoch < settings.epochs:
            logger.info(
                "resumes after step %d/%d from %s", state.step, state.steps, checkpoint.path
            )
        else:
            logger.info("already trained; rewriting its results from %s", checkpoint.path)
    progress = ProgressLog(state)
    with DeferredSignals(distributed) as signals:
        while state.epoch < settings.epochs:
            model.train()
            for batch in batches(state.epoch, state.step - state.epoch_begin):
                gradient_step(state, batch)
                progress.step(len(batch))
                if distributed.all_reduce_max(
                    signals.received or checkpoint.age_s >= settings.checkpoint_every_s
                ):
                    checkpoint.save(state.state_dict())
                    signals.exit_if_received()
            state.end_epoch(validate)
            checkpoint.save(state.state_dict())
            logger.info(
                "epoch %d/%d: %s", state.epoch, settings.epochs, state.history.last_validation()
            )
            signals.exit_if_received()
    return state.finish()


def gradient_step(state: TrainingState, batch: HandBatch) -> None:
    """One step of the optimiser, recorded in the history."""
    lr = state.settings.lr(state.step)
    state.optimiser.set_lr(lr)
    if state.average is not None:
        state.average.set_step(state.step)
    if state.compile_pending:
        state.compile(batch.to(state.device))
    state.distributed.seed_step(state.seed, state.step)
    update = partial(update_weights, state)
    if state.graphed is None:
        scalars = update(batch.to(state.device), state.epoch)
    else:
        scalars = state.graphed(update, batch, state.epoch)
    state.step += 1
    state.history.add(state.step, state.epoch + 1, lr, state.distributed.mean(scalars))


def update_weights(state: TrainingState, batch: HandBatch, epoch: int) -> dict[str, Tensor]:
    """The part of a step that is the device's alone; its loss, terms and gradient norm.

    All it reads is on the device already, and the host reads none of its numbers: nothing here may
    copy to or from the device, or branch on what a tensor holds (tests/training/test_host_free.py).
    """
    state.optimiser.zero_grad()  # a capture that failed may have left some gradients
    terms: dict[str, Tensor] = state.objective(batch, epoch)
    loss = torch.stack(list(terms.values())).sum()

    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.weights, state.settings.clip_norm or math.inf)
    state.optimiser.step()
    if state.average is not None:
        state.average.update()
    scalars = {**terms, "loss": loss, "gradient_norm": norm}
    return {name: value.detach() for name, value in scalars.items()}


class Objective(nn.Module):
    """A model together with its loss: the module that DistributedDataParallel wraps.

    It must see the loss: around the model alone, whose output is a dataclass, it finds no tensor to
    trace from, and with a static graph it then silently averages no gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[nn.Module, HandBatch], Output],
        loss: LossFunction[Output],
        bf16: bool,
        count: Count = SINGLE_PROCESS.count,
    ) -> None:
        """See `fit`."""
        super().__init__()
        self.model, self._bf16 = model, bf16
        self._forward, self._count = forward, count
        self._loss = loss  # a module's parameters are trained like the model's
        self._run = partial(forward, model)

    @property
    def learned_loss(self) -> nn.Module | None:
        """The loss, if it has parameters of its own."""
        return self._loss if isinstance(self._loss, nn.Module) else None

    def use_network(self, network: nn.Module) -> None:
        """Run this network instead of the model from now on: its compiled form."""
        self._run = partial(self._forward, network)

    def forward(self, batch: HandBatch, epoch: int) -> dict[str, Tensor]:
        """The terms of the loss, whose sum is minimised.

        Autocast keeps what it has cast until its context ends: every weight becomes bf16 once a
        step. As the context begins and ends in the step, a CUDA graph replays these casts.
        """
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self._bf16):
            output = self._run(batch)
        return self._loss(output, batch, epoch, self._count)  # in bf16 pixels would be too coarse


class TrainingState:
    """Everything that changes during training."""

    def __init__(
        self,
        model: nn.Module,
        settings: FitSettings,
        objective: Objective,
        distributed: Distributed,
    ) -> None:
        """A run before its first step."""
        self.model, self.settings, self.distributed = model, settings, distributed
        self.objective, self._single = distributed.replicate(objective), objective
        self.seed = torch.initial_seed()
        weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.learned_loss = objective.learned_loss
        if self.learned_loss is not None:
            weights |= {f"loss.{name}": p for name, p in self.learned_loss.named_parameters()}
        self.weights = list(weights.values())
        self.device = self.weights[0].device
        self.optimiser = FusedAdamW(weights, settings.weight_decay, settings.lr_factors)
        self.average = MovingAverage(model, settings.ema) if settings.ema else None
        steps = settings.epochs * settings.steps_per_epoch
        self.compile_pending = should_compile(
            settings.compile, steps, self.device, distributed.world
        )
        self.graphed = graphed_step(
            settings.cuda_graph, settings.epoch_key, self.device, distributed.world
        )
        self.history = History(settings.steps_per_epoch, CHECK_EVERY.get(self.device.type, 1))
        self.step = 0  # gradient steps taken
        self.epoch = 0  # epochs trained and validated
        self.best: dict[str, Any] = {}  # epoch, metrics and weights of the best validation
        self._seconds, self._since = 0.0, time.monotonic()  # as of the last `state_dict`

    @property
    def steps(self) -> int:
        """Gradient steps of the whole run."""
        return self.settings.epochs * self.settings.steps_per_epoch

    @property
    def epoch_begin(self) -> int:
        """Gradient steps before the current epoch."""
        return self.epoch * self.settings.steps_per_epoch

    def compile(self, batch: HandBatch) -> None:
        """Compile the network for such batches, or go on without; no step is taken."""
        self.compile_pending = False

        def trial(network: nn.Module) -> None:
            self._single.use_network(network)
            terms = self._single(batch, self.epoch)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]

        self._single.use_network(compiled_if_it_works(self.model, trial))

    def end_epoch(self, validate: Callable[[nn.Module], Scalars]) -> None:
        """Validate, record the metrics in the history, and keep the weights if they are the best.

        Raises:
            FitError: a loss or a metric is not finite, or the epoch had too few batches.
        """
        settings = self.settings
        if (taken := self.step - self.epoch_begin) != settings.steps_per_epoch:
            raise FitError(
                f"epoch {self.epoch + 1} had {taken} batches instead of "
                f"{settings.steps_per_epoch}: the shards do not hold what their index says; run "
                "`dvc repro -f shard`"
            )
        self.history.check()  # validating weights that are not finite would only confuse
        model = self.model if self.average is None else self.average.module
        self.distributed.broadcast_state(model)
        metrics = validate(model)
        self.epoch += 1
        if bad := {name: value for name, value in metrics.items() if not math.isfinite(value)}:
            raise FitError(
                f"validation after epoch {self.epoch}: {bad} cannot be compared; do the "
                "validation samples carry the annotations that these metrics need?"
            )
        self.history.end_row(metrics)
        if not self.best or settings.better(metrics, self.best["metrics"]):
            weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            self.best = {"epoch": self.epoch, "metrics": metrics, "weights": weights}

    def finish(self) -> Fitted:
        """Load the best weights into the model."""
        self.model.load_state_dict(self.best["weights"])
        return Fitted(self.history.rows, self.best["epoch"], self.best["metrics"], self._seconds)

    def state_dict(self) -> dict[str, Any]:
        """All of it as tensors and plain values.

        Raises:
            FitError: the last steps were not finite, so this state must not be saved.
        """
        now = time.monotonic()
        self._seconds, self._since = self._seconds + now - self._since, now
        return {
            "history": self.history.state_dict(),
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
            "loss": None if self.learned_loss is None else self.learned_loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "best": self.best,
            "seconds": self._seconds,
            "rng": rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where `state_dict` was called, the random generators included."""
        self.history.load_state_dict(state["history"])
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        if self.learned_loss is not None:
            self.learned_loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.epoch, self.best = state["step"], state["epoch"], state["best"]
        self._seconds, self._since = state["seconds"], time.monotonic()
        set_rng_state(state["rng"])


class ProgressLog:
    """Progress lines with rate and time left."""

    def __init__(self, state: TrainingState) -> None:
        """Rates count the steps that this process takes from now on."""
        self._state = state
        self._images, self._steps = 0, 0
        self._started = self._logged = time.monotonic()

    def step(self, images: int) -> None:
        """Count a step; log a line every `LOG_EVERY_S` seconds."""
        self._images += images
        self._steps += 1
        now, state = time.monotonic(), self._state
        if now - self._logged < LOG_EVERY_S:
            return
        self._logged = now
        seconds = now - self._started
        logger.info(
            "epoch %d/%d, step %d/%d, %.0f images/s, %.0f s left, loss %.4g",
            state.epoch + 1,
            state.settings.epochs,
            state.step,
            state.steps,
            state.distributed.world * self._images / seconds,
            (state.steps - state.step) * seconds / self._steps,
            state.history.loss,
        )
