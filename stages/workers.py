"""Worker processes of a door: few tasks ahead, results in their order, no life without the door."""

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
"""Tasks per worker that are handed out before the first result is taken."""


def in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """The function's result for every task, in the order of the tasks.

    Workers are fresh processes (a forked one would inherit OpenCV's and Arrow's thread pools dead),
    with one thread each; a single worker is this process.

    Args:
        function: of a module's top level, so that it can be sent.
        tasks: taken only as they are needed, since each may be large.
        workers: number of processes.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    os.environ |= ONE_THREAD  # read by the workers' libraries when they are imported
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, initializer=_settle)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


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
