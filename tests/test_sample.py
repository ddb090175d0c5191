from __future__ import annotations

import dataclasses

import numpy as np
import torch

from handpose.sample import HandBatch, HandSample, collate


def sample(number: int) -> HandSample:
    rng = np.random.default_rng(number)
    return HandSample(
        image=rng.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        K=np.eye(3, dtype=np.float32),
        view_rotation=rng.normal(size=(3, 3)).astype(np.float32),
        joints_cam=rng.normal(size=(21, 3)).astype(np.float32),
        joint_valid=rng.random(21) < 0.5,
        global_orient=rng.normal(size=3).astype(np.float32),
        hand_pose=rng.normal(size=45).astype(np.float32),
        betas=rng.normal(size=10).astype(np.float32),
        has_mano=bool(number % 2),
        is_left=bool(number % 3),
        coarse=number,
        fine=number + 1,
        sample_id=number + 7,
    )


def test_sample_and_batch_have_the_same_fields() -> None:
    names = [[f.name for f in dataclasses.fields(cls)] for cls in (HandSample, HandBatch)]
    assert names[0] == names[1]


def test_collate_keeps_every_field_in_order() -> None:
    samples = [sample(n) for n in range(4)]
    batch = collate(samples)
    assert len(batch) == 4
    for field in dataclasses.fields(HandSample):
        for one, many in zip(samples, getattr(batch, field.name), strict=True):
            value = getattr(one, field.name)
            found = many.permute(1, 2, 0) if field.name == "image" else many
            assert np.array_equal(value, found.numpy())
    assert batch.coarse.dtype == torch.int64
    assert batch.is_left.dtype == torch.bool
