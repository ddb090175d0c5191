"""Side and facing: the order of the fingers and the face of the hand are the side."""

from __future__ import annotations

from collections.abc import Callable

import torch

from handpose.hand.camera import project
from handpose.hand.facing import FACINGS, facing
from handpose.nets.view_heads import ViewHeads, finger_order
from handpose.sample import HandBatch


def test_the_order_of_the_fingers_gives_the_side_of_a_palm_and_of_a_back(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(256)
    order = finger_order(project(batch.joints_cam, batch.K))
    faces = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    palm, back = faces == FACINGS.index("palm"), faces == FACINGS.index("back")
    assert palm.sum() > 40 and back.sum() > 40
    assert torch.equal(order[palm] > 0, batch.is_left[palm])
    assert torch.equal(order[back] > 0, ~batch.is_left[back])


def test_a_mirrored_image_has_the_other_order(make_batch: Callable[..., HandBatch]) -> None:
    uv = project(make_batch(16).joints_cam, make_batch(16).K)
    torch.testing.assert_close(finger_order(uv * torch.tensor([-1.0, 1.0])), -finger_order(uv))
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    torch.testing.assert_close(finger_order(uv @ turn.T), finger_order(uv))


def test_who_knows_the_face_and_the_joints_knows_the_side(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(64)
    torch.manual_seed(0)
    heads = ViewHeads(features=5, dim=4, joints=21)
    heads.side.weight.data.zero_()
    heads.side.bias.data.zero_()
    faces = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    seen = faces != FACINGS.index("edge")
    uv = project(batch.joints_cam, batch.K) / 32 - 1
    positions = torch.cat([uv, torch.zeros_like(uv[..., :1])], -1)
    for face in sorted(set(faces[seen].tolist())):
        heads.facing.weight.data.zero_()
        heads.facing.bias.data = 9.0 * torch.eye(3)[face]
        view = heads(torch.randn(64, 5), torch.randn(64, 21, 4), positions)
        own = faces == face
        assert torch.equal(view.side_logit[own] > 0, batch.is_left[own])
