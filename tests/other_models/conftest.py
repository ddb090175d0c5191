"""Tiny HaMeR and WiLoR with random weights under the true names, in files as Lightning writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.other_models.second_networks import (
    Shapes,
    Size,
    State,
    hamer_shapes,
    random_state,
    wilor_shapes,
)

TINY = Size(width=64, depth=2, heads=4, token_width=48, token_depth=2, token_heads=2, token_mlp=40)
VIT = {"width": TINY.width, "depth": TINY.depth, "heads": TINY.heads}
DECODER = {
    "token_width": TINY.token_width,
    "token_depth": TINY.token_depth,
    "token_heads": TINY.token_heads,
    "token_mlp": TINY.token_mlp,
}
SIZES = {"HaMeR": {**VIT, **DECODER}, "WiLoR": VIT}
"""Keywords of the networks."""

SHAPES: dict[str, Callable[[Size], Shapes]] = {"HaMeR": hamer_shapes, "WiLoR": wilor_shapes}

BESIDE = {
    "mano.shapedirs": np.zeros((778, 3, 10)),
    "mano.joint_map": np.arange(21.0),
    "discriminator.betas_fc1.weight": np.zeros((2, 2)),
    "initialized": np.array(1.0),
}
"""What checkpoints hold besides."""


class CfgNode(dict[str, Any]):
    """As of yacs: options of a training, pickled as an object of its library."""


def as_tensors(state: State) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(values, dtype=torch.int64 if "num_batches" in name else torch.float32)
        for name, values in state.items()
    }


def write_checkpoint(path: Path, state: State, **more: Any) -> Path:
    """A file of Lightning, with options that pickle by name of a module that is gone afterwards."""
    yacs, config = ModuleType("yacs"), ModuleType("yacs.config")
    config.CfgNode = CfgNode  # type: ignore[attr-defined]
    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    options = CfgNode(MODEL=CfgNode(IMAGE_SIZE=256))
    options.__dict__["__immutable__"] = True
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.0",
        "state_dict": as_tensors(state),
        "hyper_parameters": {"cfg": options, "root": Path("/data"), "size": np.float64(3)},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-5, "params": [0]}]}],
    }
    sys.modules |= {"yacs": yacs, "yacs.config": config}
    try:
        torch.save(content | more, path)
    finally:
        del sys.modules["yacs"], sys.modules["yacs.config"]
    return path


@pytest.fixture(scope="session")
def states() -> dict[str, State]:
    """By name of the network."""
    return {name: random_state(shapes(TINY)) for name, shapes in SHAPES.items()}


@pytest.fixture(scope="session")
def checkpoints(
    tmp_path_factory: pytest.TempPathFactory, states: dict[str, State]
) -> dict[str, Path]:
    """READ-ONLY: files by name of the network."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        name: write_checkpoint(folder / f"{name.lower()}.ckpt", {**state, **BESIDE})
        for name, state in states.items()
    }


@pytest.fixture(scope="session")
def crops() -> NDArray[np.float32]:
    """(2, 3, 256, 256)."""
    return np.random.default_rng(1).integers(0, 256, (2, 3, 256, 256)).astype(np.float32)
