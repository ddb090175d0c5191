"""HRNet or ResNet by timm: an image in, feature maps at strides 4, 8, 16 and 32 out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.errors import HandPoseError
from handpose.file_content import recognise

Stride = Literal[4, 8, 16, 32]
STRIDES: tuple[Stride, ...] = (4, 8, 16, 32)
"""Strides of the four levels (HRNet's branches, ResNet's stages), fine to deep."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneFamily:
    """Networks of timm that share the names of their parts."""

    prefix: str  # of timm's name
    title: str
    stages: tuple[tuple[str, ...], ...]  # timm's module names of the four stages, in forward order
    classifier: tuple[str, ...]  # parts of a whole classifier that the four levels do not have


FAMILIES = (
    BackboneFamily(
        "hrnet_",
        "HRNet",
        (
            ("conv1", "bn1", "conv2", "bn2", "layer1"),
            ("transition1", "stage2"),
            ("transition2", "stage3"),
            ("transition3", "stage4", "incre_modules"),
        ),
        ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier."),
    ),
    BackboneFamily(
        "resnet",
        "ResNet",
        (("conv1", "bn1", "layer1"), ("layer2",), ("layer3",), ("layer4",)),
        ("fc.",),
    ),
)
"""The networks whose cells are known to look where `Backbone` says; tests measure it."""


class BackboneError(HandPoseError):
    """The backbone's name, weights or input cannot be used."""


class Backbone(nn.Module):
    """A timm HRNet or ResNet that normalises its own input and names its levels by stride.

    **Cell i of the level with stride s looks at pixel s i**, whatever the weights: the strided
    convolutions do so by themselves, HRNet's upsampling of the deeper branches by
    `AlignedUpsample`. Weights lie channels-last, which convolutions on CPU and GPU like best.
    """

    hrnet: Any
    """timm's network, if it is an HRNet; the name is that of its weights."""

    resnet: Any
    """Likewise, if it is a ResNet."""

    def __init__(
        self,
        *,
        name: str,
        feature_location: Literal["", "incre"] = "",
        weights: str = "",
        imagenet_normalisation: bool = True,
        frozen_stages: int = 0,
    ) -> None:
        """The network of this timm name.

        Args:
            name: timm's name, e.g. hrnet_w18_small, hrnet_w32 or resnet50.
            feature_location: '' for the raw branches (C, 2C, 4C, 8C channels), 'incre' for the
                128/256/512/1024 channels of the classification head's first part, which a ResNet
                does not have.
            weights: '' random; 'imagenet' fetched by timm; or a file (.pth, .safetensors) with
                timm's names.
            imagenet_normalisation: subtract ImageNet's mean and divide by its deviation; without
                it the input is RGB in [0, 1].
            frozen_stages: so many of the four stages, from the image on, keep their weights and
                their batch statistics.

        Raises:
            BackboneError: unknown name, a feature location that it does not have, or weights that
                cannot be fetched or do not fit.
        """
        super().__init__()
        family = _family(name)
        net = _create(name, feature_location, pretrained=weights == "imagenet")
        if weights not in ("", "imagenet"):
            _load(net, Path(weights), name, family)
        _align_upsampling(net)
        self._part = family.title.lower()
        self.add_module(self._part, net)
        info = net.feature_info
        self.channels: dict[int, int] = dict(zip(info.reduction(), info.channels(), strict=True))

        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if imagenet_normalisation else ((0.0,), (1.0,))
        scale = 1 / (255 * torch.tensor(std))
        shift = -torch.tensor(mean) / torch.tensor(std)
        self.register_buffer("scale", scale.view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(-1, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

        names = [module for stage in family.stages[:frozen_stages] for module in stage]
        self._frozen = [module for n in names if (module := getattr(net, n)) is not None]
        for module in self._frozen:
            module.requires_grad_(False)
        self.to(memory_format=torch.channels_last)
        self.train()

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Feature maps by stride: image (B, 3, S, S) uint8 RGB -> {s: (B, C_s, S / s, S / s)}.

        Raises:
            BackboneError: S is not a multiple of 32.
        """
        if image.shape[-1] % STRIDES[-1] or image.shape[-2] % STRIDES[-1]:
            raise BackboneError(
                f"the image is {tuple(image.shape[-2:])} px; the encoder needs sides that are "
                f"multiples of {STRIDES[-1]}: set encoder.image_px to one"
            )
        x = image.to(self.scale.dtype, memory_format=torch.channels_last)
        levels = getattr(self, self._part)(x * self.scale + self.shift)
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
    (factor - 1) cells to the right of and below where it looks: 5 to 8 px of the image in the mean
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
    found = [family for family in FAMILIES if name.startswith(family.prefix)]
    if not found or not timm.is_model(name):
        known = ", ".join(n for f in FAMILIES for n in timm.list_models(f"{f.prefix}*"))
        titles = " or ".join(family.title for family in FAMILIES)
        raise BackboneError(
            f"encoder.backbone {name!r} is no {titles} of timm {timm.__version__}; it knows {known}"
        )
    return found[0]


def _create(name: str, feature_location: str, *, pretrained: bool) -> Any:
    """The network by timm, its four levels only: a stem at stride 2 is not one of them."""
    options: dict[str, Any] = {"feature_location": feature_location}
    if _family(name).title != "HRNet":
        if feature_location:
            raise BackboneError(
                f"encoder.feature_location is {feature_location}, which only an HRNet has, but "
                f"encoder.backbone is {name}; set encoder.feature_location to ''"
            )
        options = {}
    try:
        net = timm.create_model(
            name,
            pretrained=pretrained,
            features_only=True,
            out_indices=(1, 2, 3, 4),
            **options,
        )
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

    wanted = net.state_dict()
    missing = sorted(key for key in wanted if key not in state)
    extra = sorted(k for k in state if k not in wanted and not k.startswith(family.classifier))
    shapes = sorted(k for k in wanted if k in state and state[k].shape != wanted[k].shape)
    if missing or extra or shapes:
        raise BackboneError(
            f"encoder.weights: {path} does not fit {name}: {len(missing)} entries missing "
            f"{missing[:3]}, {len(extra)} unknown {extra[:3]}, {len(shapes)} of another shape "
            f"{shapes[:3]}; it must hold the state dict of timm's {name}"
        )
    net.load_state_dict({key: state[key] for key in wanted})
