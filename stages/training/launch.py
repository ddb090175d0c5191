"""A training stage in several processes on this machine: torchrun, as a library.

`processes` in the stage's section of `params.yaml` says how many. For several machines torchrun is
started by hand on each of them (docs/many-gpus.md); its processes run the stage directly.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

import torch

from handpose.cores import usable_cores
from handpose.distributed import LAUNCHER, Distributed, is_torchrun
from handpose.errors import HandPoseError
from handpose.files import temporary_folder
from handpose.stop_signal import explain
from handpose.training.device import prepare_device, require_gpus
from stages.params import Params, TrainParams
from stages.paths import WORK
from stages.training.training_data import TrainingData

SHUTDOWN_S = 120
"""How long the processes may take to finish the current step and save it before they are killed."""


class ProcessesError(HandPoseError):
    """One of the processes was killed."""


def launch_processes(stage: str, params: Params, *arguments: str) -> bool:
    """Run a training stage in several processes, if its section of `params.yaml` asks for them.

    Args:
        stage: its name, `pretrain` or `pose`.
        params: all parameters.
        *arguments: of its command line.

    Returns:
        True once they have finished the training; False where this process is to do it, alone or
        as one of torchrun's.

    Raises:
        ProcessesError: one of them was killed.
        SystemExit: one of them failed and said why, or a signal stopped them.
    """
    settings: TrainParams = getattr(params, stage)
    processes = settings.processes or gpu_count(settings)
    if processes == 1 or is_torchrun():
        return False
    # errors that would stop every process are raised once, before there are any
    if prepare_device(settings.device, settings.threads).type == "cuda":
        require_gpus(processes)
    TrainingData.open(
        settings,
        image_px=params.encoder.image_px,
        handedness=params.label.handedness,
        distributed=Distributed(0, processes),
    )
    _run_torchrun(stage, arguments, processes)
    return True


def gpu_count(settings: TrainParams) -> int:
    """Number of GPUs to train on; 1 on a CPU."""
    return 1 if settings.device == "cpu" else max(1, torch.cuda.device_count())


def _run_torchrun(stage: str, arguments: tuple[str, ...], processes: int) -> None:
    """Run `python -m stages.<stage>` in so many processes; errors as in `launch_processes`."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))
    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # reported here, shorter
    signals = [
        number.name
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup ignores SIGHUP
    ]
    run = "-".join((stage, *arguments))
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        # torchrun would leave an empty folder; if this process is killed, its runner removes it
        with temporary_folder(WORK / f"{run}-torchrun") as logs:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                logs_specs=DefaultLogsSpecs(log_dir=str(logs)),
                run_id=f"{run}-{os.getpid()}",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                max_restarts=0,
                signals_to_handle=",".join(signals),
                shutdown_timeout=SHUTDOWN_S,
            )
            elastic_launch(config, sys.executable)("-m", f"stages.{stage}", *arguments)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        if code >= 0:
            raise SystemExit(code) from None
        raise ProcessesError(
            f"process {rank} of {processes} was ended by {explain(-code, f'{stage}.batch')}. The "
            "others stopped with it. Run again to resume from the last checkpoint"
        ) from None
