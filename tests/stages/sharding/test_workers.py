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
    results.close()


def test_the_largest_tasks_begin_first_and_the_order_of_results_stays() -> None:
    ended: list[int] = []
    results = in_order(slow_if_even, range(7), 2, finished=ended.append, size=lambda k: k // 5)
    assert list(results) == list(range(7))
    assert sorted(ended) == list(range(7))
    assert set(ended[:2]) <= {5, 6, 0}  # 5 and 6 began first, and 5 is fast


@pytest.mark.parametrize("workers", [1, 2])
def test_finished_tasks_are_counted_where_results_are_taken(workers: int) -> None:
    ended: list[int] = []
    for number in in_order(slow_if_even, range(3), workers, finished=ended.append):
        assert number in ended
    assert ended == [0, 1, 2]


def test_no_more_workers_start_than_there_are_tasks() -> None:
    before = set(children(os.getpid()))
    results = in_order(slow_if_even, [1, 2], 8, size=lambda _: 1)
    next(results)
    assert len(set(children(os.getpid())) - before) <= 2
    results.close()


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    results = in_order(refuse_three, range(6), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(PhotoError, match="photo 3"):
        next(results)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(CHILD, encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 10
    while alive := [pid for pid in workers if runs(pid)]:
        assert time.monotonic() < end, f"still alive: {alive}"
        time.sleep(0.05)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from stages.running.command import run_stage
from stages.sharding.workers import in_order

def work(number):
    Path(f"worker-{os.getpid()}").touch()
    time.sleep(600)

def main():
    try:
        list(in_order(work, range(4), 2, "shard.workers"))
    finally:
        Path("cleaned").touch()

if __name__ == "__main__":
    Path("main").touch()
    sys.exit(run_stage(main, "shard"))
"""


def children(pid: int) -> list[int]:
    """Processes spawned by this one as workers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if parent == pid and b"spawn_main" in words:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("number", "at_work", "expected"),
    [
        (signal.SIGKILL, True, ["SIGKILL: if nobody sent it", "`dmesg`", "lower shard.workers"]),
        (signal.SIGKILL, False, ["SIGKILL: if nobody sent it", "lower shard.workers"]),
        (signal.SIGTERM, True, ["SIGTERM: `kill`, a batch system"]),
        (signal.SIGHUP, True, ["SIGHUP: its terminal or SSH session was closed"]),
        (signal.SIGSEGV, True, ["SIGSEGV: a compiled library crashed"]),
    ],
)
def test_a_killed_worker_ends_the_stage_with_its_signal_and_what_to_do(
    tmp_path: Path, number: signal.Signals, at_work: bool, expected: list[str]
) -> None:
    """At its work, and in its first second: before it has imported anything."""
    stage, victim = started(tmp_path, at_work)
    os.kill(victim, number)
    output, _ = stage.communicate(timeout=PATIENCE_S)
    assert stage.returncode == 2, output
    who = "a worker process" if number == signal.SIGTERM else f"worker process {victim}, one of 2,"
    assert f"shard: {who} was ended by" in output
    assert all(words in output for words in expected), output
    assert "Traceback" not in output
    assert (tmp_path / "cleaned").exists()
    assert not children(stage.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("everyone", [False, True], ids=["the stage", "all, as a batch system"])
def test_a_stage_that_is_asked_to_stop_ends_its_workers_and_cleans_up(
    tmp_path: Path, number: signal.Signals, everyone: bool
) -> None:
    stage, victim = started(tmp_path, at_work=True)
    (os.killpg if everyone else os.kill)(stage.pid, number)
    output, _ = stage.communicate(timeout=PATIENCE_S)
    assert stage.returncode == 128 + number, output
    assert f"shard: stopped by {number.name}: " in output
    assert "Traceback" not in output
    assert (tmp_path / "cleaned").exists()
    assert not runs(victim)


PATIENCE_S = 300


def started(folder: Path, at_work: bool) -> tuple[subprocess.Popen[str], int]:
    """A stage in a group of its own, and one of its workers, at work or just begun."""
    (folder / "stage.py").write_text(KILLED, encoding="utf-8")
    stage = subprocess.Popen(
        [sys.executable, "stage.py"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE_S
    while not (found := workers_of(folder, stage.pid, at_work)):
        assert stage.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    return stage, found[0]


def workers_of(folder: Path, pid: int, at_work: bool) -> list[int]:
    names = (path.name for path in folder.glob("worker-*"))
    at_their_work = [int(name.removeprefix("worker-")) for name in names]
    return at_their_work if at_work else children(pid)


def test_closing_the_results_ends_the_workers_at_once() -> None:
    results = in_order(time.sleep, [0, 600, 600, 600], 2)
    next(results)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 60
    assert not children(os.getpid())
