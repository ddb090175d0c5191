"""EANet: its parameter counts, a second implementation in numpy, gradients, sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from handpose.hand.mano import Mano
from handpose.hand.rotation import matrix_to_axis_angle, rot6d_to_matrix
from handpose.nets.backbone import BackboneError
from handpose.nets.eanet.eanet import VOXEL_PX, EaNet
from handpose.nets.eanet.extract_adapt import FuseFormer
from handpose.nets.gesture_net import GestureNet
from handpose.sample import HandBatch
from handpose.training.loss.eanet_loss import TERMS, EaNetLoss
from tests.nets.eanet.numpy_eanet import NumpyEaNet

MakeEaNet = Callable[..., EaNet]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def published(mano: Mano) -> MakeEaNet:
    """EANet's own size, without memory."""

    def make(projections: Literal[1, 2]) -> EaNet:
        with torch.device("meta"):
            gesture_net = GestureNet(
                backbone="resnet50",
                feature_location="",
                weights="",
                frozen_stages=0,
                image_px=256,
                imagenet_normalisation=False,
                gesture_levels=(32,),
                gesture_hidden=0,
                gesture_dropout=0.0,
                coarse_classes=27,
                fine_classes=35,
            )
            return EaNet(
                gesture_net,
                mano,
                projections=projections,
                dim=512,
                heads=4,
                encoder_layers=4,
                fusion_layers=4,
                volume_depth=8,
                depth_range_m=0.15,
                turn_camera=False,
                side_input=False,
            )

    return make


def test_a_backbone_of_patches_is_refused(make_eanet: MakeEaNet) -> None:
    fault = r"at pixel 32 i, where no ConvNeXt has the centre of a cell; set"
    with pytest.raises(BackboneError, match=fault):
        make_eanet(backbone="convnext_atto")


@pytest.mark.parametrize(("projections", "parameters"), [(1, 92_805_877), (2, 93_855_989)])
def test_single_hand_has_the_published_number_of_parameters(
    published: MakeEaNet, projections: Literal[1, 2], parameters: int
) -> None:
    net = published(projections)
    parts = net.gesture_net.backbone, net.position_net, net.rotation_net
    assert sum(map(count, parts)) == parameters
    assert count(net) == parameters + count(net.gesture_net.heads)


def test_blocks_have_the_published_numbers_and_make_up_the_two_hands(published: MakeEaNet) -> None:
    net = published(2)
    block, rotation_net = net.position_net.extract_adapt, net.rotation_net
    assert count(net.gesture_net.backbone) == 23_508_032
    assert count(rotation_net.blocks[0]) == count(block.extract.similar[0]) == 3_150_848
    assert count(block.adapt.cross[0]) == 3_149_312
    assert count(block.extract) == count(block.adapt) == 26_416_128
    assert {type(block.extract), type(block.adapt)} == {FuseFormer}
    two_hands = count(block.project) + 3 * count(block.extract) + 2 * count(block.merge)
    assert two_hands == 83_451_904
    positions = two_hands + 2 * count(net.position_net.volume)
    assert positions == 83_796_304
    relative_translation = count(nn.Linear(2048, 512)) + count(nn.Linear(512, 3))
    rotations = 2 * count(rotation_net) + relative_translation
    assert rotations == 29_433_885
    assert count(net.gesture_net.backbone) + positions + rotations == 136_738_221


