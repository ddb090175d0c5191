"""Makes batches on demand, or ahead of time in threads or processes.

A CPU trains with all its cores, so batches are made on demand. A GPU leaves the cores idle, and
needs more images than threads can make, because their Python code takes turns. Either way the
batches come in the same order with the same augmentation, so a run may be resumed with another
setting. docs/choices.md compares with torch's DataLoader.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

import torch

from handpose.cores import usable_cores
from handpose.data.preprocess import Preprocessor
from handpose.data.processes.batch_processes import BatchProcesses
from handpose.data.tar import EncodedSample
from handpose.sample import HandBatch

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_THREADS = 8
"""More do not help: the Python code of each sample holds the GIL."""

MOST_PROCESSES = 12
"""By arithmetic 19,000 images of 256 px a second (604 us each, bench/README.md), not measured; each
more costs the memory of two batches."""

AHEAD = 2
"""Batches per thread or process that are started before they are requested."""

AUTOMATIC = -1

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Loading:
    """What makes the batches, and their device; as a context manager, it ends the processes."""

    threads: int = 0  # that make batches ahead of time; 0: each is made on demand
    device: torch.device = CPU  # images are warped on a CUDA device
    processes: BatchProcesses | None = None  # that make them ahead of time, instead of threads

    @classmethod
    def on(
        cls, device: torch.device, sharing: int = 1, workers: int = AUTOMATIC, key: str = ""
    ) -> Loading:
        """How to load for a device.

        Args:
            device: of the batches.
            sharing: training processes on this machine, which share its cores.
            workers: processes that make batches; 0: none, but threads for a GPU; `AUTOMATIC`: for a
                GPU this training process's share of the cores, less one for itself, and at most
                `MOST_PROCESSES`; none for a CPU.
            key: of `workers` in `params.yaml`, for messages.
        """
        on_gpu = device.type == "cuda"
        spare = usable_cores() // sharing - 1 if on_gpu else 0
        if workers == AUTOMATIC:
            workers = min(spare, MOST_PROCESSES)
        if workers > 0:
            return cls(0, device, BatchProcesses(workers, key))
        return cls(max(1, min(spare, MOST_THREADS)) if on_gpu else 0, device)

    def __enter__(self) -> Loading:
        """Nothing starts before the first batch is requested."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        if self.processes is not None:
            self.processes.close()

    def batches(
        self, tasks: Iterator[list[EncodedSample]], preprocessor: Preprocessor
    ) -> Iterator[HandBatch]:
        """A batch of each list of stored samples, in their order."""
        on_gpu = self.device.type == "cuda"
        if self.processes is not None:
            function = preprocessor.unwarped_batch if on_gpu else preprocessor.batch
            threads = AHEAD * self.processes.count  # they wait for the processes
            calls = ahead(self.processes.calling(function, pinned=on_gpu), tasks, threads, threads)
            made = (received.on(self.device) for received in calls)
            return (batch.on(self.device) for batch in made) if on_gpu else made
        if not on_gpu:
            return self._made(preprocessor.batch, tasks)
        unwarped = self._made(lambda encoded: preprocessor.unwarped_batch(encoded).pinned(), tasks)
        return (batch.on(self.device) for batch in unwarped)

    def _made(self, function: Callable[[Task], Result], tasks: Iterator[Task]) -> Iterator[Result]:
        return ahead(function, tasks, self.threads) if self.threads else map(function, tasks)


HERE = Loading()


def ahead(
    function: Callable[[Task], Result], tasks: Iterator[Task], threads: int, most: int | None = None
) -> Generator[Result, None, None]:
    """The function's result for every task, in order, computed ahead of time by threads.

    A separate thread reads the tasks, since that takes time too. An exception, of the function or
    of the tasks, is raised when its result is due, and ends the iteration. `most` tasks are begun
    before their results are requested; the default is `AHEAD` per thread.
    """
    begun: SimpleQueue[Future[Result] | None] = SimpleQueue()
    room = threading.Semaphore(most or AHEAD * threads)
    left = threading.Event()  # the consumer has stopped

    def feed(pool: ThreadPoolExecutor) -> None:
        try:
            for task in tasks:
                room.acquire()
                if left.is_set():
                    return
                begun.put(pool.submit(function, task))
            begun.put(None)
        except BaseException as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            begun.put(failed)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="batch")
    feeder = threading.Thread(target=feed, args=(pool,), name="samples", daemon=True)
    feeder.start()
    try:
        while (batch := begun.get()) is not None:
            yield batch.result()
            room.release()
    finally:
        left.set()
        room.release()
        feeder.join()
        pool.shutdown(cancel_futures=True)
