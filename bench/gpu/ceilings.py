"""What the card can do at best: arithmetic in bf16, and memory."""

from __future__ import annotations

import os
import platform

import torch

from bench.gpu.record import Record
from bench.gpu.setting import Setting
from bench.measure import wall
from handpose.cores import usable_cores


def machine(setting: Setting, record: Record) -> None:
    """The card, the cores and the versions."""
    if setting.device.type == "cuda":
        card = torch.cuda.get_device_properties(setting.device)
        record.add("gpu", card=card.name, memory_gib=card.total_memory / 2**30)
    disk = os.statvfs("/dev/shm")
    record.add(
        "host",
        cores=usable_cores(),
        cpu=platform.processor() or platform.machine(),
        python=platform.python_version(),
        shared_memory_gib=disk.f_bavail * disk.f_frsize / 2**30,
    )
    record.add("torch", version=torch.__version__, cuda=str(torch.version.cuda))


def ceilings(setting: Setting, record: Record) -> None:
    """A large matrix product, and a copy from memory to memory."""
    side, repeats = setting.size(8192, 128), setting.size(50, 2)
    a, b = (torch.randn(side, side, device=setting.device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda: a @ b, repeats, setting.device)
    record.add("bf16 matrix product", tflop_s=2 * side**3 / seconds / 1e12)
    source = torch.empty(setting.size(2**30, 2**20), device=setting.device, dtype=torch.uint8)
    target = torch.empty_like(source)
    seconds = timed(lambda: target.copy_(source), repeats, setting.device)
    record.add("memory copy", gb_s_read_and_written=2 * source.numel() / seconds / 1e9)


def timed(work: object, repeats: int, device: torch.device) -> float:
    """Seconds of one call, on average, after one that is not counted."""
    assert callable(work)
    work()
    synchronize(device)
    begun = wall()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (wall() - begun) / repeats


def synchronize(device: torch.device) -> None:
    """Wait for what the GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()
