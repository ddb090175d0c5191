from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.hand.camera import project, turn_back
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import ConfidenceInput, GestureClasses, HandBatch, PoseOutput
from handpose.training.loss.pose_loss import PoseLoss
from stages.params import EncoderParams, LossWeights, PoseNetParams
from tests.turned_batch import turned_batch

MakePoseNet = Callable[..., PoseNet]


def test_output_shapes(make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor) -> None:
    output = make_pose_net()(image, is_left)
    absent = ("view", "uv_mano", "confidence_input", "confidence")
    assert all(getattr(output, name) is None for name in absent)
    tensors = [f.name for f in fields(PoseOutput) if f.name not in absent]
    shapes = {name: tuple(getattr(output, name).shape) for name in tensors}
    assert shapes == {
        "uv": (4, 21, 2),
        "depth_rel": (4, 21),
        "rot6d": (4, 16, 6),
        "rotmat": (4, 16, 3, 3),
        "betas": (4, 10),
        "joints": (4, 21, 3),
        "vertices": (4, 778, 3),
        "coarse_logits": (4, 6),
        "fine_logits": (4, 9),
        "gates": (2,),
    }


@pytest.mark.parametrize(
    ("fusion", "gesture_tokens", "global_feature", "view_heads"),
    [
        ("self", True, False, True),
        ("cross", True, True, False),
        ("self", False, False, False),
        ("cross", False, True, True),
    ],
)
def test_gradient_of_the_loss_reaches_every_parameter(
    fusion: str,
    gesture_tokens: bool,
    global_feature: bool,
    view_heads: bool,
    make_pose_net: MakePoseNet,
    make_batch: Callable[..., HandBatch],
) -> None:
    net = make_pose_net(
        fusion=fusion,
        gesture_tokens=gesture_tokens,
        global_feature=global_feature,
        view_heads=view_heads,
        ray_input=True,
        class_pose=True,
    )
    batch = make_batch(4)
    weights = dict.fromkeys(LossWeights.model_fields, 1.0)
    loss = PoseLoss(net.mano, weights, net.depth_range_m, "annotated")
    terms = loss(net(batch.image, batch.is_left, batch.K), batch)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("backbone", ["convnext_atto", "vit_tiny_patch16_224"])
def test_a_backbone_of_patches_is_trained_whole_and_joints_are_where_it_looks(
    backbone: str, mano: Mano, make_batch: Callable[..., HandBatch]
) -> None:
    torch.manual_seed(0)
    encoder = EncoderParams(backbone=backbone, image_px=64, gesture_dropout=0)
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
    sizes = PoseNetParams(grid=4, dim=16, heads=2, fusion_layers=1, volume_depth=3)
    net = PoseNet(gesture_net, mano, **sizes.keywords())
    batch = make_batch(4)
    loss = PoseLoss(mano, dict.fromkeys(LossWeights.model_fields, 1.0), 0.2, "annotated")
    terms = loss(net(batch.image, batch.is_left, batch.K), batch)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name

    for parameter in net.volume_head.parameters():
        torch.nn.init.zeros_(parameter)
    middle = net(batch.image, batch.is_left, batch.K).uv  # of uniform volumes: the cells' middle
    torch.testing.assert_close(middle, torch.full_like(middle, 31.5))


