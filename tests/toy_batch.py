"""Batches for networks of a few weights: random pictures and joints, everything annotated."""

from __future__ import annotations

import torch
from torch import Tensor

from handpose.sample import HandBatch


def toy_batch(number: int, size: int, classes: Tensor | None = None) -> HandBatch:
    """The batch of this number, of 4 px pictures; `classes` (size,) are both coarse and fine."""
    rng = torch.Generator().manual_seed(number)
    flags = torch.ones(size, dtype=torch.bool)
    classes = torch.zeros(size, dtype=torch.int64) if classes is None else classes
    return HandBatch(
        image=torch.randint(0, 256, (size, 3, 4, 4), generator=rng, dtype=torch.uint8),
        K=torch.eye(3).expand(size, 3, 3),
        view_rotation=torch.eye(3).expand(size, 3, 3),
        joints_cam=torch.rand(size, 21, 3, generator=rng),
        joint_valid=flags[:, None].expand(size, 21),
        global_orient=torch.zeros(size, 3),
        hand_pose=torch.zeros(size, 45),
        betas=torch.zeros(size, 10),
        has_mano=flags,
        is_left=flags,
        coarse=classes,
        fine=classes,
        sample_id=torch.arange(number * size, (number + 1) * size),
    )
