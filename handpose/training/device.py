"""The device that networks run on."""

from __future__ import annotations

from pathlib import Path

import torch

from handpose.cores import usable_cores
from handpose.distributed import is_torchrun, local_rank
from handpose.errors import HandPoseError

NVIDIA = Path("/proc/driver/nvidia/version")
"""Exists if the kernel has an NVIDIA driver, whether torch can use it or not."""


class DeviceError(HandPoseError):
    """The requested device does not exist."""


def prepare_device(device: str, threads: int) -> torch.device:
    """The device to run on: 'auto' is a GPU if there is one; `threads` 0 is one a core.

    Several processes on one machine take a GPU each.

    Raises:
        DeviceError: a GPU is requested and there is none, or there are fewer than processes.
    """
    if threads or torch.get_num_threads() > usable_cores():  # torch knows of no container's quota
        torch.set_num_threads(threads or usable_cores())
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise DeviceError("device is cuda, but torch finds no GPU here; set device to auto or cpu")
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    if not found or device == "cpu":
        return torch.device("cpu")
    if not is_torchrun():
        return torch.device("cuda")
    rank, processes = local_rank()
    require_gpus(processes)
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)


def require_gpus(processes: int) -> None:
    """Raise DeviceError if processes would have to share a GPU."""
    if processes > torch.cuda.device_count():
        raise DeviceError(
            f"{processes} processes on this machine, but it has {torch.cuda.device_count()} GPUs; "
            "set processes to that, or device to cpu"
        )


def describe_device(device: torch.device, requested: str) -> str:
    """The device for a log line, with a warning if torch cannot use a GPU that seems to exist."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    text = f"the CPU, {threads} thread{'s' if threads > 1 else ''}"
    if requested == "auto" and NVIDIA.exists():
        built = torch.version.cuda or "no CUDA"
        text += (
            f". Warning: there is an NVIDIA driver, but torch {torch.__version__} (built for "
            f"{built}) finds no GPU; `nvidia-smi` shows what the driver supports"
        )
    return text
