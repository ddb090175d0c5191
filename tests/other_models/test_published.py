"""The loaders against a second implementation, the published counts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.other_models.published import ARCHITECTURES, PublishedModel
from handpose.other_models.weights_file import WeightsError, read_weights
from tests.other_models import second_networks
from tests.other_models.conftest import BESIDE, SHAPES, SIZES, TINY, write_checkpoint
from tests.other_models.second_networks import Size, State

NAMES = ["HaMeR", "WiLoR"]
COUNTS = {"HaMeR": 670_409_837, "WiLoR": 639_280_928}
"""Of the published checkpoints, without MANO and the discriminator."""


def built(name: str, mano: Mano, **sizes: int) -> torch.nn.Module:
    (found,) = (a for a in ARCHITECTURES if a.name == name)
    return found.build(mano, **sizes)


def load(path: Path, mano: Mano, name: str) -> PublishedModel:
    return PublishedModel.load(path, mano, device="cpu", **SIZES[name])


# --- the full size -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_published_size_has_the_published_names_shapes_and_count(name: str, mano: Mano) -> None:
    with torch.device("meta"):
        net = built(name, mano)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]
    found = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    assert found == SHAPES[name](Size())


# --- the numbers ---------------------------------------------------------------------------------


def second(
    name: str, state: State, crop: NDArray[np.float32], mano: Mano
) -> tuple[NDArray[np.float64], ...]:
    if name == "HaMeR":
        return second_networks.hamer(state, crop.astype(np.float64), TINY)

    def vertices(rotations: NDArray[np.float64], betas: NDArray[np.float64]) -> Any:
        root, pose, shape = (
            torch.tensor(x[None], dtype=torch.float32) for x in (rotations[0], rotations[1:], betas)
        )
        return mano(root, pose, shape).vertices[0].double().numpy()

    return second_networks.wilor(state, crop.astype(np.float64), TINY, vertices)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_implementation_gives_the_same_hands(
    name: str,
    mano: Mano,
    states: dict[str, State],
    checkpoints: dict[str, Path],
    crops: NDArray[np.float32],
) -> None:
    model = load(checkpoints[name], mano, name)
    assert model.name == name
    found = model(torch.from_numpy(crops))
    for k, crop in enumerate(crops):
        expected = second(name, states[name], crop, mano)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours[k].numpy(), theirs, rtol=1e-4, atol=1e-4)
    spread = (found.rot6d[0] - found.rot6d[1]).abs().max()
    assert spread > 1e-2, "the two hands must differ, or any constant would pass"


def test_the_encoder_does_not_see_the_outer_columns(
    mano: Mano, checkpoints: dict[str, Path], crops: NDArray[np.float32]
) -> None:
    model = load(checkpoints["HaMeR"], mano, "HaMeR")
    image = torch.from_numpy(crops)
    expected = model(image)
    image = image.clone()
    image[..., :32], image[..., -32:] = 0, 255
    assert (model(image).rot6d == expected.rot6d).all()
    image[..., 32] = 0
    assert (model(image).rot6d != expected.rot6d).any()


# --- what a file may hold ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_manos_arrays_and_the_discriminator_are_left_out_and_counted(
    name: str, mano: Mano, checkpoints: dict[str, Path]
) -> None:
    model = load(checkpoints[name], mano, name)
    assert model.left_out == {"mano": 2, "discriminator": 1, "initialized": 1}
    words = {key.split(".")[0] for key in model.net.state_dict()}
    assert not words & {key.split(".")[0] for key in BESIDE}
    assert not any(p.requires_grad for p in model.net.parameters())


def test_weights_of_half_precision_become_float32(
    mano: Mano, states: dict[str, State], tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "half.ckpt", states["HaMeR"])
    half = {name: tensor.half() for name, tensor in read_weights(path).items()}
    torch.save(half, tmp_path / "bare.pt")  # a state dict without Lightning's frame
    net = load(tmp_path / "bare.pt", mano, "HaMeR").net
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_a_checkpoint_of_another_architecture_is_refused(
    mano: Mano, states: dict[str, State], tmp_path: Path
) -> None:
    deeper = write_checkpoint(tmp_path / "deeper.ckpt", states["HaMeR"])
    sizes = {**SIZES["HaMeR"], "depth": 1, "token_mlp": 24}
    with pytest.raises(WeightsError) as refused:
        PublishedModel.load(deeper, mano, device="cpu", **sizes)
    text = str(refused.value)
    assert f"{deeper}: has mano_head.* as HaMeR has, but is of another architecture" in text
    assert "12 unknown (backbone.blocks.1.norm1.weight, " in text
    assert "of another shape (mano_head.transformer.transformer.layers.0.2.fn.net.0.weight" in text
    assert "(40, 48) instead of (24, 48)" in text

    without = {k: v for k, v in states["WiLoR"].items() if "last_norm" not in k}
    path = write_checkpoint(tmp_path / "without.ckpt", without)
    with pytest.raises(WeightsError, match=r"2 missing \(backbone.last_norm.weight, "):
        load(path, mano, "WiLoR")

    other = write_checkpoint(tmp_path / "resnet.ckpt", {"conv1.weight": np.zeros((2, 2))})
    with pytest.raises(WeightsError, match=r"neither mano_head.* of HaMeR nor refine_net.* of WiL"):
        load(other, mano, "WiLoR")


def test_without_weights_it_is_said_where_they_are_and_under_which_licences(
    mano: Mano, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError) as refused:
        PublishedModel.load(tmp_path / "hamer.ckpt", mano)
    text = str(refused.value)
    assert f"{tmp_path / 'hamer.ckpt'}: not found" in text
    for part in ("geopavlakos/hamer", "under MIT", "under CC BY-NC-ND 4.0", "MANO: non-comm"):
        assert part in text
    with pytest.raises(WeightsError, match="is a folder"):
        PublishedModel.load(tmp_path, mano)