@pytest.mark.parametrize("projections", [1, 2])
def test_forward_is_that_of_a_second_implementation(
    make_eanet: MakeEaNet, projections: int
) -> None:
    net = make_eanet(96, projections=projections, encoder_layers=2, side_input=False).eval()
    rng = torch.Generator().manual_seed(1)
    state = net.state_dict()
    for name, value in state.items():  # as first made, volumes and norms hardly do anything
        if name.startswith(("position_net", "rotation_net")) and value.is_floating_point():
            drawn = torch.randn(value.shape, generator=rng)
            centred = name.endswith(("running_var", "norm.weight"))
            scale = 6.0 if "volume" in name else 1.0
            value.copy_(drawn.abs() + 0.5 if centred else 0.3 * scale * drawn)
    image = torch.randint(0, 256, (2, 3, 96, 96), generator=rng, dtype=torch.uint8)
    is_left = torch.tensor([False, True])
    with torch.no_grad():
        encoded = net.encode(image)
        output = net.decode(encoded, is_left)
    second = NumpyEaNet({k: v.numpy() for k, v in state.items()}, heads=2, depth=4)
    for k, level in enumerate(encoded.levels[VOXEL_PX].numpy()):
        hand = {name: torch.tensor(x).float() for name, x in second.hand(level).items()}
        voxels = hand["voxels"]
        assert voxels.std(0).min() > 0.1, "the volumes say something"
        close = torch.testing.assert_close
        close(output.uv[k], 32 * voxels[:, :2], atol=1e-2, rtol=0)
        close(output.depth_rel[k], (voxels[:, 2] / 4 - 0.5) * 0.4, atol=1e-4, rtol=0)
        close(output.betas[k], hand["betas"], atol=1e-4, rtol=1e-4)
        rotations = torch.tensor(Rotation.from_rotvec(hand["axis_angle"].numpy()).as_matrix())
        close(rot6d_to_matrix(output.rot6d[k]), rotations.float(), atol=2e-3, rtol=0)
        pose = hand["axis_angle"][1:].numpy() + net.mano.hands_mean.view(15, 3).numpy()
        full = torch.tensor(Rotation.from_rotvec(pose).as_matrix()).float()
        assert (output.rotmat[k, 1:] - full).abs().max() < 5e-3
        # the camera sees MANO's own joints, of which the output has those about the wrist
        assert output.uv_mano is not None
        seen = output.uv_mano[k] / VOXEL_PX
        s = hand["camera"][0]
        close(seen - seen[:1], s * output.joints[k, :, :2], atol=1e-3, rtol=1e-3)
    right = net.mano(output.rotmat[:, 0], output.rotmat[:, 1:], output.betas).joints
    camera = torch.stack(
        [torch.tensor(second.hand(x)["camera"]) for x in encoded.levels[VOXEL_PX].numpy()]
    ).float()
    wrist = right[:, 0, :2] * torch.stack([torch.tensor([1.0, 1]), torch.tensor([-1.0, 1])])
    assert output.uv_mano is not None
    expected = (camera[:, :1] * wrist + camera[:, 1:]) * 32
    torch.testing.assert_close(output.uv_mano[:, 0], expected, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize(("projections", "side_input"), [(1, False), (2, True)])
def test_gradient_of_the_loss_reaches_every_parameter(
    make_eanet: MakeEaNet,
    make_batch: Callable[..., HandBatch],
    projections: int,
    side_input: bool,
) -> None:
    net = make_eanet(projections=projections, side_input=side_input)
    for module in net.gesture_net.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):  # timm closes a ResNet's branches for the first step
            nn.init.ones_(module.weight)
    batch = make_batch(4)
    loss = EaNetLoss(net.mano, dict.fromkeys(TERMS, 1.0), net.depth_range_m, net.volume_depth)
    terms = loss(net(batch.image, batch.is_left), batch)
    assert tuple(terms) == TERMS
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_manos_losses_do_not_move_the_positions(
    make_eanet: MakeEaNet, make_batch: Callable[..., HandBatch]
) -> None:
    net, batch = make_eanet(), make_batch(2)
    output = net(batch.image, batch.is_left)
    (output.joints.sum() + output.betas.sum()).backward()
    assert net.position_net.volume.weight.grad is None
    assert net.position_net.extract_adapt.merge[0].weight.grad is not None


def test_first_weights_are_those_of_eanet(make_eanet: MakeEaNet) -> None:
    net = make_eanet(dim=64)
    for name, module in [*net.position_net.named_modules(), *net.rotation_net.named_modules()]:
        if isinstance(module, nn.Linear | nn.Conv2d):
            std = 0.01 if isinstance(module, nn.Linear) else 0.001
            assert module.weight.std().item() == pytest.approx(std, rel=0.2), name
            assert module.bias is None or not module.bias.any(), name
    position = net.position_net.extract_adapt.extract.similar_position
    assert position.std().item() == pytest.approx(1, rel=0.2)
    assert torch.equal(
        position, make_eanet(dim=64).position_net.extract_adapt.extract.similar_position
    )


def test_other_side_is_the_mirrored_mesh_of_the_same_features(
    make_eanet: MakeEaNet, make_batch: Callable[..., HandBatch]
) -> None:
    image, is_left = make_batch(4).image, make_batch(4).is_left
    net = make_eanet(side_input=False).eval()
    with torch.no_grad():
        one, other = net(image, is_left), net(image, ~is_left)
    torch.testing.assert_close(other.vertices, one.vertices * torch.tensor([-1.0, 1, 1]))
    assert torch.equal(other.rotmat, one.rotmat) and torch.equal(other.uv, one.uv)
    sided = make_eanet(side_input=True).eval()
    with torch.no_grad():
        one, other = sided(image, is_left), sided(image, ~is_left)
    assert not torch.allclose(other.rot6d, one.rot6d)
    assert torch.equal(other.uv, one.uv)


def test_joints_are_mirrored_where_a_mirrored_image_has_them(make_eanet: MakeEaNet) -> None:
    net = make_eanet(side=64)
    pixels = torch.tensor([0.0, 20, 63])
    voxels = torch.stack([pixels / 32, torch.ones(3), torch.zeros(3)], -1)[None].repeat(2, 1, 1)
    right, left = net._as_right(voxels, torch.tensor([False, True]))
    assert torch.equal(right, voxels[0])
    torch.testing.assert_close(32 * left[:, 0], 63 - pixels)
    assert torch.equal(left[:, 1:], voxels[0, :, 1:])


def test_an_unknown_side_is_refused(make_eanet: MakeEaNet, image: Tensor) -> None:
    net = make_eanet().eval()
    with torch.no_grad(), pytest.raises(ValueError, match="must be given the side"):
        net.decode(net.encode(image), None)


def test_pose_is_relative_to_manos_mean(make_eanet: MakeEaNet, image: Tensor, mano: Mano) -> None:
    output = make_eanet().eval()(image, torch.zeros(4, dtype=torch.bool))
    parameters = matrix_to_axis_angle(rot6d_to_matrix(output.rot6d))
    own = mano.hand(
        parameters[:, 0], parameters[:, 1:].flatten(1), output.betas, torch.zeros(4) > 0
    )
    torch.testing.assert_close(output.vertices, own.vertices, atol=1e-5, rtol=0)
