"""A training door opened in several processes on this machine: torchrun, by its own library.

`processes` in the door's section of `params.yaml` says how many. For several machines torchrun is
started by hand on each of them (docs/many-gpus.md); its processes come here too, and just begin.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable

import torch

from handpose.distributed import Distributed, is_torchrun
from handpose.errors import HandPoseError
from handpose.training.device import prepare_device, require_gpus
from stages.fitting.training import TrainingData
from stages.params import TrainParams, load_params

SHUTDOWN_S = 120
"""How long the processes may take to end the step in work and save it before they are killed."""


class ProcessesError(HandPoseError):
    """One of the processes was ended from outside."""


def in_processes(door: str, main: Callable[[], None]) -> None:
    """Open the training door of this name: here, or in as many processes as its section says.

    Raises:
        ProcessesError: one of them was killed.
        SystemExit: one of them failed and told why, or a signal stopped them.
    """
    if is_torchrun():
        main()
        return
    params = load_params()
    fit: TrainParams = getattr(params, door)
    processes = fit.processes or gpus(fit)
    if processes == 1:
        main()
        return
    # what would stop every process is told once, before there are any
    if prepare_device(fit.device, fit.threads).type == "cuda":
        require_gpus(processes)
    TrainingData.open(
        fit,
        image_px=params.net.image_px,
        handedness=params.label.handedness,
        distributed=Distributed(0, processes),
    )
    launch(door, sys.argv[1:], processes)


def gpus(fit: TrainParams) -> int:
    """GPUs to train on, at least one process."""
    return 1 if fit.device == "cpu" else max(1, torch.cuda.device_count())


def launch(door: str, arguments: list[str], processes: int) -> None:
    """Run `python -m stages.<door>` in so many processes and wait for them; see `in_processes`."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # told here, shorter
    stops = [
        number.name
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup leaves SIGHUP
    ]
    try:
        with tempfile.TemporaryDirectory() as logs:  # torchrun would leave an empty folder behind
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                logs_specs=DefaultLogsSpecs(log_dir=logs),
                run_id=f"{door}-{os.getpid()}",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                max_restarts=0,
                signals_to_handle=",".join(stops),
                shutdown_timeout=SHUTDOWN_S,
            )
            elastic_launch(config, sys.executable)("-m", f"stages.{door}", *arguments)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        if code >= 0:
            raise SystemExit(code) from None
        raise ProcessesError(
            f"process {rank} of {processes} was ended by {signal.Signals(-code).name}, and the "
            "others stopped with it. If nobody did that, the machine was out of memory (`dmesg` "
            "tells). Run again to go on from the last checkpoint"
        ) from None
