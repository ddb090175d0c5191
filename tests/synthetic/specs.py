"""The synthetic data set of the default parameters, and variants of it."""

from __future__ import annotations

from typing import Any

from handpose.synthetic.dataset_plan import DatasetSpec
from stages.params import SynthesizeParams


def make_spec(**changes: Any) -> DatasetSpec:
    """Default parameters but for these."""
    return DatasetSpec(**{**SynthesizeParams().keywords(without={"workers"}), **changes})
