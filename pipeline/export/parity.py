"""Whether an exported file gives what the network gives, measured on the crops in git.

Half of the example crops serve to calibrate 8-bit files; all figures are of the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.crop import Square, affine, warp
from handpose.estimator import released_folder
from handpose.evaluation.metrics import wrist_mpjpe_mm
from pipeline.export.hand_graph import HandGraph
from pipeline.export.interface import OUTPUTS
from pipeline.release.examples import read_examples

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], dict[str, NDArray[Any]]]
"""Inputs by name -> outputs by name, of a file that is loaded."""

BATCHES = (1, 5)
"""Sizes that every file is run with; the last batch of five is a smaller one."""

MOST = {"m": 1e-4, "px": 0.1}
"""By how much a file in single precision may differ from the network, by unit."""

MOST_ELSE = 1e-3
"""Likewise, of probabilities, rotations and shape coefficients."""


class Examples(NamedTuple):
    """N pictures for a model, and the truth of their joints."""

    inputs: dict[str, NDArray[Any]]  # by name, as the model takes them
    joints_m: NDArray[np.float32]  # (N, 21, 3) about the wrist, camera turned onto the middle

    @classmethod
    def of(cls, graph: HandGraph) -> Examples:
        """The crops beside the released weights, as large as this model takes them.

        Raises:
            ExamplesError: they are not here.
        """
        crops, truth = read_examples(released_folder())
        middle, px = (crops.shape[1] - 1) / 2, truth["px"]
        A = affine(Square(middle, middle, px * graph.side / graph.px), graph.side)
        inputs: dict[str, NDArray[Any]] = {
            "image": np.stack([warp(crop, A, graph.side) for crop in crops]),
            "is_left": np.array(truth["is_left"]),
            "side": np.full(len(crops), -1, np.int32),
            "K": np.stack([_some_camera(graph.side)] * len(crops)),
        }
        joints = (np.array(truth["joints_mm"]) / 1000).astype(np.float32)
        return cls({name: inputs[name] for name in graph.inputs}, joints)

    def rows(self, part: slice) -> Examples:
        """Some of them."""
        return Examples({k: value[part] for k, value in self.inputs.items()}, self.joints_m[part])

    @property
    def calibration(self) -> Examples:
        """Every second one."""
        return self.rows(slice(1, None, 2))

    @property
    def measured(self) -> Examples:
        """The others."""
        return self.rows(slice(0, None, 2))


def _some_camera(side: int) -> NDArray[np.float32]:
    """Intrinsics (3, 3) px of a picture from the middle of a photo, for a model that needs some."""
    f, c = 2.0 * side, (side - 1) / 2
    return np.array([[f, 0, c], [0, f, c], [0, 0, 1]], np.float32)


@dataclass(frozen=True)
class Parity:
    """How far a file is from the network."""

    pictures: int
    differences: dict[str, float]  # largest of each output, in its unit
    joints_mm: tuple[float, float]  # largest and mean distance of a joint; NaN without `joints`
    error_mm: tuple[float, float] | None  # of the network and of the file against the truth

    @property
    def wrong(self) -> list[str]:
        """Outputs that differ by more than single precision explains."""
        return [
            f"{name} by {value:.2g} {OUTPUTS[name].unit}, expected at most {most:g}"
            for name, value in self.differences.items()
            if not value <= (most := MOST.get(OUTPUTS[name].unit, MOST_ELSE))
        ]

    def lines(self) -> list[str]:
        """For people."""
        first = f"{self.pictures} pictures, batches of {' and '.join(map(str, BATCHES))}: "
        largest, mean = self.joints_mm
        if np.isnan(largest):
            parts = [f"{name} {value:.2g}" for name, value in self.differences.items()]
            return [f"{first}largest differences from torch: {', '.join(parts)}"]
        found = [f"{first}joints differ from torch by {mean:.4f} mm, {largest:.4f} mm at most"]
        if self.error_mm is not None:
            torch_mm, file_mm = self.error_mm
            found.append(
                f"error of the joints about the wrist: {file_mm:.2f} mm, in torch {torch_mm:.2f} mm"
                f": {round(file_mm - torch_mm, 2) + 0:+.2f} mm"
            )
        return found

    def record(self) -> dict[str, Any]:
        """For the description."""
        largest, mean = (None if np.isnan(value) else round(value, 6) for value in self.joints_mm)
        return {
            "pictures": self.pictures,
            "batches": list(BATCHES),
            "largest_differences": {k: float(f"{v:.3g}") for k, v in self.differences.items()},
            "joints_mm_largest": largest,
            "joints_mm_mean": mean,
            "error_mm_torch_and_file": self.error_mm and [round(mm, 4) for mm in self.error_mm],
        }


def measure(graph: HandGraph, run: Run, examples: Examples) -> Parity:
    """How far the file that `run` runs is from the network, over all batch sizes."""
    expected = outputs_of(graph, examples.inputs)
    found = [_in_batches(run, examples.inputs, size) for size in BATCHES]
    differences = {
        name: max(float(np.abs(one[name] - expected[name]).max()) for one in found)
        for name in graph.names
    }
    apart, errors = np.array([np.nan]), None
    if "joints" in graph.names:
        apart = 1000 * np.stack(
            [np.linalg.norm(one["joints"] - expected["joints"], axis=-1) for one in found]
        )
        if not graph.net.ray_input:  # the cameras of the crops are not in git
            errors = (
                _error_mm(expected["joints"], examples),
                _error_mm(found[-1]["joints"], examples),
            )
    return Parity(
        len(examples.joints_m), differences, (float(apart.max()), float(apart.mean())), errors
    )


@torch.no_grad()
def outputs_of(graph: HandGraph, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """The network's own outputs."""
    found = graph(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
    return {name: tensor.numpy() for name, tensor in zip(graph.names, found, strict=True)}


def _in_batches(run: Run, inputs: Arrays, size: int) -> dict[str, NDArray[Any]]:
    count = len(inputs["image"])
    parts = [
        run({name: array[first : first + size] for name, array in inputs.items()})
        for first in range(0, count, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _error_mm(joints: NDArray[Any], examples: Examples) -> float:
    truth = torch.from_numpy(examples.joints_m)
    valid = torch.ones(truth.shape[:2], dtype=torch.bool)
    return wrist_mpjpe_mm(torch.from_numpy(joints), truth, valid).mean().item()
