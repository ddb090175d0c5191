"""Processes: calls and errors cross them, and none is left, however a training ends."""

from __future__ import annotations

import contextlib
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handpose.data.processes import batch_processes
from handpose.data.processes.batch_processes import BatchProcessError, BatchProcesses

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


def parent_of(process: int) -> int:
    """PID of the parent; 0 for a process that is gone, or a zombie."""
    with contextlib.suppress(OSError):
        state, parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
        return int(parent) if state != "Z" else 0
    return 0


def children_of(process: int) -> set[int]:
    numbers = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return {number for number in numbers if parent_of(number) == process}


def workers_of(process: int, count: int) -> set[int]:
    """PIDs of this process's workers, which its server forks, once there are so many."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = {worker for server in children_of(process) for worker in children_of(server)}
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def wait_until_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while alive := {one for one in processes if parent_of(one)}:
        assert time.monotonic() < deadline, f"{alive} of {processes} are left"
        time.sleep(0.02)


@pytest.fixture
def processes() -> Iterator[BatchProcesses]:
    before = children_of(os.getpid())  # a resource tracker, if another test used multiprocessing
    started = BatchProcesses(2, "pretrain.loader_workers")
    assert children_of(os.getpid()) == before, "nothing starts before the first call"
    yield started
    started.close()
    assert children_of(os.getpid()) == before


def test_calls_errors_and_a_killed_worker(
    processes: BatchProcesses, capfd: pytest.CaptureFixture[str]
) -> None:
    """One test, since starting takes seconds."""
    assert processes.calling(operator.neg)(3).on("cpu") == -3
    workers = workers_of(os.getpid(), 2)

    with pytest.raises(ZeroDivisionError) as caught:
        processes.calling(eval)("1 / 0")
    assert 'File "<string>", line 1' in str(caught.value.__cause__)
    with pytest.raises(RuntimeError, match="Local: x"):
        processes.calling(exec)("class Local(Exception): pass\nraise Local('x')")
    assert processes.calling(eval)("__import__('torch').get_num_threads()").on("cpu") == 1
    assert processes.calling(eval)("__import__('cv2').getNumThreads()").on("cpu") == 1
    assert workers_of(os.getpid(), 2) == workers, "an error ends no worker"
    mapped = [Path(f"/proc/{worker}/maps").read_text() for worker in workers]
    assert not any("/dev/shm" in text for text in mapped)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for worker in workers | children_of(os.getpid()):
            os.kill(worker, number)  # as a terminal or a batch system does
    assert processes.calling(operator.neg)(4).on("cpu") == -4

    os.kill(min(workers), signal.SIGKILL)
    with pytest.raises(BatchProcessError) as killed:
        for _ in range(3):
            processes.calling(operator.neg)(5)
    message = str(killed.value)
    assert "one of 2 processes that make batches was ended by SIGKILL: if nobody" in message
    assert "memory was out" in message
    assert "lower pretrain.loader_workers in params.yaml. Run again" in message
    wait_until_gone(workers)
    processes.close()
    assert processes.calling(operator.neg)(6).on("cpu") == -6, "they start again"
    assert capfd.readouterr().err == ""


def test_a_server_that_cannot_start_says_so(
    processes: BatchProcesses, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_processes, "MAIN", "import handpose.not_there")
    with pytest.raises(BatchProcessError, match="exit code 1; its own error is above"):
        processes.calling(operator.neg)(3)
    assert "No module named 'handpose.not_there'" in capfd.readouterr().err


OWNER = """
import time
from handpose.data.loading import ahead
from handpose.data.processes.batch_processes import BatchProcesses
processes = BatchProcesses(2)
results = ahead(processes.calling(time.sleep), iter([0.01] * 1000), 4, 4)
next(results)
print("begun", flush=True)
for _ in results:
    pass
"""


@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_no_worker_outlives_the_process_that_started_it(end: str) -> None:
    """It has not called `close`, as after any exception, or cannot have."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None and owner.stdout.readline() == "begun\n"
    left = children_of(owner.pid) | workers_of(owner.pid, 2)
    owner.send_signal(signal.Signals[end])
    _, errors = owner.communicate(timeout=PATIENCE_S)
    assert owner.returncode == -signal.Signals[end]
    wait_until_gone(left)
    assert errors.count("Traceback") == (end == "SIGINT"), "the workers say nothing"
