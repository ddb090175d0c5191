from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.sample import HandBatch
from handpose.training.loss.learned_weights import LearnedWeights
from handpose.training.loss.pose_loss import MEASURED, PoseLoss
from tests.training.loss.pose_outputs import DEPTH_RANGE_M, TERMS, changed, random_output


@pytest.fixture
def learned(mano: Mano) -> LearnedWeights:
    weights = dict.fromkeys(TERMS, 2.0)
    return LearnedWeights(PoseLoss(mano, weights, DEPTH_RANGE_M, "annotated"), MEASURED)


def test_learned_weights_start_as_the_fixed_ones(learned: LearnedWeights, batch: HandBatch) -> None:
    output = random_output(4)
    fixed, found = learned(output, batch), learned(output, batch, 0)
    assert list(fixed) == list(found)
    for name, term in fixed.items():
        assert found[name] == term, name
    assert set(learned.factors().values()) == {1.0}


def test_epochs_are_compared_by_the_fixed_weights(
    learned: LearnedWeights, batch: HandBatch
) -> None:
    output = random_output(4)
    before = learned(output, batch)
    torch.nn.init.normal_(learned.log_scales)
    assert learned(output, batch) == before
    assert learned(output, batch, 0)["root"] != before["root"]


def test_a_scale_at_its_best_cancels_the_fixed_weight(
    learned: LearnedWeights, batch: HandBatch, mano: Mano
) -> None:
    output = random_output(4)
    fixed = learned(output, batch)
    torch.stack(list(learned(output, batch, 0).values())).sum().backward()  # type: ignore[no-untyped-call]
    sizes = torch.stack([fixed[name] for name in MEASURED]).detach()
    torch.testing.assert_close(learned.log_scales.grad, 1 - sizes)  # 0 where the size is exp(0)

    def gradient(loss: LearnedWeights) -> tuple[Tensor | None, Tensor | None]:
        """Of the scales and of the betas, each scale being log of its term's size."""
        fields = random_output(4)
        betas = output.betas.detach().requires_grad_()
        same = changed(output, betas=betas, view=fields.view)
        with torch.no_grad():
            sizes = loss(same, batch)
            loss.log_scales.copy_(torch.stack([sizes[name].log() for name in loss.names]))
        loss.zero_grad()
        torch.stack(list(loss(same, batch, 0).values())).sum().backward()  # type: ignore[no-untyped-call]
        return loss.log_scales.grad, betas.grad

    heavy = LearnedWeights(
        PoseLoss(mano, dict.fromkeys(TERMS, 2.0) | {"betas": 50.0}, DEPTH_RANGE_M, "annotated"),
        MEASURED,
    )
    (one, betas), (other, heavy_betas) = gradient(learned), gradient(heavy)
    for grad in (one, other):
        torch.testing.assert_close(grad, torch.zeros(len(MEASURED)), atol=1e-5, rtol=0)
    torch.testing.assert_close(betas, heavy_betas)


def test_a_term_without_annotation_leaves_its_scale_alone(
    learned: LearnedWeights, batch: HandBatch
) -> None:
    torch.nn.init.normal_(learned.log_scales)
    no_fit = dataclasses.replace(batch, has_mano=torch.zeros(4, dtype=torch.bool))
    terms = learned(random_output(4), no_fit, 0)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert learned.log_scales.grad is not None
    moved = {name for name, g in zip(MEASURED, learned.log_scales.grad, strict=True) if g}
    assert set(MEASURED) - moved == {"rotation", "root", "betas", "vertices", "edges"}
    assert all(terms[name] == 0 for name in set(MEASURED) - moved)
