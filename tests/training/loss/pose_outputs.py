"""Made-up outputs of pose networks, batches without annotation, and the sizes of both."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from handpose.sample import UNLABELLED, HandBatch, PoseOutput
from stages.params import LossWeights

SIDE_PX = 64
"""Side of the crop."""

DEPTH_RANGE_M = 0.2

TERMS = tuple(LossWeights.model_fields)


def changed(output: PoseOutput, **fields: Any) -> PoseOutput:
    return dataclasses.replace(output, **fields)


def random_output(n: int) -> PoseOutput:
    shapes: dict[str, tuple[int, ...]] = {
        "uv": (n, 21, 2),
        "depth_rel": (n, 21),
        "rot6d": (n, 16, 6),
        "rotmat": (n, 16, 3, 3),
        "betas": (n, 10),
        "joints": (n, 21, 3),
        "vertices": (n, 778, 3),
        "coarse_logits": (n, 6),
        "fine_logits": (n, 9),
        "gates": (2,),
    }
    tensors: dict[str, Any] = {k: torch.randn(*s, requires_grad=True) for k, s in shapes.items()}
    return PoseOutput(**tensors)


def without_annotation(batch: HandBatch, which: slice) -> HandBatch:
    """These samples as ingest leaves them when nothing is known: zeros and masks."""
    emptied: dict[str, Any] = {
        "joints_cam": 0.0,
        "joint_valid": False,
        "has_mano": False,
        "global_orient": 0.0,
        "hand_pose": 0.0,
        "betas": 0.0,
        "coarse": UNLABELLED,
        "fine": UNLABELLED,
    }
    fields = {name: getattr(batch, name).clone() for name in emptied}
    for name, value in emptied.items():
        fields[name][which] = value
    return dataclasses.replace(batch, **fields)
