"""Workers on other machines: a Dask cluster, seen through the standard `Executor` interface.

Start `dask scheduler` on one machine and `dask worker ADDRESS --nworkers auto --nthreads 1` on each
of the others, all with this environment, and all with the repository and the photos in the same
folders (a shared file system). Dask is not installed by default: `pip install '.[cluster]'`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2

from handpose.errors import HandPoseError

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE_S = 10.0
"""For the scheduler to answer, and for its first worker to be there."""

INSTEAD = "or set shard.scheduler to '' for processes of this machine"


class ClusterError(HandPoseError):
    """There is no cluster to work on, or it is gone."""


class Cluster(NamedTuple):
    """A cluster while it is used."""

    executor: Executor
    slots: int  # tasks that are worked on at once


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """The cluster whose scheduler is at an address such as tcp://host:8786.

    What is still waiting when it is left is cancelled there.

    Raises:
        ClusterError: Dask is not installed, the scheduler does not answer, it has no workers, or it
            is lost on the way.
    """
    try:
        from distributed import Client, KilledWorker  # an extra, and half a second to import
        from distributed.comm.addressing import resolve_address
    except ImportError:
        raise ClusterError(
            f"shard.scheduler is {address}, but Dask is not installed: "
            f"`pip install -c constraints.txt -e '.[cluster]'`, {INSTEAD}"
        ) from None
    try:
        resolve_address(address)  # of a wrong one a client would leave a second message
        client: Any = Client(address, timeout=PATIENCE_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at shard.scheduler, {address} ({error}). Start one with "
            f"`dask scheduler`, which prints its address, {INSTEAD}"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is lost is told below
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield Cluster(executor, _slots(client, address))
        except (CancelledError, KilledWorker) as error:
            raise ClusterError(
                f"the Dask cluster at {address} was lost ({type(error).__name__}: {error}); what "
                "its scheduler and workers print says why. Then run this stage again"
            ) from None
        finally:
            executor.shutdown(wait=False)


def _slots(client: Any, address: str) -> int:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError:
        raise ClusterError(
            f"the Dask scheduler at {address} has no workers. On each machine start "
            f"`dask worker {address} --nworkers auto --nthreads 1`, {INSTEAD}"
        ) from None
    return sum(client.nthreads().values())


def at(folder: Path, function: Callable[[Task], Result], task: Task) -> Result:
    """The function's result in this folder, with one thread: what a cluster's worker is sent.

    Paths of a task are relative to the folder that the door runs in.
    """
    cv2.setNumThreads(1)
    try:
        os.chdir(folder)
    except OSError as error:
        raise ClusterError(
            f"a Dask worker on {os.uname().nodename} cannot enter {folder} ({error.strerror}): "
            "every machine must have the repository in the same folder, on a shared file system"
        ) from None
    return function(task)
