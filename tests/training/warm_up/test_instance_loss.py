"""Two views of an image are told apart from the others', by the formula and by its laws."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from handpose.sample import GestureOutput, HandBatch
from handpose.training.warm_up.instance_loss import TEMPERATURE, VIEWS, InstanceLoss

WIDTH = 12


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(6, side=8)


@pytest.fixture
def loss() -> InstanceLoss:
    torch.manual_seed(0)
    return InstanceLoss(WIDTH)


def output(features: Tensor) -> GestureOutput:
    nothing = torch.zeros(len(features), 1)
    return GestureOutput(nothing, nothing, features)


def test_the_term_is_its_formula(loss: InstanceLoss, batch: HandBatch) -> None:
    features = torch.randn(6, WIDTH)
    with torch.no_grad():
        projected = loss.projection(features).double()
    total = 0.0
    for i in range(6):
        partner = (i + 3) % 6
        similar = {
            k: torch.cosine_similarity(projected[i], projected[k], dim=0).item() / TEMPERATURE
            for k in range(6)
            if k != i
        }
        total += math.log(sum(map(math.exp, similar.values()))) - similar[partner]
    terms = loss(output(features), batch)
    assert set(terms) == {"instances"}
    assert terms["instances"].item() == pytest.approx(total / 6, rel=1e-4)


def test_equal_views_of_unlike_images_are_found_and_exchanged_ones_are_not(
    loss: InstanceLoss, batch: HandBatch
) -> None:
    once = torch.randn(3, WIDTH)
    right = output(torch.cat([once] * VIEWS))
    wrong = output(torch.cat([once, once.roll(1, 0)]))
    assert loss.hits(right).all() and not loss.hits(wrong).any()
    assert loss(right, batch)["instances"] < loss(wrong, batch)["instances"]


def test_images_that_look_alike_are_as_hard_as_chance(loss: InstanceLoss, batch: HandBatch) -> None:
    same = output(torch.randn(1, WIDTH).expand(6, WIDTH))
    assert loss(same, batch)["instances"].item() == pytest.approx(math.log(5), rel=1e-4)


def test_no_label_is_read(loss: InstanceLoss, make_batch: Callable[..., HandBatch]) -> None:
    features = output(torch.randn(6, WIDTH))
    one, other = (loss(features, make_batch(6, side=8, seed=seed)) for seed in (0, 1))
    assert one == other


def test_gradients_reach_the_features_and_the_head_that_is_thrown_away(
    loss: InstanceLoss, batch: HandBatch
) -> None:
    features = torch.randn(6, WIDTH, requires_grad=True)
    loss(output(features), batch)["instances"].backward()
    assert features.grad is not None and features.grad.any(1).all()
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())


def test_slices_of_a_batch_divide_by_all_of_its_views(loss: InstanceLoss, batch: HandBatch) -> None:
    """Two processes with 4 and 2 views: the mean of their losses has each view once."""
    slices = [output(torch.randn(n, WIDTH)) for n in (4, 2)]
    shared = [
        loss(one, batch, 0, lambda mask: torch.tensor(6 / 2))["instances"].item() for one in slices
    ]
    alone = [loss(one, batch)["instances"].item() for one in slices]
    assert sum(shared) / 2 == pytest.approx((4 * alone[0] + 2 * alone[1]) / 6, rel=1e-5)


def test_an_odd_number_of_views_is_an_error(loss: InstanceLoss, batch: HandBatch) -> None:
    with pytest.raises(ValueError, match="5 views are not two of each image"):
        loss(output(torch.randn(5, WIDTH)), batch)
