"""Workers of a door: few tasks ahead, results in their order, no process outlives the door.

They are processes of this machine, or those of a Dask cluster on many.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2

from stages.sharding.cluster import at, cluster

Task = TypeVar("Task")
Result = TypeVar("Result")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
AHEAD = 4
"""Tasks per worker that are handed out before the first result is taken."""


def in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, scheduler: str = ""
) -> Iterator[Result]:
    """The function's result for every task, in the order of the tasks.

    Workers are fresh processes (a forked one would inherit OpenCV's and Arrow's thread pools dead),
    with one thread each; a single worker is this process.

    Args:
        function: of a module's top level, so that it can be sent.
        tasks: taken only as they are needed, since each may be large.
        workers: number of processes.
        scheduler: address of a Dask scheduler, whose workers do it in place of processes here.

    Raises:
        ClusterError: there is no cluster at this address, or it is lost.
    """
    if scheduler:
        with cluster(scheduler) as (executor, slots):
            yield from _in_order(executor, partial(at, Path.cwd(), function), tasks, slots)
    elif workers == 1:
        yield from map(function, tasks)
    else:
        os.environ |= ONE_THREAD  # read by the workers' libraries when they are imported
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, spawn, initializer=_settle)
        try:
            yield from _in_order(pool, function, tasks, workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    executor: Executor, function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(executor.submit(function, task))
        if len(waiting) >= AHEAD * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _settle() -> None:
    """One thread, Ctrl-C left to the door, and an end when the door ends."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker would wait for its next task for ever if the door were killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
