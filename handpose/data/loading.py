"""Makes batches on demand, or ahead of time in threads.

Threads and not processes: decoding and warping release the GIL, nothing has to be copied or sent,
and no process can outlive the training. Either way the batches come in the same order with the
same augmentation, so a run may be resumed with another setting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

import torch

from handpose.data.preprocess import Preprocessor
from handpose.data.tar import EncodedSample
from handpose.sample import HandBatch

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_THREADS = 8
"""More do not help: the Python code of each sample holds the GIL."""

AHEAD = 2
"""Batches per thread that are started before they are requested."""


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Loading:
    """How many threads make the batches, and the device of the batches."""

    threads: int = 0  # that make batches ahead of time; 0: each is made on demand
    device: torch.device = CPU  # images are warped on a CUDA device

    @classmethod
    def on(cls, device: torch.device, processes: int = 1) -> Loading:
        """The default for a device: threads for a GPU, none on a CPU, where training uses them all.

        `processes` training processes on this machine share its cores.
        """
        if device.type != "cuda":
            return HERE
        cores = (os.cpu_count() or 1) // processes
        return cls(max(1, min(cores - 1, MOST_THREADS)), device)

    def batches(
        self, tasks: Iterator[list[EncodedSample]], preprocessor: Preprocessor
    ) -> Iterator[HandBatch]:
        """A batch of each list of stored samples, in their order."""
        if self.device.type != "cuda":
            return self._made(preprocessor.batch, tasks)
        unwarped = self._made(lambda encoded: preprocessor.unwarped_batch(encoded).pinned(), tasks)
        return (batch.on(self.device) for batch in unwarped)

    def _made(self, function: Callable[[Task], Result], tasks: Iterator[Task]) -> Iterator[Result]:
        return ahead(function, tasks, self.threads) if self.threads else map(function, tasks)


HERE = Loading()


def ahead(
    function: Callable[[Task], Result], tasks: Iterator[Task], threads: int
) -> Generator[Result, None, None]:
    """The function's result for every task, in order, computed ahead of time by threads.

    A separate thread reads the tasks, since that takes time too. An exception, of the function or
    of the tasks, is raised when its result is due, and ends the iteration.
    """
    begun: SimpleQueue[Future[Result] | None] = SimpleQueue()
    room = threading.Semaphore(AHEAD * threads)
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
