"""The processes of a training: one, or several that share each batch.

All of them iterate over the same global batches in the same order and decode their own slice of
each, so that several processes take the same steps as one. The denominators of a loss are counted
over the whole batch (`count`), and torch's DistributedDataParallel averages the gradients. torchrun
starts the processes (`stages/training/launch.py`); without it there is one, `SINGLE_PROCESS`, for
which every method is the identity.
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

Count = Callable[[Tensor], Tensor]
"""(mask) -> what a mean over its true entries divides by."""

TIMEOUT = timedelta(minutes=10)
"""How long a collective operation waits for the other processes before it fails."""

LAUNCHER = "HANDPOSE_LAUNCHER"
"""Environment variable with the number of the process that starts those of a training."""

REPORT_GRACE_S = 60.0
"""Seconds for torchrun to report the failed process and end this one, before this one raises."""


class DistributedError(HandPoseError):
    """A training lost some of its processes."""


@dataclass(frozen=True)
class Distributed:
    """A single process; several have a `DistributedGroup` instead."""

    rank: int = 0
    world: int = 1  # number of processes

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process logs, saves checkpoints and writes results."""
        return self.rank == 0

    def slice(self, batch: list[T]) -> list[T]:
        """This process's slice of a batch; slices differ in length by one at most."""
        begin, end = (len(batch) * r // self.world for r in (self.rank, self.rank + 1))
        return batch[begin:end]

    def round_robin(self, batches: Iterable[T]) -> Iterator[T]:
        """This process's share of whole batches: every `world`-th of them."""
        return islice(batches, self.rank, None, self.world)

    def count(self, mask: Tensor) -> Tensor:
        """The denominator of a mean over the true entries of a mask: their number, at least 1."""
        return mask.sum().clamp(min=1)

    def mean(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each term's mean over the processes, for the log."""
        return terms

    def all_reduce_max(self, number: int) -> int:
        """The maximum of the processes' numbers."""
        return number

    def run_on_rank_zero(self, function: Callable[[], T]) -> T:
        """The function's result on rank 0; a `HandPoseError` there is raised in every process."""
        return function()

    def gather(self, results: list[T]) -> list[T]:
        """The results of all processes, in the order of the batches before `round_robin`."""
        return results

    def replicate(self, model: nn.Module) -> nn.Module:
        """The module to call instead of this one, so that every process gets the mean gradient.

        The module's output must be a dict of tensors that are all part of the loss.
        """
        return model

    def broadcast_state(self, model: nn.Module) -> None:
        """Copy rank 0's weights and batch statistics to every process."""

    def seed_step(self, seed: int, step: int) -> None:
        """Seed torch with a number of this step and process, for dropout."""


SINGLE_PROCESS = Distributed()


@dataclass(frozen=True)
class DistributedGroup(Distributed):
    """Several processes, in a process group of torch.distributed."""

    control: dist.ProcessGroup | None = dataclasses.field(default=None, repr=False)
    # gloo: agreeing on a signal or a checkpoint never waits for a GPU

    def count(self, mask: Tensor) -> Tensor:
        """That of the whole batch per process: the mean of the slices' losses is the batch's."""
        number = mask.sum()
        dist.all_reduce(number)
        return number.clamp(min=1) / self.world

    def mean(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """All terms in one all-reduce."""
        values = torch.stack([term.detach() for term in terms.values()])  # (terms,)
        dist.all_reduce(values)
        return dict(zip(terms, values / self.world, strict=True))

    def all_reduce_max(self, number: int) -> int:
        """Every process waits here for the slowest."""
        maximum = torch.tensor(int(number))  # it may be a bool
        dist.all_reduce(maximum, dist.ReduceOp.MAX, group=self.control)
        return int(maximum)

    def run_on_rank_zero(self, function: Callable[[], T]) -> T:
        """The result is broadcast, so that the others need not see the same disk."""
        outcome: list[Any] = [None]
        if self.is_rank_zero:
            try:
                outcome = [function()]
            except HandPoseError as error:
                outcome = [error]
        dist.broadcast_object_list(outcome, group=self.control)
        if isinstance(outcome[0], HandPoseError):
            raise outcome[0]
        result: T = outcome[0]
        return result

    def gather(self, results: list[T]) -> list[T]:
        """Every process gets all of them; the last round may not reach every process."""
        by_rank: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(by_rank, results, group=self.control)
        rounds = range(max(map(len, by_rank)))
        return [part[i] for i in rounds for part in by_rank if i < len(part)]

    def replicate(self, model: nn.Module) -> nn.Module:
        """DistributedDataParallel; on GPUs with batch statistics of the whole batch."""
        device = next(model.parameters()).device
        if device.type == "cuda":
            synchronize_batch_norms(model)
        return nn.parallel.DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            forward_sync_buffers=False,  # training reads no buffer; see `broadcast_state`
            static_graph=True,  # allows weights that get no gradient
        )

    def broadcast_state(self, model: nn.Module) -> None:
        """Weights are equal already; on a CPU the batch statistics are of the process's slices."""
        for value in model.state_dict().values():
            dist.broadcast(value, src=0)

    def seed_step(self, seed: int, step: int) -> None:
        """A function of seed, step and rank, so that a resumed run draws the same numbers."""
        words = np.random.SeedSequence((seed, step, self.rank)).generate_state(2)
        torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def synchronize_batch_norms(model: nn.Module) -> None:
    """Convert trained batch norms to synchronous ones, in place; frozen ones are left alone."""
    synchronous: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d) and child.weight.requires_grad:
                setattr(parent, name, synchronous(child))


def is_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def local_rank() -> tuple[int, int]:
    """Rank of this process among those on this machine, and their number."""
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Distributed]:
    """The process group of torchrun's processes while the context lasts; else `SINGLE_PROCESS`.

    Raises:
        DistributedError: another process ended, and torchrun did not end this one within
            `REPORT_GRACE_S`.
    """
    if not is_torchrun():
        yield SINGLE_PROCESS
        return
    end_with_parent()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    control: Any = dist.new_group(backend="gloo", timeout=TIMEOUT)
    try:
        yield DistributedGroup(dist.get_rank(), dist.get_world_size(), control)
    except SystemExit:  # a signal, on which all of them exit at the same step
        dist.destroy_process_group()
        raise
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        time.sleep(REPORT_GRACE_S)  # the process that failed first should be reported first
        raise DistributedError(
            "the other processes of this training are gone; see above for the reason"
        ) from error
    else:
        dist.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def end_with_parent() -> None:
    """Send this process SIGTERM soon after its parent has ended, even by kill -9.

    The parent may have ended already, while this process imported torch: `LAUNCHER` names it.
    """
    parent = int(os.environ.get(LAUNCHER, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
