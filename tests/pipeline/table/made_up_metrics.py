"""`results/metrics.json` of a seed, without a training: few rows, but every kind of number."""

from __future__ import annotations

from typing import Any

MACHINE = {
    "cpu": "A CPU @ 2.60GHz",
    "cores": 2,
    "omp_num_threads": None,
    "gpu": None,
    "python": "3.11.2",
    "torch": "2.15.0",
    "numpy": "2.4.6",
}


def estimate(value: float, samples: int) -> dict[str, Any]:
    """With six digits, as `stages.evaluation.summary.to_json` writes them."""
    value, low, high = (float(f"{value * factor:.6g}") for factor in (1.0, 0.9, 1.1))
    return {"value": value, "low": low, "high": high, "samples": samples, "subjects": 4}


def metrics(seed: int) -> dict[str, Any]:
    """Of a seed: the higher, the larger the errors; baselines do not change."""
    full, scratch = 30.0 + seed, 40.0 + 2 * seed
    return {
        "protocols": {"wrist_mpjpe_mm": "(b) wrists together"},
        "gesture": {
            "pretrained": {"coarse_accuracy": estimate(0.4 + seed / 100, 1062)},
            "majority": {"coarse_accuracy": estimate(0.07, 1062)},
        },
        "pose": {
            "test": {
                "pretrained": {"wrist_mpjpe_mm": estimate(full, 1073)},
                "scratch": {"wrist_mpjpe_mm": estimate(scratch, 1073)},
                "mean_pose": {"wrist_mpjpe_mm": estimate(25.8, 1045)},
                "a_new_row": {"wrist_mpjpe_mm": estimate(13.7, 1045)},
            },
            "official_val": {"pretrained": {"wrist_mpjpe_mm": estimate(50.0, 92)}},
        },
        "pretrained_minus_scratch": {
            "wrist_mpjpe_mm": {"by_person": estimate(full - scratch, 1073), "subjects_lower": 4}
        },
        "tokens": {"gates_closed": {"wrist_mpjpe_mm": {"by_person": estimate(0.5, 1073)}}},
        "training": {
            "pretrained": {
                "seconds": {"pretrain": 77.0, "pose": 100.0 + seed},
                "total_s": 177.0 + seed,
                "steps": 807,
            }
        },
    }


def without(node: Any, key: str) -> Any:
    """The same tree without a key, wherever it stands."""
    if not isinstance(node, dict):
        return node
    return {name: without(inner, key) for name, inner in node.items() if name != key}
