"""What a training step costs: kernel by kernel, as a CUDA graph, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch lists no exports
from torch.profiler import ProfilerActivity, profile

from bench.gpu.ceilings import synchronize, timed
from bench.gpu.record import Record
from bench.gpu.setting import Setting
from bench.measure import wall
from handpose.sample import HandBatch
from handpose.training.cuda_graph import WARM_UP_STEPS
from handpose.training.fit import gradient_step

Step = Callable[[HandBatch], None]

WAYS: dict[str, dict[str, Any]] = {
    "eager": {"cuda_graph": False, "compile": False},
    "graph": {"cuda_graph": True, "compile": False},
    "compiled": {"cuda_graph": False, "compile": True},
    "compiled graph": {"cuda_graph": True, "compile": True},
}
"""How the step is run, as settings of `fit`."""


def ways(setting: Setting, *names: str) -> tuple[str, ...]:
    """Those of these ways that the device has: a CPU knows no graph, and compiles for minutes."""
    return names if setting.device.type == "cuda" else ("eager",)


def prepared(setting: Setting, stage: str, way: str, backbone: str = "hrnet_w32") -> Step:
    """A training's steps, one at each call."""
    return partial(gradient_step, setting.run(stage, backbone, **WAYS[way]))


def warm_up(step: Step, batch: HandBatch, setting: Setting) -> float:
    """The steps that choose algorithms, compile or capture; their seconds."""
    begun = wall()
    for _ in range(WARM_UP_STEPS + 2):
        step(batch)
    synchronize(setting.device)
    return wall() - begun


def steps(
    setting: Setting, record: Record, *, stage: str, names: tuple[str, ...], backbone: str
) -> None:
    """Images a second on one batch of noise, by way and by batch size, the largest first."""
    for size in (setting.size(256, 8), setting.size(64, 4)):
        batch = setting.noise(size)
        for way in ways(setting, *names):
            if setting.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            step = prepared(setting, stage, way, backbone)
            first_s = warm_up(step, batch, setting)
            seconds = timed(partial(step, batch), setting.size(40, 2), setting.device)
            record.add(
                f"{way}, batch {size}",
                images_s=size / seconds,
                step_ms=1000 * seconds,
                first_steps_s=first_s,
                peak_gib=_peak_gib(setting),
            )
            del step


def _peak_gib(setting: Setting) -> float:
    on_gpu = setting.device.type == "cuda"
    return torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0


def kernels(setting: Setting, record: Record) -> None:
    """Kernels of a step, and for how much of it the GPU is busy, with 64 images."""
    activities = [ProfilerActivity.CPU]
    if setting.device.type == "cuda":
        activities = [ProfilerActivity.CUDA]
    batch, repeats = setting.noise(setting.size(64, 4)), setting.size(5, 1)
    for stage in ("pretrain", "pose"):
        for way in ways(setting, "eager", "graph", "compiled graph"):
            step = prepared(setting, stage, way)
            warm_up(step, batch, setting)
            seconds = timed(partial(step, batch), setting.size(20, 1), setting.device)
            with profile(activities=activities) as found:
                for _ in range(repeats):
                    step(batch)
                synchronize(setting.device)
            own = [e for e in found.events() if e.device_type == DeviceType.CUDA]
            busy_s = sum(e.time_range.elapsed_us() for e in own) / 1e6 / repeats
            record.add(
                f"{stage}, {way}",
                kernels=len(own) / repeats,
                gpu_busy=busy_s / seconds,
                step_ms=1000 * seconds,
            )


def equality(setting: Setting, record: Record) -> None:
    """The weights after 100 steps as a graph, and compiled, against eager ones.

    Two eager runs differ too, since atomic additions of a backward pass have no order: they are the
    scale of the others' differences.
    """
    batches = [setting.noise(setting.size(32, 4)) for _ in range(4)]
    count = setting.size(100, WARM_UP_STEPS + 2)
    for stage in ("pretrain", "pose"):
        weights: dict[str, torch.Tensor] = {}
        for way in ("eager", "eager again", *ways(setting, "graph", "compiled graph")):
            torch.manual_seed(1)  # the augmentation and the dropout
            run = setting.run(stage, **WAYS.get(way, WAYS["eager"]))  # seeds its own weights
            for number in range(count):
                gradient_step(run, batches[number % len(batches)])
            weights[way] = torch.cat([p.detach().flatten().float() for p in run.weights])
            if way == "eager":
                continue
            apart = weights.pop(way) - weights["eager"]
            record.add(
                f"{stage}, {way}",
                largest=float(apart.abs().max()),
                relative=float(apart.norm() / weights["eager"].norm()),
                loss=run.history.loss,
            )