def test_noise_moves_the_places_in_training_alone(
    make_pose_net: MakePoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    """The heatmaps, which learn where joints are, do not see it."""
    batch = make_batch(4)

    def hands(noise: float, *, train: bool) -> list[PoseOutput]:
        torch.manual_seed(1)
        net = make_pose_net(place_noise=noise).train(train)
        return [net(batch.image, batch.is_left, batch.K) for _ in range(2)]

    for train in (False, True):
        plain, noisy = hands(0.0, train=train), hands(0.1, train=train)
        for k in range(2):
            assert torch.equal(plain[k].uv, noisy[k].uv)
            assert torch.equal(plain[k].rot6d, noisy[k].rot6d) is not train
        assert torch.equal(noisy[0].rot6d, noisy[1].rot6d) is not train


@pytest.mark.parametrize(
    "more",
    [{"refinements": 2}, {"ray_input": True}, {"class_pose": True}, {"place_noise": 0.1}],
)
def test_refinements_and_rays_start_as_the_same_network_without_them(
    more: dict[str, Any], make_pose_net: MakePoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    batch, outputs = make_batch(4), []
    for changes in ({}, more):
        torch.manual_seed(1)
        net = make_pose_net(**changes).eval()
        outputs.append(net(batch.image, batch.is_left, batch.K))
    assert torch.equal(outputs[0].rot6d, outputs[1].rot6d)
    assert torch.equal(outputs[0].vertices, outputs[1].vertices)


def test_hands_start_at_the_expected_pose_of_their_gesture(
    make_pose_net: MakePoseNet, mano: Mano, make_batch: Callable[..., HandBatch]
) -> None:
    """Of both sides alike, since parameters are a right hand's; the root and betas stay."""
    torch.manual_seed(0)
    net, batch = make_pose_net(class_pose=True).eval(), make_batch(4)
    for name in ("pose.2.weight", "shape.2.weight"):
        torch.nn.init.zeros_(net.mano_head.get_parameter(name))  # it gives what it starts from
    hand_pose = 0.3 * torch.randn(9, 45)
    net.set_class_poses(hand_pose, torch.ones(9, dtype=torch.bool))
    encoded = net.encode(batch.image)
    fine = torch.tensor([0, 3, 3, 8])
    sure = dataclasses.replace(encoded.gesture, fine_logits=1e4 * torch.eye(9)[fine])
    output = net.decode(encoded._replace(gesture=sure), batch.is_left)
    torch.testing.assert_close(output.rotmat[:, 1:], mano.rotations(hand_pose[fine]))
    torch.testing.assert_close(output.rotmat[:, 0], torch.eye(3).expand(4, 3, 3))
    again = make_pose_net(class_pose=True).eval()
    again.load_state_dict(net.state_dict())
    same = again.decode(encoded._replace(gesture=sure), batch.is_left)
    assert torch.equal(same.vertices, output.vertices), "the means are part of the weights"
    with pytest.raises(ValueError, match="without class_pose takes no poses of classes"):
        make_pose_net().set_class_poses(hand_pose, torch.ones(9, dtype=torch.bool))


@pytest.mark.parametrize("side_input", [True, False])
@pytest.mark.parametrize("second_look", [True, False])
def test_rays_go_from_the_camera_to_where_the_joints_are_seen(
    second_look: bool,
    side_input: bool,
    make_pose_net: MakePoseNet,
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = turned_batch(make_batch(4))
    net = make_pose_net(ray_input=True, second_look=second_look, side_input=side_input).eval()
    assert net.rays is not None
    seen: list[Tensor] = []
    net.rays.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    encoded = net.encode(batch.image, batch.K)
    output = net.decode(encoded, batch.is_left)
    rays = mirror_points(seen[0], batch.is_left) if side_input else seen[0]
    torch.testing.assert_close(rays.norm(dim=-1), torch.ones(4, 21))
    assert (rays[..., 2] > 0.5).all()
    if encoded.R is not None:
        rays = turn_back(rays, encoded.R)
    torch.testing.assert_close(project(rays, batch.K), output.uv, atol=2e-3, rtol=0)


def test_rays_change_the_parameters_and_nothing_in_the_picture(
    make_pose_net: MakePoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    batch = make_batch(4)
    net = make_pose_net(ray_input=True).eval()
    assert net.rays is not None
    torch.nn.init.normal_(net.rays.weight)
    one = net(batch.image, batch.is_left, batch.K)
    other = net(batch.image, batch.is_left, turned_batch(batch).K)
    assert not torch.allclose(one.rot6d, other.rot6d)
    assert torch.equal(one.uv, other.uv) and torch.equal(one.fine_logits, other.fine_logits)
    with pytest.raises(ValueError, match="must be given K"):
        net(batch.image, batch.is_left)


@pytest.mark.parametrize(("classes", "unused"), [("coarse", "fine"), ("fine", "coarse")])
def test_of_one_kind_of_classes_the_other_head_is_neither_read_nor_trained(
    classes: GestureClasses,
    unused: str,
    make_pose_net: MakePoseNet,
    make_batch: Callable[..., HandBatch],
) -> None:
    net = make_pose_net(token_classes=classes, gate_init=0.5)
    batch = make_batch(4)
    weights = dict.fromkeys(LossWeights.model_fields, 1.0)
    loss = PoseLoss(net.mano, weights, net.depth_range_m, "annotated", net.token_classes)
    output = net(batch.image, batch.is_left)
    assert output.gates.shape == (1,)
    torch.stack(list(loss(output, batch).values())).sum().backward()  # type: ignore[no-untyped-call]
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {f"gesture_net.heads.{unused}.1.{part}" for part in ("weight", "bias")}


def test_other_side_is_the_mirrored_mesh_of_the_same_features(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net(side_input=False).eval()
    one, other = net(image, is_left), net(image, ~is_left)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(other.vertices, one.vertices * mirror)
    torch.testing.assert_close(other.joints, one.joints * mirror)
    assert torch.equal(other.rotmat, one.rotmat)  # parameters are a right hand's
    assert torch.equal(other.uv, one.uv)  # the picture is as seen


def test_side_as_input_changes_the_parameters_and_nothing_in_the_picture(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net(side_input=True).eval()
    one, other = net(image, is_left), net(image, ~is_left)
    assert not torch.allclose(other.rot6d, one.rot6d)
    assert torch.equal(other.uv, one.uv)


def test_hand_is_that_of_its_own_parameters_with_the_wrist_at_the_origin(
    make_pose_net: MakePoseNet, mano: Mano, image: Tensor
) -> None:
    net = make_pose_net().eval()
    output = net(image, torch.zeros(4, dtype=torch.bool))
    right = mano(output.rotmat[:, 0], output.rotmat[:, 1:], output.betas)
    torch.testing.assert_close(output.vertices, right.vertices - right.joints[:, :1])
    torch.testing.assert_close(output.joints[:, 0], torch.zeros(4, 3))
    identity = torch.eye(3).expand(4, 16, 3, 3)
    torch.testing.assert_close(output.rotmat @ output.rotmat.mT, identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.rotmat.det(), torch.ones(4, 16))


def test_starts_near_the_given_pose_or_manos_mean(
    make_pose_net: MakePoseNet, mano: Mano, image: Tensor, is_left: Tensor
) -> None:
    start = axis_angle_to_matrix(torch.randn(16, 3))
    given = make_pose_net(mean_rotations=start).eval()(image, is_left)
    assert (given.rotmat - start).abs().max() < 0.5
    default = make_pose_net().eval()(image, is_left)
    mean = mano.rotations(torch.zeros(1, 45))
    assert (default.rotmat[:, 1:] - mean).abs().max() < 0.5
    assert (default.rotmat[:, 0] - torch.eye(3)).abs().max() < 0.5


def test_places_stay_inside_crop_and_depth_range(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net()
    torch.nn.init.normal_(net.volume_head.logits.weight, std=100)  # volumes of one sharp peak
    output = net(image, is_left)
    last = 64 - 64 / 6  # px, of the last of six cells
    assert output.uv.min() >= -1e-3 and output.uv.max() <= last + 1e-3
    assert output.uv.min() < 5 and output.uv.max() > last - 5
    assert output.depth_rel.abs().max() <= net.depth_range_m + 1e-6


def test_closed_gates_make_the_pose_deaf_to_the_classifier(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net(gate_init=0.0).eval()
    before = net(image, is_left)
    torch.nn.init.normal_(net.gesture_net.heads.coarse.get_parameter("1.weight"))
    after = net(image, is_left)
    assert not torch.allclose(before.coarse_logits, after.coarse_logits)
    assert torch.equal(before.rot6d, after.rot6d)


def test_other_gates_replace_the_learnt_ones(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net, closed = make_pose_net(gate_init=0.5).eval(), torch.zeros(2)
    encoded = net.encode(image)
    deaf = net.decode(encoded, is_left, closed)
    assert not torch.allclose(deaf.rot6d, net(image, is_left).rot6d)
    with torch.no_grad():
        net.get_parameter("gesture_tokens.gates").zero_()
    assert torch.equal(deaf.rot6d, net(image, is_left).rot6d)


@pytest.mark.parametrize("global_feature", [True, False])
def test_logits_reach_the_pose_past_the_tokens_only_by_the_global_feature(
    global_feature: bool, make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    """Without it, what another image's classifier sees can enter by the tokens alone."""
    net = make_pose_net(global_feature=global_feature).eval()
    encoded = net.encode(image)
    other = dataclasses.replace(encoded.gesture, features=encoded.gesture.features.flip(0))
    same = torch.equal(
        net.decode(encoded, is_left).rot6d,
        net.decode(encoded._replace(gesture=other), is_left).rot6d,
    )
    assert same is not global_feature


def test_stage_1s_dropout_is_off_in_stage_2(mano: Mano, image: Tensor, is_left: Tensor) -> None:
    encoder = EncoderParams(image_px=64, gesture_dropout=0.5)
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
    net = PoseNet(gesture_net, mano, **PoseNetParams(grid=6, dim=32, heads=2).keywords()).train()
    levels = net.gesture_net.backbone(image)
    first, second = (net.gesture_net.gestures(levels).coarse_logits for _ in range(2))
    assert net.gesture_net.backbone.training
    assert torch.equal(first, second)


def test_stage_1_weights_load_and_no_byte_of_mano_is_saved(
    make_pose_net: MakePoseNet, gesture_net: GestureNet
) -> None:
    net = make_pose_net()
    torch.nn.init.normal_(gesture_net.heads.coarse.get_parameter("1.weight"))
    net.gesture_net.load_state_dict(gesture_net.state_dict())
    assert not [key for key in net.state_dict() if key.startswith("mano.")]
    assert not list(net.mano.parameters())


def test_bf16_keeps_places_and_mesh_in_single_precision(
    make_pose_net: MakePoseNet, mano: Mano, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net().eval()
    with torch.autocast("cpu", torch.bfloat16):
        output = net(image, ~(is_left | True))
    for name in ("uv", "depth_rel", "rot6d", "rotmat", "betas", "joints", "vertices"):
        assert getattr(output, name).dtype == torch.float32, name
    right = mano(output.rotmat[:, 0], output.rotmat[:, 1:], output.betas)
    torch.testing.assert_close(
        output.vertices, right.vertices - right.joints[:, :1], atol=1e-6, rtol=0
    )


def test_papers_size_is_a_matter_of_keywords(mano: Mano) -> None:
    encoder = EncoderParams(
        backbone="hrnet_w32", feature_location="incre", gesture_levels=(32,), gesture_hidden=1024
    )
    pose_net = PoseNetParams(
        pose_levels=(16, 32), grid=16, dim=512, heads=8, encoder_layers=2, fusion_layers=4
    )
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=54, fine_classes=70)
    net = PoseNet(gesture_net, mano, **pose_net.keywords()).eval()
    with torch.no_grad():
        output = net(torch.zeros(1, 3, 256, 256, dtype=torch.uint8), torch.tensor([True]))
    assert output.vertices.shape == (1, 778, 3)
    assert 60e6 < sum(p.numel() for p in net.parameters()) < 75e6


def test_view_heads_see_the_image_and_not_the_side_that_is_told(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net(view_heads=True).eval()
    one, other = net(image, is_left).view, net(image, ~is_left).view
    assert one is not None and other is not None
    assert one.side_logit.shape == (4,) and one.facing_logits.shape == (4, 3)
    assert torch.equal(one.side_logit, other.side_logit)
    assert torch.equal(one.facing_logits, other.facing_logits)
    mirrored = net(image.flip(-1), is_left).view
    assert mirrored is not None and not torch.equal(one.side_logit, mirrored.side_logit)


def test_confidence_input_carries_no_gradient_and_is_of_evaluation_alone(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net()
    assert net.train()(image, is_left).confidence_input is None
    found = net.eval()(image, is_left).confidence_input
    assert found is not None
    shapes = {f.name: tuple(getattr(found, f.name).shape) for f in fields(ConfidenceInput)}
    assert shapes == {
        "features": (4, net.gesture_net.heads.features),
        "tokens": (4, 21, 32),
        "spread": (4, 21, 3),
        "flip_difference": (4, 21, 3),
        "rot6d_flip_difference": (4, 16),
    }
    assert (found.spread > 0).all()
    for field in fields(ConfidenceInput):
        assert not getattr(found, field.name).requires_grad


def test_passes_of_an_image_and_its_mirror_image_tell_how_they_differ(
    make_pose_net: MakePoseNet, image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net().eval()
    with torch.no_grad():
        one = net.decode(net.encode(image), is_left)
        both = net.decode(net.encode(image, mirrored=True), is_left)
        other = net.decode(net.encode(image.flip(-1)), ~is_left)
    first, mean, second = one.confidence_input, both.confidence_input, other.confidence_input
    assert first is not None and mean is not None and second is not None
    assert not first.flip_difference.any() and not first.rot6d_flip_difference.any()
    side = image.shape[-1] - 1
    u, v = (one.uv - torch.stack([side - other.uv[..., 0], other.uv[..., 1]], -1)).unbind(-1)
    depth = (one.depth_rel - other.depth_rel) / net.depth_range_m
    expected = torch.stack([2 * u / side, 2 * v / side, depth], -1).abs()
    torch.testing.assert_close(mean.flip_difference, expected, atol=1e-5, rtol=0)
    turned = (one.rot6d - other.rot6d).norm(dim=-1)
    torch.testing.assert_close(mean.rot6d_flip_difference, turned, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean.tokens, (first.tokens + second.tokens) / 2)
