"""The hand model of `params.yaml`, with the joints that its data set annotates."""

from __future__ import annotations

from pathlib import Path

from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import FILE, Mano
from stages.sections.dataset import DataParams, HandParams

TIPS = {"interhand": "interhand", "folder": "smplx"}
"""Whose fingertips by `data.format`: keys of `TIP_VERTICES`. Synthetic data are in InterHand2.6M's
format, so their annotated joints are by the same definition."""


BENCHMARK_TIPS = {
    "freihand": "freihand",
    **{f"ho3d_{version}": "ho3d" for version in ("v2", "v3")},
    **{f"dexycb_{setup}": "intaghand" for setup in ("s0", "s1", "s2", "s3")},
}
"""The same by key of `data.benchmarks`, which is the name of the split that is evaluated."""


def joint_definition(hand: HandParams, data: DataParams) -> JointDefinition:
    """The data set's definition of the 21 joints.

    Raises:
        JointError: `hand.joint_regressor` is not in `hand.mano`, or is another file.
    """
    return JointDefinition.load(TIPS[data.format], hand.mano, hand.joint_regressor)


def load_hand_model(hand: HandParams, data: DataParams, split: str = "") -> Mano:
    """The hand model in `hand.mano`, with the joints that are annotated.

    Args:
        hand: the section.
        data: the section.
        split: that is evaluated; a benchmark has joints of its own.

    Raises:
        ManoError: see `Mano.load`.
        JointError: see `joint_definition`.
    """
    own = JointDefinition(BENCHMARK_TIPS[split]) if split in BENCHMARK_TIPS else None
    return Mano.load(hand.mano, own or joint_definition(hand, data))


def hand_files(hand: HandParams) -> list[Path]:
    """The files in `hand.mano` that `load_hand_model` reads; they need not be there."""
    names = [FILE, *filter(None, [hand.joint_regressor])]
    return [Path(hand.mano) / name for name in names]
