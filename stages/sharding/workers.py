"""Worker processes of a stage: bounded queue, results in order, none outlives the stage."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import TypeVar

import cv2

from handpose.errors import HandPoseError
from handpose.stop_signal import explain

Task = TypeVar("Task")
Result = TypeVar("Result")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
AHEAD = 4
"""Tasks per worker that are submitted before the first result is taken."""


class WorkerError(HandPoseError):
    """A worker process was killed."""


def in_order(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    key: str = "",
    *,
    finished: Callable[[Task], None] | None = None,
    size: Callable[[Task], int] | None = None,
) -> Generator[Result, None, None]:
    """The function's result for every task, in the order of the tasks.

    Workers are spawned (a forked process would inherit the thread pools of OpenCV and Arrow without
    their threads) and have one thread each; a single worker is this process. Closing the generator
    ends them at once.

    Args:
        function: defined at the top level of a module, so that it can be pickled.
        tasks: consumed only as they are needed, since each may be large, unless they have a `size`.
        workers: number of processes; 1: this process.
        key: of the number of workers in `params.yaml`, for messages.
        finished: called here with each task that is finished, which may be before its turn.
        size: begin with the largest tasks, so that at the end no worker waits for one of them; all
            tasks are taken at once, and results are kept until it is their turn.

    Raises:
        WorkerError: a worker was killed.
    """
    finished = finished or (lambda _: None)
    if workers == 1:
        for task in tasks:
            result = function(task)
            finished(task)
            yield result
        return
    known = None if size is None else list(tasks)
    if known is not None:
        workers = min(workers, max(1, len(known)))
    os.environ |= ONE_THREAD  # read by the workers' libraries when they are imported
    spawn = multiprocessing.get_context("spawn")
    _start_tracker()
    pool = ProcessPoolExecutor(workers, spawn, initializer=_initialise)
    # All workers start with the first task. By default one starts with each, and when another has
    # died meanwhile, the pool of Python 3.11 waits for ever for the new one.
    pool._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]

    def submit(task: Task) -> Future[Result]:
        future = pool.submit(function, task)
        if pool._broken:  # it broke meanwhile, and may not know of this task
            raise BrokenProcessPool
        return future

    try:
        if size is None or known is None:
            yield from _as_they_come(submit, tasks, AHEAD * workers, finished)
        else:
            yield from _largest_first(submit, known, size, finished)
    except BrokenProcessPool:
        processes = list((pool._processes or {}).values())  # the pool does not say which one died
        for one in processes:
            one.terminate()
        pool.shutdown(cancel_futures=True)  # waits for them all
        raise WorkerError(_death({one.pid: one.exitcode for one in processes}, key)) from None
    except BaseException:
        for one in list((pool._processes or {}).values()):
            one.terminate()  # whoever stopped this does not wait for the tasks at hand
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_tracker() -> None:
    """Start Python's own helper of spawned processes, so that SIGHUP does not end it.

    It ignores SIGTERM and Ctrl-C by itself. A closed terminal would end it before the workers, and
    it would come back with a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # what it starts with, it keeps
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _death(codes: Mapping[int | None, int | None], key: str) -> str:
    """Which worker died of what; `codes` are the exit codes by process.

    The pool ends the others by SIGTERM, so that any other code is of the first to die.
    """
    ended = {pid: code for pid, code in codes.items() if code}
    first = [pid for pid, code in ended.items() if code != -signal.SIGTERM]
    if not ended:
        return "a worker process ended without a reason; run again"
    code = ended[(first or list(ended))[0]] or 0
    who = f"worker process {first[0]}, one of {len(codes)}," if first else "a worker process"
    cause = f"ended with exit code {code}; its own error is above"
    if code < 0:
        cause = f"was ended by {explain(-code, key)}"
    return f"{who} {cause}. Run again: it starts over"


def _as_they_come(
    submit: Callable[[Task], Future[Result]],
    tasks: Iterable[Task],
    ahead: int,
    finished: Callable[[Task], None],
) -> Iterator[Result]:
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    for task in tasks:
        waiting.append((task, submit(task)))
        if len(waiting) >= ahead:
            yield _oldest(waiting, finished)
    while waiting:
        yield _oldest(waiting, finished)


def _oldest(
    waiting: deque[tuple[Task, Future[Result]]], finished: Callable[[Task], None]
) -> Result:
    task, future = waiting.popleft()
    result = future.result()
    finished(task)
    return result


def _largest_first(
    submit: Callable[[Task], Future[Result]],
    tasks: list[Task],
    size: Callable[[Task], int],
    finished: Callable[[Task], None],
) -> Iterator[Result]:
    order = sorted(range(len(tasks)), key=lambda number: -size(tasks[number]))
    running = {submit(tasks[number]): number for number in order}
    early: dict[int, Result] = {}
    due = 0
    for future in as_completed(running):
        number = running.pop(future)
        early[number] = future.result()
        finished(tasks[number])
        while due in early:
            yield early.pop(due)
            due += 1


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
