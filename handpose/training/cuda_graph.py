"""The device's part of a training step as one CUDA graph: captured once, replayed every step.

Launching the kernels of a step one by one takes the host longer than a GPU needs to run them
(docs/gpu.md). A graph holds all of them, with the addresses of all tensors, and is launched as one.
Hence its rules: every batch is copied into the same tensors, nothing in it may ask the host
anything, and what Python decided during the capture stays as it was.

**Random numbers.** torch's generator counts what a replay draws exactly as it counts an eager step,
so that dropout goes on changing from step to step, a checkpoint's state of the generators is that
of the next step, and a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from handpose.sample import HandBatch
from handpose.training.history import FitError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Update: TypeAlias = Callable[[HandBatch, int], dict[str, Tensor]]
"""(batch on the device, epoch) -> scalars on the device; it may ask nothing of the host."""

Automatic: TypeAlias = Literal["auto", True, False]
"""Whether to do something: yes, no, or where it pays."""

WARM_UP_STEPS = 3
"""Eager steps before the capture: they choose algorithms and allocate what lasts."""


class Recorder(Protocol):
    """What captures; `CudaRecorder`, or a stand-in for tests without a GPU."""

    def run(self, function: Callable[[], T]) -> T:
        """The function's result, run as usual, but where it will be captured."""

    def capture(self, function: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """The function's replay, and its result, which every replay overwrites.

        The function changes nothing while it is captured. Raises RuntimeError where it cannot be,
        after which everything is as before.
        """


class CudaRecorder:
    """torch's CUDA graphs, on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        """On this GPU, whose default stream the training uses."""
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, function: Callable[[], T]) -> T:
        """See `Recorder`: here on the stream of the capture."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = function()
        current.wait_stream(self._stream)
        return result

    def capture(self, function: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        generator = torch.cuda.default_generators[current.device.index]
        before = generator.clone_state()
        failure: RuntimeError | None = None
        try:
            # threads that load data may allocate pinned memory meanwhile: the mode lets them
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                try:
                    result = function()
                except RuntimeError as error:
                    failure = error  # ending the capture raises another, which says less
                    raise
        except RuntimeError as error:
            torch.cuda.set_stream(current)
            generator.graphsafe_set_state(before)  # else it waits for the end of the capture
            raise failure or error from None
        return graph.replay, result


@dataclass(frozen=True)
class Captured:
    """A step that can be replayed."""

    replay: Callable[[], None]
    scalars: dict[str, Tensor]  # of the last replay
    key: object  # what Python decided in it


class GraphedStep:
    """Runs updates: the first few eagerly, as real steps, then as a graph.

    A batch of another shape than the first, and every batch once a capture has failed, is an eager
    step. Neither a warm-up nor a capture changes what a run learns.
    """

    def __init__(
        self, device: torch.device, key: Callable[[int], object], recorder: Recorder
    ) -> None:
        """Nothing is captured yet.

        Args:
            device: of the network.
            key: epoch -> what an update does differently in it; where that changes, the step is
                captured anew.
            recorder: what captures.
        """
        self._device, self._key, self._recorder = device, key, recorder
        self._warm_ups = 0
        self._inputs: HandBatch | None = None  # what a graph reads
        self._captured: Captured | None = None
        self._failed = False

    def __call__(self, update: Update, batch: HandBatch, epoch: int) -> dict[str, Tensor]:
        """The scalars of an update with this batch, on whatever device; valid until the next."""
        if self._inputs is None:
            self._inputs = _room_for(batch, self._device)
        if self._failed or not _fits(batch, self._inputs):
            return update(batch.to(self._device), epoch)
        if self._warm_ups < WARM_UP_STEPS:
            self._warm_ups += 1
            on_device = batch.to(self._device)
            return self._recorder.run(lambda: update(on_device, epoch))
        for name in _names():
            getattr(self._inputs, name).copy_(getattr(batch, name), non_blocking=True)
        if self._captured is None or self._captured.key != self._key(epoch):
            self._capture(update, self._inputs, epoch)
        if self._captured is None:
            return update(self._inputs, epoch)
        self._captured.replay()
        return self._captured.scalars

    def _capture(self, update: Update, inputs: HandBatch, epoch: int) -> None:
        """Capture an update, or see to it that all further ones are eager."""
        first, self._captured = self._captured is None, None  # frees the old graph's memory
        begun = time.monotonic()
        try:
            replay, scalars = self._recorder.capture(lambda: update(inputs, epoch))
        except RuntimeError as error:
            self._failed = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            logger.info(
                "the training step cannot be captured as a CUDA graph (%s); training continues "
                "without one, slower, with the same results. cuda_graph: false omits the attempt",
                reason,
            )
            return
        self._captured = Captured(replay, scalars, self._key(epoch))
        if first:
            logger.info(
                "the training step is a CUDA graph, captured in %.1f s", time.monotonic() - begun
            )


def graphed_step(
    wanted: Automatic, key: Callable[[int], object], device: torch.device, processes: int
) -> GraphedStep | None:
    """What captures the steps of a training, or None for eager steps.

    Args:
        wanted: yes, no, or where it can be: in one process on a GPU.
        key: see `GraphedStep`.
        device: that the training runs on.
        processes: that share it.

    Raises:
        FitError: it is wanted where it cannot be.
    """
    if not wanted:
        return None
    if device.type == "cuda" and processes == 1:
        return GraphedStep(device, key, CudaRecorder(device))
    if wanted != "auto":
        found = "several processes" if device.type == "cuda" else "the CPU"
        raise FitError(
            f"cuda_graph is true, but this training is one of {found}, and a CUDA graph needs one "
            "process on an NVIDIA GPU. Set cuda_graph to auto, which uses one where it can"
        )
    if device.type == "cuda":
        logger.info("several processes: the step is not captured as a CUDA graph")
    return None


def _names() -> list[str]:
    return [field.name for field in fields(HandBatch)]


def _fits(batch: HandBatch, inputs: HandBatch) -> bool:
    pairs = ((getattr(batch, name), getattr(inputs, name)) for name in _names())
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def _room_for(batch: HandBatch, device: torch.device) -> HandBatch:
    """Tensors on the device that such batches can be copied to."""
    tensors = {name: getattr(batch, name) for name in _names()}
    return HandBatch(**{n: torch.empty_like(t, device=device) for n, t in tensors.items()})
