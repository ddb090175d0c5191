"""MANO's formula in our own words, against smplx."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skinned_hand import SkinnedHand


@pytest.fixture
def without_smplx(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Mano:
    """The stand-in hand as it is where smplx is not installed."""
    found = importlib.util.find_spec

    def hidden(name: str, package: str | None = None) -> Any:
        return None if name == "smplx" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    return Mano.load(stand_in)


def hands(count: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(torch.randn(count, 16, 3, generator=rng))
    return {
        "betas": 2 * torch.randn(count, 10, generator=rng),
        "global_orient": rotations[:, :1],
        "hand_pose": rotations[:, 1:],
    }


def test_it_poses_as_smplx_does(mano: Mano, without_smplx: Mano) -> None:
    assert isinstance(without_smplx.layer, SkinnedHand)
    assert not isinstance(mano.layer, SkinnedHand)
    given = hands(5)
    expected, found = mano.layer(**given), without_smplx.layer(**given)
    torch.testing.assert_close(found.vertices, expected.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.joints, expected.joints, atol=1e-6, rtol=0)


def test_all_else_of_the_hand_is_the_same_without_smplx(mano: Mano, without_smplx: Mano) -> None:
    given = hands(3)
    arguments = given["global_orient"][:, 0], given["hand_pose"], given["betas"]
    for one, other in zip(mano(*arguments), without_smplx(*arguments), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    betas = given["betas"]
    torch.testing.assert_close(
        mano.rest_wrist(betas), without_smplx.rest_wrist(betas), atol=1e-7, rtol=0
    )
    assert not without_smplx.state_dict(), "a checkpoint holds nothing of the hand model"


def test_a_gradient_reaches_every_argument(without_smplx: Mano) -> None:
    given = {name: value.requires_grad_() for name, value in hands(2).items()}
    without_smplx.layer(**given).vertices.square().sum().backward()
    for name, value in given.items():
        assert value.grad is not None and value.grad.abs().amax(-1).min() > 0, name
