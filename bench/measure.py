"""Timing for the benches: alternating rounds, medians, ratios to a named baseline."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping

import cv2
import torch


def one_thread() -> None:
    """OpenCV and torch with one thread each, so that times are those of one core."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def medians(
    ways: Mapping[str, Callable[[], int]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds per item of each way, which returns how many items it did; rounds alternate."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = clock()
            items = way()
            times[name].append((clock() - start) / items)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def table(seconds: Mapping[str, float], baselines: list[str], unit: str = "us") -> str:
    """One line per way: its time, and that time over the baselines'."""
    factor = {"us": 1e6, "ms": 1e3, "s": 1.0}[unit]
    width = max(map(len, seconds))
    lines = [f"{'':{width}}  {unit:>9}" + "".join(f"  x {name}" for name in baselines)]
    for name, value in seconds.items():
        ratios = "".join(f"  {value / seconds[b]:{len(b) + 2}.2f}" for b in baselines)
        lines.append(f"{name:{width}}  {factor * value:9.1f}{ratios}")
    return "\n".join(lines)


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    """Largest memory of this process, or of the largest of its ended children."""
    return resource.getrusage(who).ru_maxrss / 1024


cpu = time.process_time
wall = time.perf_counter
