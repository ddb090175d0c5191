from __future__ import annotations

import torch

from handpose.nets.mano_head import ManoHead


def test_starts_near_the_mean_pose_and_the_mean_shape() -> None:
    mean = torch.randn(16, 6)
    head = ManoHead(joints=21, dim=32, features=10, mean_rot6d=mean)
    rot6d, betas = head(torch.randn(3, 21, 32), torch.rand(3, 21, 3), torch.randn(3, 10))
    assert rot6d.shape == (3, 16, 6)
    assert betas.shape == (3, 10)
    assert (rot6d - mean).abs().max() < 0.3
    assert betas.abs().max() < 0.3


def test_every_input_is_read() -> None:
    head = ManoHead(joints=21, dim=32, features=10, mean_rot6d=torch.randn(16, 6))
    inputs = [torch.randn(3, 21, 32), torch.rand(3, 21, 3), torch.randn(3, 10)]
    rot6d, _ = head(*inputs)
    for place in range(3):
        changed = [-x if i == place else x for i, x in enumerate(inputs)]
        assert not torch.allclose(rot6d, head(*changed)[0])


def test_without_a_global_feature_none_is_read() -> None:
    head = ManoHead(joints=21, dim=32, features=0, mean_rot6d=torch.randn(16, 6))
    tokens, uvd = torch.randn(3, 21, 32), torch.rand(3, 21, 3)
    for one, other in zip(
        head(tokens, uvd, torch.randn(3, 10)), head(tokens, uvd, torch.randn(3, 10)), strict=True
    ):
        assert torch.equal(one, other)
