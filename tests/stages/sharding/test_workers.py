"""Worker processes: order, errors, laziness, and no orphan."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handpose.data.photo import PhotoError
from stages.sharding.workers import AHEAD, in_order

CHILD = """
import os, time
from stages.sharding.workers import in_order

def work(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    list(in_order(work, [60, 60], 2))
"""


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie (a container may have nobody to reap it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def slow_if_even(number: int) -> int:
    time.sleep(0.1 * (number % 2 == 0))
    return number


def refuse_three(number: int) -> int:
    if number == 3:
        raise PhotoError("image_black", "photo 3")
    return number


def test_one_worker_is_this_process_and_takes_tasks_as_it_goes() -> None:
    endless = in_order(lambda number: (number, os.getpid()), itertools.count(), 1)
    assert [next(endless) for _ in range(2)] == [(0, os.getpid()), (1, os.getpid())]


def test_results_keep_order_and_only_a_few_tasks_are_taken_ahead() -> None:
    taken = itertools.count()
    results = in_order(slow_if_even, taken, 2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    assert next(taken) <= 4 + 2 * AHEAD
    results.close()  # type: ignore[attr-defined]


def test_an_error_in_a_worker_reaches_the_door() -> None:
    results = in_order(refuse_three, range(6), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(PhotoError, match="photo 3"):
        next(results)


def test_workers_end_when_their_door_is_killed(tmp_path: Path) -> None:
    (tmp_path / "door.py").write_text(CHILD, encoding="utf-8")
    door = subprocess.Popen(
        [sys.executable, tmp_path / "door.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert door.stdout is not None
    workers = [int(door.stdout.readline()) for _ in range(2)]
    door.send_signal(signal.SIGKILL)
    door.wait()
    end = time.monotonic() + 10
    while alive := [pid for pid in workers if runs(pid)]:
        assert time.monotonic() < end, f"still alive: {alive}"
        time.sleep(0.05)
