"""Worker processes of a stage: bounded queue, results in order, none outlives the stage."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

import cv2

Task = TypeVar("Task")
Result = TypeVar("Result")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
AHEAD = 4
"""Tasks per worker that are submitted before the first result is taken."""


def in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """The function's result for every task, in the order of the tasks.

    Workers are spawned (a forked process would inherit the thread pools of OpenCV and Arrow without
    their threads) and have one thread each; a single worker is this process.

    Args:
        function: defined at the top level of a module, so that it can be pickled.
        tasks: consumed only as they are needed, since each may be large.
        workers: number of processes; 1: this process.
    """
    if workers == 1:
        yield from map(function, tasks)
    else:
        os.environ |= ONE_THREAD  # read by the workers' libraries when they are imported
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, spawn, initializer=_initialise)
        try:
            yield from _in_order(pool, function, tasks, workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(pool.submit(function, task))
        if len(waiting) >= AHEAD * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _initialise() -> None:
    """One thread; the stage handles Ctrl-C, and the worker ends when the stage does."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit with the parent; a worker would otherwise wait for ever after the stage was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
