"""Where batches are made: when they are asked for, or ahead of that by other threads.

Threads and not processes: decoding and warping run outside of Python's lock, nothing has to be
copied or sent, and no process can outlive the training. Whatever is chosen, the batches come in
the same order with the same moves, so a run may be resumed with another choice.
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
"""More do not help: what Python does for each sample takes turns."""

AHEAD = 2
"""Batches per thread that are begun before they are asked for."""


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Loading:
    """Who makes the batches, and on which device they arrive."""

    threads: int = 0  # that make batches ahead; 0: each is made when it is asked for
    device: torch.device = CPU  # a CUDA device warps the images itself

    @classmethod
    def on(cls, device: torch.device, processes: int = 1) -> Loading:
        """What suits a device: a GPU must not wait; on a CPU, training needs every core itself.

        `processes` on this machine share its cores.
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
    """The function's result for every task in their order, made by threads before it is asked for.

    The tasks are taken by a thread of their own, since reading them takes time too. An exception,
    of the function or of the tasks, comes in the place of its result, and ends the rest.
    """
    begun: SimpleQueue[Future[Result] | None] = SimpleQueue()
    room = threading.Semaphore(AHEAD * threads)
    left = threading.Event()  # nobody asks for more

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
