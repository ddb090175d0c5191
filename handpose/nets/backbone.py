"""HRNet, ResNet, ConvNeXt or ViT by timm: an image in, maps at strides 4, 8, 16 and 32 out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.nets.vit_pyramid import VitPyramid

Stride = Literal[4, 8, 16, 32]
STRIDES: tuple[Stride, ...] = (4, 8, 16, 32)
"""Strides of the four levels (HRNet's branches, the others' stages), fine to deep."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneFamily:
    """Networks of timm that share the names of their parts."""

    title: str
    names: str  # regular expression of timm's names, without the tag of their weights
    classifier: tuple[str, ...]  # parts of a whole classifier that the four levels do not have
    stages: tuple[tuple[str, ...], ...] = ()  # timm's names of the four stages' modules, in order
    levels: tuple[int, int, int, int] = (1, 2, 3, 4)  # timm's numbers of the four, if there are
    centred: bool = False  # see `Backbone`


FAMILIES = (
    BackboneFamily(
        "HRNet",
        r"hrnet_.*",
        ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier."),
        (
            ("conv1", "bn1", "conv2", "bn2", "layer1"),
            ("transition1", "stage2"),
            ("transition2", "stage3"),
            ("transition3", "stage4", "incre_modules"),
        ),
    ),
    BackboneFamily(
        "ResNet",
        r"resnet\d+[cs]?(_gn)?",  # d, t: averages before it halves, up to 4 px off
        ("fc.",),
        (("conv1", "bn1", "layer1"), ("layer2",), ("layer3",), ("layer4",)),
    ),
    BackboneFamily(
        "ConvNeXt",
        r"convnext(v2)?_(?!.*_ols).*",  # "ols" is a stem whose patches overlap
        ("head.", "norm_pre."),
        (("stem_0", "stem_1", "stages_0"), ("stages_1",), ("stages_2",), ("stages_3",)),
        levels=(0, 1, 2, 3),  # its stem is no level
        centred=True,
    ),
    BackboneFamily(
        "ViT",
        r"vit_(tiny|small|base|large)_patch16_(224|384)",
        ("head.", "fc_norm."),
        centred=True,
    ),
)
"""The networks whose cells are known to be centred where `Backbone` says; tests measure it."""


class BackboneError(HandPoseError):
    """The backbone's name, weights or input cannot be used."""


