"""Calls in other processes: started once, used for every batch of a training, never left behind."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import handpose
from handpose.data.processes import batch_server
from handpose.data.processes.batch_server import SIGNALLED, Failure, Request
from handpose.data.processes.tensor_message import ConnectionEnded, Received, receive, send
from handpose.errors import HandPoseError
from handpose.stop_signal import explain

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",  # no worker can take memory of a GPU
}

MAIN = f"from {batch_server.__name__} import main; main()"
"""With `python -m` the classes of that module would be those of `__main__`."""

PARENT_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
"""Blocked in the workers: terminals and batch systems send them to every process of a job, and the
parent still needs batches to finish its step. Workers end when the parent does."""

EXIT_S = 10.0
"""How long workers may take to end: each finishes its batch first."""


class BatchProcessError(HandPoseError):
    """One of the processes was killed, or could not start."""


class RemoteTraceback(Exception):  # as concurrent.futures has it
    """The cause of an exception that was raised in a worker: its traceback there, as text."""


class BatchProcesses:
    """Worker processes, started by the first call."""

    def __init__(self, count: int, key: str = "") -> None:
        """`count` of them; `key` of that number in `params.yaml`, for messages."""
        self.count = count
        self._key = key
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._connections: list[socket.socket] = []
        self._idle: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()

    def calling(
        self, function: Callable[[Any], Any], *, pinned: bool = False
    ) -> Callable[[Any], Received]:
        """The function as called by the next idle worker; it is pickled here, once.

        `pinned` receives the tensors of its results in pinned memory.
        """
        return partial(self._call, pickle.dumps(function), pinned)

    def _call(self, function: bytes, pinned: bool, argument: Any) -> Received:
        """The result of a pickled function of one argument.

        Raises:
            BatchProcessError: a worker was killed.
            Exception: that of the function.
        """
        with self._lock:
            if self._server is None:
                self._server = self._start()
            idle = self._idle
        connection = idle.get()
        try:
            send(connection, Request(function, argument))
            received = receive(connection, pinned=pinned)
        except ConnectionEnded:
            raise BatchProcessError(self._reason()) from None
        except BaseException:  # what is left of the answer would be taken for the next one
            _shut(connection)
            raise
        finally:
            idle.put(connection)
        if not received.table and isinstance(failure := received.on("cpu"), Failure):
            raise failure.error from RemoteTraceback(f"\n{failure.traceback}")
        return received

    def _start(self) -> subprocess.Popen[bytes]:
        self._idle = queue.SimpleQueue()  # calls that wait since `close` find those of then, shut
        pairs = [socket.socketpair() for _ in range(self.count)]
        theirs = [other.fileno() for _, other in pairs]
        root = str(Path(handpose.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        # Python 3.12 warns of a fork if a library has a thread; these are forked before any work
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", MAIN]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)  # children inherit it
        try:
            server = subprocess.Popen(
                [*command, *map(str, theirs)],
                pass_fds=theirs,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for ours, other in pairs:
            other.close()
            self._connections.append(ours)
            self._idle.put(ours)
        return server

    def _reason(self) -> str:
        """Why a connection ended."""
        who = f"one of {self.count} processes that make batches"
        try:
            code = self._server.wait(EXIT_S) if self._server is not None else 0
        except subprocess.TimeoutExpired:
            code = 0
        if code > SIGNALLED or code < 0:
            cause = f"was ended by {explain(code - SIGNALLED if code > 0 else -code, self._key)}"
        elif code:
            cause = f"ended with exit code {code}; its own error is above"
        else:
            cause = "ended without a reason"
        return f"{who} {cause}. Run again: a training resumes from its last checkpoint"

    def close(self) -> None:
        """End the workers and wait for them; the next call would start others."""
        with self._lock:
            server, self._server = self._server, None
            connections, self._connections = self._connections, []
        for connection in connections:
            _shut(connection)
        if server is not None:
            try:
                server.wait(EXIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _shut(connection: socket.socket) -> None:
    """Close both directions, so that a thread that waits for an answer wakes up."""
    with contextlib.suppress(OSError):  # the other side is gone
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
