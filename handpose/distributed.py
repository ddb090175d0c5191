"""The processes of a training: one, or several that share each batch among them.

All of them read the same global batches in the same order and decode their own slice of each, so
that several processes take the steps of one. What a loss divides by is counted over the whole batch
(`count`), and the gradients are averaged by torch's DistributedDataParallel. torchrun starts them
(`stages/fitting/launch.py`); without it there is one, `SINGLE_PROCESS`, for which every method does
nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from handpose.errors import HandPoseError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives them up."""

REPORT_GRACE_S = 60.0
"""Seconds that a process which lost the others leaves torchrun to report why, and to end it."""


class DistributedError(HandPoseError):
    """The processes of a training cannot work together."""


@dataclass(frozen=True)
class Distributed:
    """One process alone; `DistributedGroup` is what several have in place of it."""

    rank: int = 0
    world: int = 1  # number of processes

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process tells, saves and writes."""
        return self.rank == 0

    def slice(self, batch: list[T]) -> list[T]:
        """This process's part of a batch; the parts differ in length by one at most."""
        begin, end = (len(batch) * r // self.world for r in (self.rank, self.rank + 1))
        return batch[begin:end]

    def round_robin(self, batches: Iterable[T]) -> Iterator[T]:
        """Whole batches, dealt out in turn."""
        return islice(batches, self.rank, None, self.world)

    def count(self, mask: Tensor) -> Tensor:
        """What a mean over the true entries of a mask divides by: their number, at least 1."""
        return mask.sum().clamp(min=1)

    def mean(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each term's mean over the processes, to be told."""
        return terms

    def all_reduce_max(self, number: int) -> int:
        """The greatest of every process's numbers."""
        return number

    def run_on_rank_zero(self, function: Callable[[], T]) -> T:
        """What the function gives the first process; an error of the user's is everybody's."""
        return function()

    def gather(self, results: list[T]) -> list[T]:
        """The results of all processes, in the order in which `round_robin` dealt the batches."""
        return results

    def replicate(self, model: nn.Module) -> nn.Module:
        """What to call in its place, so that every process gets the mean gradient.

        Its output is a dict of tensors that all take part in the loss.
        """
        return model

    def broadcast_state(self, model: nn.Module) -> None:
        """Give every process the first one's weights and batch statistics."""

    def seed_step(self, seed: int, step: int) -> None:
        """Give each process random numbers of its own for this step (dropout)."""


SINGLE_PROCESS = Distributed()


@dataclass(frozen=True)
class DistributedGroup(Distributed):
    """Several processes that torch.distributed has joined."""

    control: dist.ProcessGroup | None = dataclasses.field(default=None, repr=False)
    # over the CPU, so that agreeing on something never waits for a GPU

    def count(self, mask: Tensor) -> Tensor:
        """The same of the whole batch, per process: the mean of the slices' losses is its loss."""
        number = mask.sum()
        dist.all_reduce(number)
        return number.clamp(min=1) / self.world

    def mean(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """One message for all of them."""
        values = torch.stack([term.detach() for term in terms.values()])  # (terms,)
        dist.all_reduce(values)
        return dict(zip(terms, values / self.world, strict=True))

    def all_reduce_max(self, number: int) -> int:
        """Every process waits here for the slowest."""
        found = torch.tensor(int(number))  # a bool is a number too
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.control)
        return int(found)

    def run_on_rank_zero(self, function: Callable[[], T]) -> T:
        """Its result is sent to the others, so that these need not read the same disk."""
        done: list[Any] = [None]
        if self.is_rank_zero:
            try:
                done = [function()]
            except HandPoseError as error:
                done = [error]
        dist.broadcast_object_list(done, group=self.control)
        if isinstance(done[0], HandPoseError):
            raise done[0]
        result: T = done[0]
        return result

    def gather(self, results: list[T]) -> list[T]:
        """Everybody gets all; some may have had a batch less, or none."""
        everybody: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(everybody, results, group=self.control)
        turns = range(max(map(len, everybody)))
        return [part[turn] for turn in turns for part in everybody if turn < len(part)]

    def replicate(self, model: nn.Module) -> nn.Module:
        """DistributedDataParallel; on GPUs, batch statistics are those of the whole batch."""
        device = next(model.parameters()).device
        if device.type == "cuda":
            synchronize_batch_norms(model)
        return nn.parallel.DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            forward_sync_buffers=False,  # training looks at none of them; see `broadcast_state`
            static_graph=True,  # finds the weights without a gradient, and leaves them without
        )

    def broadcast_state(self, model: nn.Module) -> None:
        """Weights are the same already; on a CPU batch statistics are of the process's slices."""
        for value in model.state_dict().values():
            dist.broadcast(value, src=0)

    def seed_step(self, seed: int, step: int) -> None:
        """A function of seed, step and rank: a resumed run draws the same."""
        words = np.random.SeedSequence((seed, step, self.rank)).generate_state(2)
        torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def synchronize_batch_norms(model: nn.Module) -> None:
    """Make the batch norms that are trained synchronous, in place; frozen ones stay as they are."""
    synchronous: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d) and child.weight.requires_grad:
                setattr(parent, name, synchronous(child))


def is_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def local_rank() -> tuple[int, int]:
    """Number of this process among those on this machine, and how many those are."""
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Distributed]:
    """The processes that torchrun started, joined while the context lasts; else `SINGLE_PROCESS`.

    Raises:
        DistributedError: another process ended, and torchrun has not ended this one in a minute.
    """
    if not is_torchrun():
        yield SINGLE_PROCESS
        return
    end_with_parent()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    control: Any = dist.new_group(backend="gloo", timeout=TIMEOUT)
    try:
        yield DistributedGroup(dist.get_rank(), dist.get_world_size(), control)
    except SystemExit:  # a stop, after which all of them leave at the same step
        dist.destroy_process_group()
        raise
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        time.sleep(REPORT_GRACE_S)  # whoever ended first is to be reported first
        raise DistributedError(
            "the other processes of this training are gone; see above why"
        ) from error
    else:
        dist.destroy_process_group()


def _is_loss(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def end_with_parent() -> None:
    """Ask this process to end (SIGTERM) soon after the one that started it has, even by kill -9."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