class Backbone(nn.Module):
    """A network of `FAMILIES` that normalises its own input and names its levels by stride.

    **Cell i of the level with stride s is centred at pixel s i**, whatever the weights, of an HRNet
    or a ResNet: of the strided convolutions by themselves, of HRNet's upsampling of the deeper
    branches by `AlignedUpsample`. Of a ConvNeXt or a ViT, which cut the image into patches, it is
    centred at the middle of s pixels, s i + (s - 1) / 2; then `centred` is true, and what makes
    coordinates of cells must know it. Weights lie channels-last, which is fastest for convolutions
    on CPU and GPU.
    """

    hrnet: Any
    """timm's network, if it is an HRNet; the name is that of its weights."""

    resnet: Any
    """Likewise, if it is a ResNet."""

    convnext: Any
    """Likewise, if it is a ConvNeXt."""

    vit: Any
    """Likewise with its pyramid, if it is a ViT."""

    def __init__(
        self,
        *,
        name: str,
        feature_location: Literal["", "incre"] = "",
        weights: str = "",
        imagenet_normalisation: bool = True,
        frozen_stages: int = 0,
        image_px: int = 224,
    ) -> None:
        """The network of this timm name.

        Args:
            name: timm's name, e.g. hrnet_w18_small, resnet50, convnext_atto, vit_tiny_patch16_224.
            feature_location: '' for the raw branches (C, 2C, 4C, 8C channels), 'incre' for the
                128/256/512/1024 channels of the classification head's first part, which only an
                HRNet has.
            weights: '' random; 'imagenet' fetched by timm; or a file (.pth, .safetensors) with
                timm's names. A ViT's positions are resampled to `image_px`.
            imagenet_normalisation: subtract the mean and divide by the deviation with which timm's
                weights of this name were trained: ImageNet's, or 0.5 and 0.5 for most ViTs; without
                it the input is RGB in [0, 1].
            frozen_stages: so many of the four stages, from the image on, keep their weights and
                their batch statistics; of a ViT so many quarters of its blocks.
            image_px: side of the images. A ViT takes no other, as its positions are made for it;
                the others take any multiple of 32.

        Raises:
            BackboneError: unknown name, a feature location that it does not have, or weights that
                cannot be fetched or do not fit.
        """
        super().__init__()
        family = _family(name)
        net = _create(name, family, feature_location, image_px, pretrained=weights == "imagenet")
        if weights not in ("", "imagenet"):
            _load(net, Path(weights), name, family)
        _align_upsampling(net)
        self.channels: dict[int, int]
        stages: list[list[Any]]
        if family.stages:
            info = net.feature_info
            self.channels = dict(zip(info.reduction(), info.channels(), strict=True))
            stages = [[getattr(net, part) for part in stage] for stage in family.stages]
        else:
            net = VitPyramid(net)
            self.channels, stages = net.channels, net.stages()
        self.title, self.centred = family.title, family.centred
        self._part = family.title.lower()
        self.add_module(self._part, net)

        mean, std = _normalisation(name) if imagenet_normalisation else ((0.0,), (1.0,))
        scale = 1 / (255 * torch.tensor(std))
        shift = -torch.tensor(mean) / torch.tensor(std)
        self.register_buffer("scale", scale.view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(-1, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

        frozen = [part for stage in stages[:frozen_stages] for part in stage if part is not None]
        for part in frozen:
            part.requires_grad_(False)
        self._frozen = [part for part in frozen if isinstance(part, nn.Module)]
        self.to(memory_format=torch.channels_last)
        self.train()

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Feature maps by stride: image (B, 3, S, S) uint8 RGB -> {s: (B, C_s, S / s, S / s)}.

        Raises:
            BackboneError: S is not a multiple of 32, or not the side that a ViT is made for.
        """
        if image.shape[-1] % STRIDES[-1] or image.shape[-2] % STRIDES[-1]:
            raise BackboneError(
                f"the image is {tuple(image.shape[-2:])} px; the encoder needs sides that are "
                f"multiples of {STRIDES[-1]}: set encoder.image_px to one"
            )
        net = getattr(self, self._part)
        if isinstance(net, VitPyramid) and image.shape[-2:] != (net.image_px, net.image_px):
            raise BackboneError(
                f"the image is {tuple(image.shape[-2:])} px, but this ViT's positions are made for "
                f"encoder.image_px {net.image_px}: give it crops of that side"
            )
        x = image.to(self.scale.dtype, memory_format=torch.channels_last)
        levels = net(x * self.scale + self.shift)
        return dict(zip(self.channels, levels, strict=True))

    def train(self, mode: bool = True) -> Backbone:
        """Training mode for all but the frozen stages, whose batch statistics stay as they are."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


class AlignedUpsample(nn.Module):
    """A map enlarged so that its cell i becomes cell `factor` i, linear in between.

    HRNet repeats each cell instead (nearest), so that a deeper branch enters the others up to
    (factor - 1) cells to the right of and below its centre: 5 to 8 px of the image in the mean
    at strides 8 and 4 before training, 3 px after it. Nothing is learnt here, so weights made for
    HRNet fit.
    """

    def __init__(self, factor: int) -> None:
        """By this whole number."""
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, factor H, factor W); the last cells are repeated."""
        height, width = (self.factor * n + 1 for n in x.shape[-2:])
        padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
        enlarged = F.interpolate(padded, (height, width), mode="bilinear", align_corners=True)
        return enlarged[..., :-1, :-1]


def _align_upsampling(net: nn.Module) -> None:
    """Replace HRNet's upsampling by repetition, in place."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Upsample) and isinstance(child.scale_factor, float):
                setattr(module, name, AlignedUpsample(int(child.scale_factor)))


def _family(name: str) -> BackboneFamily:
    """What is known of the networks of this kind.

    Raises:
        BackboneError: nothing, or timm has none of this name.
    """
    architecture, _, tag = name.partition(".")
    found = [family for family in FAMILIES if re.fullmatch(family.names, architecture)]
    if not found or not timm.is_model(architecture):
        fault = "no network of this name is in timm"
        if timm.is_model(architecture):
            fault = (
                "not supported, for it is not known that its feature cells are centred where the "
                "heatmaps need them"
            )
        raise BackboneError(
            f"encoder.backbone {name!r}: {fault}. Supported with timm {timm.__version__}: "
            f"{', '.join(known_names())}"
        )
    if tag and name not in (tagged := timm.list_pretrained(f"{architecture}.*")):
        raise BackboneError(
            f"encoder.backbone {name!r}: timm {timm.__version__} has no weights {tag!r} of "
            f"{architecture}; it knows {', '.join(tagged) or 'none'}"
        )
    return found[0]


def known_names() -> list[str]:
    """The networks that `Backbone` takes, by timm's names, family by family."""
    names = timm.list_models()
    return [name for f in FAMILIES for name in names if re.fullmatch(f.names, name)]


def _normalisation(name: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation of RGB in [0, 1] that timm's weights of this name were trained with."""
    made = timm.get_pretrained_cfg(name)
    return (made.mean, made.std) if made else (IMAGENET_MEAN, IMAGENET_STD)


def _create(
    name: str, family: BackboneFamily, feature_location: str, image_px: int, *, pretrained: bool
) -> Any:
    """The network by timm: its four levels only (a stem at stride 2 is none), or a ViT's trunk."""
    options: dict[str, Any] = {"features_only": True, "out_indices": family.levels}
    if family.title == "HRNet":
        options["feature_location"] = feature_location
    elif feature_location:
        raise BackboneError(
            f"encoder.feature_location is {feature_location}, which only an HRNet has, but "
            f"encoder.backbone is {name}; set encoder.feature_location to ''"
        )
    elif family.title == "ViT":
        options = {"img_size": image_px, "num_classes": 0, "global_pool": ""}
    try:
        net = timm.create_model(name, pretrained=pretrained, **options)
    except Exception as error:  # the hub client raises many kinds, none of them promised
        if not pretrained:
            raise
        raise BackboneError(
            f"cannot fetch the ImageNet weights of {name}: {type(error).__name__}: {error}. "
            "encoder.weights: imagenet needs a network (or timm's cache); on a machine without one "
            f"set encoder.weights to a downloaded file of timm's {name}, or to '' for random ones"
        ) from error
    return net


def _load(net: nn.Module, path: Path, name: str, family: BackboneFamily) -> None:
    """Fill the network from a file; a whole timm classifier fits too, its head is left out."""
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BackboneError(
            f"encoder.weights: {path} not found; give '', 'imagenet' or an existing file"
        ) from None
    except Exception as error:  # each format has its own kinds of errors
        other = recognise(path) if path.is_file() else None
        is_known = other is not None and other.kind not in ("torch", "zip", "pickle")
        raise BackboneError(
            f"encoder.weights: {path} is not a readable state dict: "
            f"{f'it {other}' if is_known else error}"
        ) from error

    wanted = {_name_in_file(key): value for key, value in net.state_dict().items()}
    if "pos_embed" in wanted and "pos_embed" in state:
        state["pos_embed"] = _resampled(state["pos_embed"], net)
    missing = sorted(key for key in wanted if key not in state)
    extra = sorted(k for k in state if k not in wanted and not k.startswith(family.classifier))
    shapes = sorted(k for k in wanted if k in state and state[k].shape != wanted[k].shape)
    if missing or extra or shapes:
        raise BackboneError(
            f"encoder.weights: {path} does not fit {name}: {len(missing)} entries missing "
            f"{missing[:3]}, {len(extra)} unknown {extra[:3]}, {len(shapes)} of another shape "
            f"{shapes[:3]}; it must hold the state dict of timm's {name}"
        )
    net.load_state_dict({key: state[_name_in_file(key)] for key in net.state_dict()})


def _name_in_file(key: str) -> str:
    """What timm's file calls it: only the levels' network has stem_0 and stages_1 of ConvNeXt."""
    return re.sub(r"^(stem|stages)_(\d+)\.", r"\1.\2.", key)


def _resampled(positions: Tensor, vit: Any) -> Tensor:
    """A file's positions (1, N, C), learnt at another side of the image, for the ViT's own side.

    As they are where N is no square of patches; then their shape is refused.
    """
    prefix, grid = vit.num_prefix_tokens, vit.patch_embed.grid_size
    patches = positions.shape[1] - prefix if positions.dim() == 3 else -1
    if patches < 1 or math.isqrt(patches) ** 2 != patches:
        return positions
    resampled: Tensor = resample_abs_pos_embed(positions, grid, num_prefix_tokens=prefix)
    return resampled
