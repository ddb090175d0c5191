"""Results of experiments without any training: numbers that are drawn, in the true format."""

from __future__ import annotations

from typing import Any

import numpy as np


def result(variant: str, seed: int, mean: float, **changes: Any) -> dict[str, Any]:
    """Of ten people whose own errors are the same in every run; a run adds its own."""
    people = np.random.default_rng(0).normal(0, 2, 10)
    run = np.random.default_rng([seed, *variant.encode()])
    errors = mean + people + run.normal(0, 0.3) + run.normal(0, 0.2, 10)
    return {
        "variant": variant,
        "seed": seed,
        "run": "pretrained",
        "set": [],
        "commit": "c" * 40,
        "uncommitted": [],
        "machine": {"cpu": "A CPU", "cores": 2},
        "code": {"pose": "d"},
        "settings": {},
        "test": "t" * 64,
        "weights": f"{variant} {seed}",
        "seconds": {"pretrain": 100.0, "pose": 200.0},
        "steps": 1000,
        "gates": [0.1, 0.2],
        "people": {
            str(14 + k): {
                "images": 20,
                "wrist_mpjpe_mm": {"mean": float(error), "images": 20},
                "pa_mpjpe_mm": {"mean": float(error) / 3, "images": 19},
                "coarse_accuracy": {"mean": 0.5, "images": 18},
                "gates_closed_wrist_mpjpe_mm": {"mean": 0.7, "images": 20},
            }
            for k, error in enumerate(errors)
        },
    } | changes
