"""What the processes run: `main`, with the descriptor of a socket for each worker as arguments.

The server imports what making a batch needs, forks a worker for each descriptor of a socket, and
waits for them; forked, they share the 300 MB that torch's import takes. A worker answers requests
until the other end of its socket is closed, which also happens when the process there is killed.
No file, no named memory and no semaphore is used, so that nothing can be left behind.
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import cv2
import torch

from handpose.data import preprocess  # noqa: F401  # imported once, before the workers are forked
from handpose.data.processes.tensor_message import ConnectionEnded, receive, send

SIGNALLED = 128
"""Plus the number of the signal that ended a worker: the server's exit code, as in a shell."""


class Request(NamedTuple):
    """A call of a function; it is pickled once for many requests."""

    function: bytes
    argument: Any


class Failure(NamedTuple):
    """The call raised an exception."""

    error: Exception
    traceback: str


def main() -> NoReturn:
    """Fork the workers, wait until they end, and exit with the code of the first failure."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    connections = [socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:]]
    workers = set()
    for connection in connections:
        worker = os.fork()
        if not worker:
            for other in connections:
                if other is not connection:  # only one worker must hold each
                    other.close()
            os._exit(run(connection))
        workers.add(worker)
    for connection in connections:
        connection.close()
    os._exit(wait_for(workers))  # at once: torch takes a second to leave


def run(connection: socket.socket) -> int:
    """Serve, and return the exit code."""
    try:
        serve(connection)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def wait_for(workers: set[int]) -> int:
    """Wait for the workers to end; if one fails, end the others and return its exit code."""
    code = 0
    while workers:
        process, status = os.wait()
        workers.discard(process)
        if status and not code:
            ended = os.waitstatus_to_exitcode(status)
            code = SIGNALLED - ended if ended < 0 else ended
            for other in workers:
                os.kill(other, signal.SIGKILL)
    return code


def serve(connection: socket.socket) -> None:
    """Answer requests with the function's result, or with a `Failure`, until there are no more."""
    load: Callable[[bytes], Callable[[Any], Any]] = functools.lru_cache(maxsize=2)(pickle.loads)
    try:
        while True:
            request: Request = receive(connection).on("cpu")
            try:
                result = load(request.function)(request.argument)
            except Exception as error:
                result = Failure(_picklable(error), traceback.format_exc())
            send(connection, result)
    except ConnectionEnded:
        return


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
