from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor

from handpose.nets.backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    AlignedUpsample,
    Backbone,
    BackboneError,
    known_names,
)
from handpose.nets.volumetric import CellGrid
from tests.wrong_files import WRONG, spoil

NAME = "hrnet_w18_small"
CONVNEXT, VIT = "convnext_atto", "vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("location", "channels"), [("", (16, 32, 64, 128)), ("incre", (128, 256, 512, 1024))]
)
def test_levels_are_named_by_stride(
    location: Literal["", "incre"], channels: tuple[int, ...], image: Tensor
) -> None:
    backbone = Backbone(name=NAME, feature_location=location)
    assert backbone.channels == dict(zip((4, 8, 16, 32), channels, strict=True))
    for stride, level in backbone(image).items():
        assert level.shape == (4, backbone.channels[stride], 64 // stride, 64 // stride)


@pytest.mark.parametrize(
    ("name", "channels"), [(CONVNEXT, (40, 80, 160, 320)), (VIT, (48, 96, 192, 192))]
)
def test_levels_of_networks_of_patches_are_named_by_stride(
    name: str, channels: tuple[int, ...], image: Tensor
) -> None:
    backbone = Backbone(name=name, image_px=64)
    assert backbone.channels == dict(zip((4, 8, 16, 32), channels, strict=True))
    for stride, level in backbone(image).items():
        assert level.shape == (4, backbone.channels[stride], 64 // stride, 64 // stride)


def opened(backbone: Backbone) -> Backbone:
    """With the residual branches of a ResNet or a ConvNeXt, which timm's first weights close."""
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
        if isinstance(gamma := getattr(module, "gamma", None), torch.nn.Parameter):
            torch.nn.init.ones_(gamma)
    return backbone


def test_levels_of_a_resnet_are_those_of_eanet() -> None:
    with torch.device("meta"):
        backbone = Backbone(name="resnet50.tv_in1k")
    assert backbone.channels == {4: 256, 8: 512, 16: 1024, 32: 2048}
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 23_508_032


@pytest.mark.parametrize(
    ("name", "location", "centred"),
    [
        (NAME, "", False),
        (NAME, "incre", False),
        ("resnet18", "", False),
        ("resnet50", "", False),
        (CONVNEXT, "", True),
        ("convnextv2_atto", "", True),
        (VIT, "", True),
    ],
)
def test_cell_i_looks_where_the_grid_has_it(
    name: str, location: Literal["", "incre"], centred: bool
) -> None:
    """The centre of what changes a cell, by squared gradient over the image, before training.

    Pixel s i, or s i + (s - 1) / 2 with patches. With HRNet's own upsampling (repetition) it lies
    7, 6 and 4 px up and left at /4, /8 and /16.
    """
    torch.manual_seed(0)
    backbone = opened(Backbone(name=name, feature_location=location, image_px=256)).eval()
    assert backbone.centred is centred
    side, pixels = 256, torch.arange(256.0)
    for stride, tolerance in ((4, 1.0), (8, 1.0), (16, 2.0), (32, 2.0)):
        first = (stride - 1) / 2 if centred else 0.0
        middle, half = side // stride // 2, max(1, 16 // stride)
        cells = range(middle - half, middle + half)  # inner ones, of every phase of 32 px
        shifts = []
        for _ in range(2):
            image = torch.randint(0, 256, (1, 3, side, side)).float().requires_grad_()
            level = backbone(image)[stride][0]  # (C, side / s, side / s)
            direction = torch.randn(len(level))
            for cell in cells:
                score = (level[:, cell, cell] * direction).sum()
                (gradient,) = torch.autograd.grad(score, image, retain_graph=True)
                weight = gradient[0].square().sum(0)  # (S, S)
                u, v = (weight.sum(0) @ pixels, weight.sum(1) @ pixels)
                shifts.append((u + v).item() / 2 / weight.sum().item() - stride * cell - first)
        assert abs(sum(shifts) / len(shifts)) < tolerance, (stride, shifts)


@pytest.mark.parametrize("name", [NAME, "resnet18", CONVNEXT, VIT])
def test_a_dot_at_pixel_p_is_found_in_the_cells_around_p(name: str) -> None:
    torch.manual_seed(0)
    backbone = opened(Backbone(name=name, image_px=256)).eval()
    grey = torch.full((1, 3, 256, 256), 128.0)
    with torch.no_grad():
        plain = backbone(grey)
        shifts: dict[int, list[float]] = {stride: [] for stride in plain}
        for p in range(112, 144, 5):
            dotted = grey.clone()
            dotted[..., p, p] = 255
            for stride, level in backbone(dotted).items():
                change = (level - plain[stride])[0].square().sum(0)  # (side / s, side / s)
                grid = CellGrid(256, len(change), backbone.centred)
                cells = (grid.centres() + 1) / 2 * 255  # px
                centre = (change.sum(0) @ cells + change.sum(1) @ cells) / 2
                shifts[stride].append((centre / change.sum()).item() - p)
    for stride, tolerance in ((4, 1.0), (8, 1.0), (16, 2.0), (32, 2.0)):
        mean = sum(shifts[stride]) / len(shifts[stride])
        assert abs(mean) < tolerance, (stride, shifts[stride])


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_aligned_upsampling_keeps_cells_at_their_pixels(factor: int) -> None:
    coarse = torch.randn(2, 3, 4, 5)
    fine = AlignedUpsample(factor)(coarse)
    assert fine.shape == (2, 3, 4 * factor, 5 * factor)
    torch.testing.assert_close(fine[..., ::factor, ::factor], coarse)
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    expected = (torch.arange(5.0 * factor) / factor).clamp(max=4)
    torch.testing.assert_close(AlignedUpsample(factor)(ramp)[0, 0, 0], expected)


def first_input(backbone: Backbone, image: Tensor) -> Tensor:
    """What HRNet's first convolution is given."""
    seen: list[Tensor] = []
    backbone.hrnet.conv1.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    backbone(image)
    return seen[0]


def test_normalisation_is_imagenets_or_zero_to_one(image: Tensor) -> None:
    plain = first_input(Backbone(name=NAME, imagenet_normalisation=False), image)
    torch.testing.assert_close(plain, image / 255)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(
        first_input(Backbone(name=NAME), image), (image / 255 - mean) / std, atol=1e-5, rtol=0
    )


def test_a_vit_is_normalised_as_its_own_weights_want_it(image: Tensor) -> None:
    backbone, seen = Backbone(name=VIT, image_px=64), []
    first = backbone.vit.trunk.patch_embed.proj
    first.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    backbone(image)
    torch.testing.assert_close(seen[0], image / 127.5 - 1, atol=1e-5, rtol=0)


def test_convolutions_see_channels_last(image: Tensor) -> None:
    given = first_input(Backbone(name=NAME), image)
    assert given.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_of_a_whole_classifier_file_fit(suffix: str, tmp_path: Path) -> None:
    state = timm.create_model(NAME).state_dict()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    loaded = Backbone(name=NAME, weights=str(path)).hrnet.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_a_convnext_takes_a_whole_classifier_and_freezes_its_stages(tmp_path: Path) -> None:
    state = timm.create_model(CONVNEXT).state_dict()
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    backbone = Backbone(
        name=CONVNEXT, weights=str(tmp_path / "weights.safetensors"), frozen_stages=3
    )
    image = torch.randint(0, 256, (1, 3, 64, 64)).float()
    whole: Any = timm.create_model(CONVNEXT)
    whole.load_state_dict(state)
    maps = whole.forward_intermediates(
        (image / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        / torch.tensor(IMAGENET_STD).view(3, 1, 1),
        intermediates_only=True,
    )
    for level, expected in zip(backbone(image).values(), maps, strict=True):
        torch.testing.assert_close(level, expected, atol=1e-3, rtol=1e-3)
    trained = [name for name, p in backbone.convnext.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith("stages_3.") for name in trained)


def test_a_vit_takes_a_whole_classifier_of_another_side(tmp_path: Path) -> None:
    """Its positions are resampled: places keep their values, the class token its own."""
    path = tmp_path / "weights.pth"
    state = timm.create_model(VIT).state_dict()
    across = torch.linspace(0, 1, 14).expand(14, 14).reshape(-1, 1)  # grows with u alone
    state["pos_embed"] = torch.cat([torch.full((1, 192), 7.0), across.expand(196, 192)])[None]
    torch.save(state, path)
    trunk = Backbone(name=VIT, weights=str(path), image_px=224).vit.trunk.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in trunk.items())

    trunk = Backbone(name=VIT, weights=str(path), image_px=64).vit.trunk.state_dict()
    positions = trunk.pop("pos_embed")
    assert all(torch.equal(value, state[key]) for key, value in trunk.items())
    assert positions.shape == (1, 17, 192) and bool((positions[:, 0] == 7).all())
    grid = positions[0, 1:, 0].view(4, 4)
    expected = ((torch.arange(4) + 0.5) * 3.5 - 0.5) / 13  # middles of the patches
    torch.testing.assert_close(grid, expected.expand(4, 4), atol=0.02, rtol=0)


def test_positions_of_no_square_are_refused(tmp_path: Path) -> None:
    state = timm.create_model(VIT).state_dict()
    state["pos_embed"] = torch.zeros(1, 1 + 15, 192)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(BackboneError, match=r"1 of another shape \['pos_embed'\]"):
        Backbone(name=VIT, weights=str(tmp_path / "weights.pth"), image_px=64)


def test_quarters_of_a_vit_are_frozen(image: Tensor) -> None:
    backbone = Backbone(name=VIT, image_px=64, frozen_stages=2)
    sum(level.square().mean() for level in backbone(image).values()).backward()
    for name, parameter in backbone.vit.named_parameters():
        part, _, rest = name.removeprefix("trunk.").partition(".")
        frozen = part in ("patch_embed", "pos_embed", "cls_token")
        frozen |= part == "blocks" and int(rest.split(".")[0]) < 6
        assert (parameter.grad is None) == frozen, name


def test_weights_of_another_network_are_refused_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"fc.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(BackboneError, match=r"missing .*'bn1.bias'.*1 unknown \['fc.weight'\]"):
        Backbone(name=NAME, weights=str(path))


def test_weights_that_are_no_state_dict_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("not weights")
    with pytest.raises(BackboneError, match="not a readable state dict"):
        Backbone(name=NAME, weights=str(path))
    with pytest.raises(BackboneError, match="not found"):
        Backbone(name=NAME, weights=str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("kind", ["git-lfs", "login page", "empty", "gzip"])
def test_weights_that_were_not_downloaded_are_called_by_their_name(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(bytes(range(256)))
    spoil(path, kind)
    with pytest.raises(
        BackboneError, match=f"{path} is not a readable state dict: it is "
    ) as error:
        Backbone(name=NAME, weights=str(path))
    assert WRONG[kind] in str(error.value)


def test_no_network_for_imagenet_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **keywords: Any) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BackboneError, match=r"no route to the hub.*set encoder.weights to a"):
        Backbone(name=NAME, weights="imagenet")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BackboneError, match=r"hrnet_w19.*hrnet_w18_small, .*hrnet_w32") as error:
        Backbone(name="hrnet_w19")
    assert "'hrnet_w19': no network of this name is in timm. Supported with" in str(error.value)
    assert {NAME, "resnet18", CONVNEXT, VIT} < set(known_names())


@pytest.mark.parametrize(
    "name",
    ["resnet50d", "convnext_atto_ols", "vit_small_patch14_dinov2", "swin_tiny_patch4_window7_224"],
)
def test_networks_whose_cells_look_elsewhere_are_refused(name: str) -> None:
    assert timm.is_model(name)
    with pytest.raises(BackboneError, match="not known that its feature cells are centred where"):
        Backbone(name=name)


def test_an_unknown_tag_lists_the_known_ones() -> None:
    with pytest.raises(BackboneError, match=r"no weights 'best' of resnet18.*resnet18\.tv_in1k"):
        Backbone(name="resnet18.best")


@pytest.mark.parametrize("name", ["resnet18", CONVNEXT, VIT])
def test_only_an_hrnet_has_incre_maps(name: str) -> None:
    with pytest.raises(BackboneError, match=rf"only an HRNet has.*backbone is {name}.*to ''"):
        Backbone(name=name, feature_location="incre")


def test_a_resnet_takes_a_whole_classifier_and_freezes_its_stages(
    tmp_path: Path, image: Tensor
) -> None:
    state = timm.create_model("resnet18").state_dict()
    torch.save(state, tmp_path / "weights.pth")
    backbone = Backbone(name="resnet18", weights=str(tmp_path / "weights.pth"), frozen_stages=3)
    loaded = backbone.resnet.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    trained = [name for name, p in backbone.resnet.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith("layer4") for name in trained)


def test_side_that_hrnet_cannot_halve_five_times_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"\(80, 80\) px.*multiples of 32"):
        Backbone(name=NAME)(torch.zeros(1, 3, 80, 80, dtype=torch.uint8))


def test_a_vit_takes_the_side_that_its_positions_are_made_for() -> None:
    with pytest.raises(BackboneError, match=r"\(96, 96\) px.*made for encoder.image_px 64"):
        Backbone(name=VIT, image_px=64)(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))


def test_frozen_stages_keep_weights_and_batch_statistics(image: Tensor) -> None:
    backbone = Backbone(name=NAME, frozen_stages=2)
    statistics = backbone.hrnet.state_dict()
    before = {key: value.clone() for key, value in statistics.items() if "running_mean" in key}
    sum(level.mean() for level in backbone(image).values()).backward()
    for name, parameter in backbone.hrnet.named_parameters():
        frozen = name.startswith(("conv", "bn", "layer1", "transition1", "stage2"))
        assert (parameter.grad is None) == frozen, name
    for key, value in before.items():
        moved = not torch.equal(value, statistics[key])
        assert moved == key.startswith(("transition2", "stage3", "transition3", "stage4")), key
