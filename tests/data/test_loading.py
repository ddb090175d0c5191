"""Loading ahead: the same results in the same order, errors in their place, no thread left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from handpose.data import loading
from handpose.data.loading import AHEAD, HERE, Loading, ahead


def threads_of_ours() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(("batch", "samples"))]


def slow_first(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0)
    return number * number


@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_the_order_of_the_tasks(threads: int) -> None:
    assert list(ahead(slow_first, iter(range(20)), threads)) == [n * n for n in range(20)]
    assert not threads_of_ours()


def test_so_many_tasks_are_begun_and_no_more() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(slow_first, tasks(), 2)
    next(results)
    time.sleep(0.2)
    # those of AHEAD, the one that waits for room, and the one whose result was given away
    assert 2 * AHEAD <= len(taken) <= 2 * AHEAD + 2
    results.close()
    assert not threads_of_ours()


def test_an_error_comes_in_its_place_and_ends_the_rest() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = ahead(fail, iter(range(10)), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert not threads_of_ours()


def test_an_error_of_the_tasks_comes_after_what_was_read() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    results = ahead(slow_first, tasks(), 2)
    assert next(results) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)


def test_no_more_are_begun_than_asked_for() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(slow_first, tasks(), 4, 4)
    next(results)
    time.sleep(0.1)
    assert len(taken) <= 4 + 2
    results.close()


CUDA = torch.device("cuda", 0)


@pytest.fixture
def with_cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda cores: monkeypatch.setattr(loading, "usable_cores", lambda: cores)


def test_a_cpu_trains_with_neither_threads_nor_processes() -> None:
    assert Loading.on(torch.device("cpu")) == HERE == Loading(0, torch.device("cpu"))
    assert Loading.on(torch.device("cpu"), workers=0) == HERE


@pytest.mark.parametrize(
    ("cores", "sharing", "workers"),
    [(2, 1, 1), (6, 1, 5), (16, 1, 12), (16, 2, 7), (128, 8, 12), (16, 8, 1)],
)
def test_a_gpu_trains_with_the_other_cores(
    with_cores: Callable[[int], None], cores: int, sharing: int, workers: int
) -> None:
    with_cores(cores)
    found = Loading.on(CUDA, sharing)
    assert found.processes is not None and found.processes.count == workers
    assert (found.threads, found.device) == (0, CUDA)


def test_a_gpu_with_a_single_core_has_a_thread(with_cores: Callable[[int], None]) -> None:
    with_cores(1)
    assert Loading.on(CUDA) == Loading(1, CUDA)
    with_cores(16)
    assert Loading.on(CUDA, 16) == Loading(1, CUDA)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (6, 5), (64, 8)])
def test_without_processes_a_gpu_has_threads(
    with_cores: Callable[[int], None], cores: int, threads: int
) -> None:
    with_cores(cores)
    assert Loading.on(CUDA, workers=0) == Loading(threads, CUDA)


def test_as_many_processes_as_asked_for_on_any_device(with_cores: Callable[[int], None]) -> None:
    with_cores(2)
    for device in (CUDA, torch.device("cpu")):
        found = Loading.on(device, workers=5).processes
        assert found is not None and found.count == 5
