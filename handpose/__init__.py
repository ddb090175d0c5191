"""The library: hand model, networks, data, training, evaluation.

No params.yaml, DVC, Prefect or argparse.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["HandEstimate", "HandEstimator"]


def __getattr__(name: str) -> Any:
    """`from handpose import HandEstimator`, by name: no other import of this package waits for it.

    Nor does a stage then count as a user of the estimator's code (`stages/code_digest.py`).
    """
    if name in __all__:
        return getattr(importlib.import_module("handpose.estimator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
