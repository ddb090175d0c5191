"""How long this clone's models take: wall and CPU time an image, with what is included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from handpose.errors import HandPoseError
from handpose.estimator import HandEstimator
from handpose.predict import Predictor
from pipeline.clones.machine_record import Machine

BATCHES = (1, 16)

PHOTO_PX = (480, 640)
BOX = (210.0, 130.0, 220.0, 220.0)
"""Of the hand, px; photos are noise: no network's time depends on what is seen."""

NETWORK = "the network alone: crops in memory to mesh, as scored by the evaluation"
ESTIMATOR = (
    f"from decoded photos of {PHOTO_PX[1]} x {PHOTO_PX[0]} px with boxes and sides to the result: "
    "cutting, every pass of the network; no decoding of files, no finding of hands"
)


class LatencyError(HandPoseError):
    """A model cannot be timed."""


class Seconds(NamedTuple):
    """Medians, an image."""

    wall: float
    cpu: float  # of all threads


@dataclass(frozen=True)
class Latency:
    """One model at one batch size."""

    included: str
    batch: int
    rounds: int
    seconds: Seconds

    def to_json(self) -> dict[str, Any]:
        """Plain values, milliseconds an image."""
        return {
            "included": self.included,
            "batch": self.batch,
            "rounds": self.rounds,
            "wall_ms_an_image": round(1000 * self.seconds.wall, 3),
            "cpu_ms_an_image": round(1000 * self.seconds.cpu, 3),
        }


@dataclass(frozen=True)
class Setting:
    """What a time holds for."""

    device: str
    threads: int  # of torch and OpenCV

    @classmethod
    def of(cls, device: torch.device) -> Setting:
        """This machine's, as it is set."""
        machine = Machine.here()
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine.cpu
        return cls(f"{name}, torch {machine.torch}", torch.get_num_threads())


def latencies(
    models: Mapping[str, Path], mano: Path, device: torch.device, rounds: int
) -> dict[str, list[Latency]]:
    """Times of the models that are there, by the name they are given with.

    Args:
        models: folders; one without a model is left out.
        mano: the hand model's folder.
        device: of the networks.
        rounds: of which the medians are taken, after one that is not counted.

    Raises:
        LatencyError: fewer than one round.
        HandPoseError: a model is damaged.
    """
    if rounds < 1:
        raise LatencyError(f"{rounds} rounds, expected one or more")
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        return {
            name: list(_of_model(folder, mano, device, rounds))
            for name, folder in models.items()
            if (folder / "model.json").is_file()
        }
    finally:
        cv2.setNumThreads(opencv)


def _of_model(folder: Path, mano: Path, device: torch.device, rounds: int) -> Iterator[Latency]:
    predictor = Predictor.load(folder, mano=mano, device=str(device))
    for included, way in ((NETWORK, _network), (ESTIMATOR, _estimator)):
        for batch in BATCHES:
            once = way(predictor, batch, device)
            yield Latency(included, batch, rounds, median_seconds(once, batch, rounds, device))


def _network(predictor: Predictor, batch: int, device: torch.device) -> Callable[[], object]:
    px = predictor.net.gesture_net.image_px
    draw = torch.Generator().manual_seed(0)
    size = (batch, 3, px, px)
    image = torch.randint(0, 256, size, generator=draw, dtype=torch.uint8).to(device)
    is_left = torch.zeros(batch, dtype=torch.bool, device=device)
    middle = (px - 1) / 2
    K = torch.tensor([[4.0 * px, 0, middle], [0, 4.0 * px, middle], [0, 0, 1]], device=device)

    @torch.no_grad()
    def once() -> object:
        return predictor.net(image, is_left, K.expand(batch, 3, 3))

    return once


def _estimator(predictor: Predictor, batch: int, device: torch.device) -> Callable[[], object]:
    estimator = HandEstimator(predictor)
    draw = np.random.default_rng(0)
    photos = [draw.integers(0, 256, (*PHOTO_PX, 3), dtype=np.uint8) for _ in range(batch)]
    height, width = PHOTO_PX
    K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
    return lambda: estimator.batch(photos, [BOX] * batch, side="right", K=K)


def median_seconds(
    once: Callable[[], object], images: int, rounds: int, device: torch.device
) -> Seconds:
    """Medians an image of so many calls, after one that warms up."""
    times: list[Seconds] = []
    for number in range(rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        once()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent = time.perf_counter() - wall, time.process_time() - cpu
        if number:
            times.append(Seconds(*(seconds / images for seconds in spent)))
    return Seconds(*(statistics.median(values) for values in zip(*times, strict=True)))
