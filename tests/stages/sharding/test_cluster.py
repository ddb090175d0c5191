"""A Dask cluster as workers: order, errors, folders, and what is told when it is not there."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import cv2
import pytest
from distributed import LocalCluster

from handpose.data.photo import PhotoError
from stages.sharding import cluster
from stages.sharding.cluster import ClusterError, at
from stages.sharding.workers import AHEAD, in_order


def where(number: int) -> tuple[int, str, int, int]:
    return number, os.getcwd(), os.getpid(), cv2.getNumThreads()


def refuse_three(number: int) -> int:
    if number == 3:
        raise PhotoError("image_black", "photo 3")
    return number


def die(number: int) -> int:
    os._exit(number)


def test_other_processes_do_it_in_order_in_this_folder_with_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers, folders, processes, threads = zip(
        *in_order(where, range(9), 1, scheduler), strict=True
    )
    assert numbers == tuple(range(9))
    assert set(folders) == {str(tmp_path)} and set(threads) == {1}
    assert os.getpid() not in processes


def test_only_a_few_tasks_are_taken_ahead(scheduler: str) -> None:
    taken = itertools.count()
    results = in_order(refuse_three, taken, 1, scheduler)
    assert next(results) == 0
    assert next(taken) == 2 * AHEAD
    results.close()  # type: ignore[attr-defined]


def test_an_error_on_the_cluster_reaches_the_door_and_the_cluster_is_as_before(
    scheduler: str,
) -> None:
    results = in_order(refuse_three, range(6), 1, scheduler)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(PhotoError, match="photo 3"):
        next(results)
    assert list(in_order(refuse_three, [4, 5], 1, scheduler)) == [4, 5]


def test_a_machine_without_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=f"on {os.uname().nodename} cannot enter {tmp_path}/no"):
        at(tmp_path / "no", refuse_three, 1)


def test_without_dask_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"Dask is not installed: .*\[cluster\].*or set shard"):
        list(in_order(refuse_three, [1], 1, "tcp://127.0.0.1:9"))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense", "ftp://a:1"])
def test_a_scheduler_that_is_not_there_is_told(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.3)
    with pytest.raises(ClusterError, match=f"no Dask scheduler answers at .*{address}"):
        list(in_order(refuse_three, [1], 1, address))


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,  # type: ignore[no-untyped-call]
        pytest.raises(
            ClusterError, match=r"has no workers\. On each machine start `dask worker tcp"
        ),
    ):
        list(in_order(refuse_three, [1], 1, empty.scheduler_address))


def test_a_task_that_kills_its_workers_ends_the_stage(scheduler: str) -> None:
    with pytest.raises(ClusterError, match=r"was lost \(KilledWorker"):
        list(in_order(die, [1], 1, scheduler))
