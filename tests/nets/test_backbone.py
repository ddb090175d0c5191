from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor

from handpose.nets.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, BackboneError

NAME = "hrnet_w18_small"


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


def test_no_network_for_imagenet_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **keywords: Any) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BackboneError, match=r"no route to the hub.*set encoder.weights to a"):
        Backbone(name=NAME, weights="imagenet")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BackboneError, match=r"hrnet_w19.*hrnet_w18_small, .*hrnet_w32"):
        Backbone(name="hrnet_w19")


def test_side_that_hrnet_cannot_halve_five_times_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"\(80, 80\) px.*multiples of 32"):
        Backbone(name=NAME)(torch.zeros(1, 3, 80, 80, dtype=torch.uint8))


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
