"""A second look: images and hands turn together, and come back to where they were."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from handpose.hand.camera import mirrored_intrinsics, project, turn
from handpose.hand.facing import image_rotation
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import rot6d_to_matrix
from handpose.nets.pose_net import PoseNet
from handpose.nets.second_look import (
    turn_hands_back,
    turn_image,
    turn_intrinsics,
    upright_rotation,
)
from handpose.sample import HandBatch, PoseOutput
from tests.turned_batch import turned_batch

MakePoseNet = Callable[..., PoseNet]
SIDE = 64
CENTRE = (SIDE - 1) / 2


def about_axis(*degrees: float) -> Tensor:
    """(B, 3, 3): x towards y, so clockwise in the image."""
    a = torch.tensor([math.radians(one) for one in degrees])
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a.cos(), -a.sin(), zero, a.sin(), a.cos(), zero, zero, zero, one], -1).view(
        -1, 3, 3
    )


def moved(uv: Tensor, R: Tensor) -> Tensor:
    return turn(uv - CENTRE, R[:, :2, :2]) + CENTRE


def test_the_rotation_turns_the_middle_finger_up() -> None:
    uv = torch.randn(50, 21, 2, generator=torch.Generator().manual_seed(0)) * 10 + 30
    R = upright_rotation(uv)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(50, 3, 3), atol=1e-6, rtol=0)
    assert torch.linalg.det(R).min() > 0.99
    assert image_rotation(moved(uv, R)).abs().max() < 1e-5


def test_a_quarter_turn_of_an_image_is_exact() -> None:
    image = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    turned = turn_image(image, about_axis(90, 180))
    assert torch.equal(turned[0], image[0].rot90(-1, (1, 2)))  # clockwise
    assert torch.equal(turned[1], image[1].flip(1, 2))
    assert turned.dtype == torch.uint8


def test_a_dot_goes_where_the_rotation_takes_its_pixel() -> None:
    u, v = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy")
    at = torch.tensor([[[20.0, 40.0]]])
    dot = 250 * torch.exp(-((u - 20) ** 2 + (v - 40) ** 2) / (2 * 2.0**2))
    for degrees in (17, 118, -60):
        R = about_axis(degrees)
        found = turn_image(dot.round().to(torch.uint8).expand(1, 3, SIDE, SIDE), R)[0, 0].float()
        centre = torch.stack([(u * found).sum(), (v * found).sum()]) / found.sum()
        torch.testing.assert_close(centre, moved(at, R)[0, 0], atol=0.1, rtol=0)


@pytest.mark.parametrize("side_given", [True, False])
def test_what_is_seen_in_a_turned_image_comes_back_as_one_hand(
    side_given: bool, make_pose_net: MakePoseNet, make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    """Joints, vertices, root and pixels agree, and shape, fingers and depth stay."""
    batch = make_batch(4)
    net = make_pose_net(second_look=True, view_heads=True).eval()
    is_left = batch.is_left if side_given else None
    with torch.no_grad():
        hands = net(batch.image, is_left)
        encoded = net.encode(batch.image)
        R = encoded.R
        assert R is not None
        one_look = make_single(net)
        turned = one_look(turn_image(batch.image, R), is_left)
    assert hands.view is not None and turned.view is not None
    torch.testing.assert_close(hands.view.side_logit, turned.view.side_logit)
    torch.testing.assert_close(turn(hands.joints, R), turned.joints, atol=1e-6, rtol=0)
    torch.testing.assert_close(turn(hands.vertices, R), turned.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved(hands.uv, R), turned.uv, atol=1e-4, rtol=0)
    for name in ("betas", "depth_rel", "coarse_logits"):
        torch.testing.assert_close(getattr(hands, name), getattr(turned, name))
    torch.testing.assert_close(hands.rotmat[:, 1:], turned.rotmat[:, 1:])
    torch.testing.assert_close(rot6d_to_matrix(hands.rot6d), hands.rotmat)
    left = batch.is_left if side_given else hands.view.side_logit > 0
    posed = mano(hands.rotmat[:, 0], hands.rotmat[:, 1:], hands.betas).joints
    posed = mirror_points(posed - posed[:, :1], left)
    torch.testing.assert_close(posed, hands.joints, atol=1e-6, rtol=0)


def test_a_hand_averaged_with_its_mirror_image_is_mirrored_with_the_image(
    make_pose_net: MakePoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    """Whatever the network has learnt: a side cannot be preferred any more."""
    batch = turned_batch(make_batch(4))
    net = make_pose_net(view_heads=True, ray_input=True).eval()
    assert net.rays is not None
    torch.nn.init.normal_(net.rays.weight)
    image, K = batch.image.flip(-1), mirrored_intrinsics(batch.K, SIDE)
    with torch.no_grad():
        hands = net.decode(net.encode(batch.image, batch.K, mirrored=True), batch.is_left)
        flipped = net.decode(net.encode(image, K, mirrored=True), ~batch.is_left)
        alone = net(batch.image, batch.is_left, batch.K)
    everywhere = torch.ones(4, dtype=torch.bool)
    assert hands.view is not None and flipped.view is not None
    torch.testing.assert_close(hands.view.side_logit, -flipped.view.side_logit)
    torch.testing.assert_close(hands.view.facing_logits, flipped.view.facing_logits)
    for name in ("betas", "depth_rel", "rotmat", "rot6d"):
        torch.testing.assert_close(getattr(hands, name), getattr(flipped, name))
    for name in ("joints", "vertices"):
        found, other = getattr(hands, name), getattr(flipped, name)
        torch.testing.assert_close(found, mirror_points(other, everywhere))
    u = flipped.uv[..., 0]
    torch.testing.assert_close(hands.uv[..., 0], SIDE - 1 - u, atol=1e-4, rtol=0)
    assert (hands.joints - alone.joints).abs().max() > 1e-5, "and alone it prefers one"


def test_turned_intrinsics_see_turned_points_where_the_image_went(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch, R = make_batch(4, side=SIDE), about_axis(30, 200, -75, 90)
    for seen in (batch, turned_batch(batch)):
        found = project(turn(seen.joints_cam, R), turn_intrinsics(seen.K, R, SIDE))
        expected = moved(project(seen.joints_cam, seen.K), R)
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_the_second_look_is_cut_by_whoever_has_the_photo(
    make_pose_net: MakePoseNet, image: Tensor
) -> None:
    net = make_pose_net(second_look=True).eval()
    seen: list[Tensor] = []

    def cut(R: Tensor) -> Tensor:
        seen.append(R)
        return turn_image(image, R)

    with torch.no_grad():
        own, given = net.encode(image), net.encode(image, cut=cut)
    assert own.R is not None and torch.equal(seen[0], own.R)
    torch.testing.assert_close(own.gesture.coarse_logits, given.gesture.coarse_logits)


def make_single(net: PoseNet) -> PoseNet:
    """The same network, which looks once."""
    net.second_look = False
    return net


def test_training_and_networks_without_it_look_once(
    make_pose_net: MakePoseNet, image: Tensor
) -> None:
    twice, once = make_pose_net(second_look=True), make_pose_net(second_look=False)
    assert twice.train().encode(image).R is None
    assert once.eval().encode(image).R is None
    assert twice.eval().encode(image).R is not None


def test_turning_back_by_nothing_changes_nothing(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    with torch.no_grad():
        hands = make_pose_net().eval()(image, is_left)
    same = turn_hands_back(hands, torch.eye(3).expand(4, 3, 3), is_left, SIDE)
    for field in dataclasses.fields(PoseOutput):
        if field.name not in ("view", "uv_mano", "confidence_input", "confidence"):
            torch.testing.assert_close(getattr(same, field.name), getattr(hands, field.name))
