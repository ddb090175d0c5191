from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.loss.gesture_loss import (
    TEMPERATURE,
    GestureLoss,
    coarse_disagreement,
    supervised_contrastive,
)
from tests.training.loss.pose_outputs import without_annotation


def constant(fine_weight: float) -> GestureLoss:
    """Stage 1's loss with the same lambda in every epoch."""
    return GestureLoss(fine_weight, 0, 1, fine_weight)


def test_gesture_loss_weighs_the_fine_classes(batch: HandBatch) -> None:
    output = GestureOutput(torch.zeros(4, 6), torch.zeros(4, 9), torch.zeros(4, 1))
    losses = constant(0.25)(output, batch)
    assert losses["coarse"] == pytest.approx(torch.tensor(6.0).log().item())
    assert losses["fine"] == pytest.approx(0.25 * torch.tensor(9.0).log().item())


def test_either_gesture_loss_can_be_left_out(batch: HandBatch) -> None:
    """The weight of one is 0, and the other is what it was."""
    logits = torch.randn(4, 6), torch.randn(4, 9)
    output = GestureOutput(*logits, torch.zeros(4, 1))
    both = constant(0.5)(output, batch)
    coarse = constant(0.0)(output, batch)
    fine = dataclasses.replace(constant(0.5), coarse_weight=0.0)(output, batch)
    assert coarse["coarse"] == both["coarse"] and coarse["fine"] == 0
    assert fine["fine"] == both["fine"] and fine["coarse"] == 0


def test_lambda_grows_with_the_epochs_and_is_at_its_maximum_without_one(batch: HandBatch) -> None:
    output = GestureOutput(torch.zeros(4, 6), torch.zeros(4, 9), torch.zeros(4, 1))
    loss = GestureLoss(
        fine_weight_start=0.0,
        fine_weight_step=0.5,
        fine_weight_every_epochs=2,
        fine_weight_max=0.75,
    )
    weights = [loss(output, batch, epoch)["fine"].item() for epoch in (0, 1, 2, 4, None)]
    expected = torch.tensor([0, 0, 0.5, 0.75, 0.75]) * torch.tensor(9.0).log()
    assert weights == pytest.approx(expected.tolist())


def test_gesture_loss_leaves_unlabelled_samples_out(batch: HandBatch) -> None:
    logits = torch.randn(4, 6), torch.randn(4, 9)
    output = GestureOutput(*logits, torch.zeros(4, 1))
    mixed = constant(1.0)(output, without_annotation(batch, slice(1, None)))
    assert mixed["coarse"] == pytest.approx(F.cross_entropy(logits[0][:1], batch.coarse[:1]).item())
    assert mixed["fine"] == pytest.approx(F.cross_entropy(logits[1][:1], batch.fine[:1]).item())


# --- optional terms: contrastive, and agreement of both heads ------------------------------------

COARSE_OF_FINE = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4, 5])
count = SINGLE_PROCESS.count


def gesture_output(seed: int = 0) -> GestureOutput:
    torch.manual_seed(seed)
    return GestureOutput(torch.randn(4, 6), torch.randn(4, 9), torch.randn(4, 5))


def test_stage_1_has_its_two_terms_unless_asked_for_more(batch: HandBatch) -> None:
    output = gesture_output()
    plain = constant(0.5)(output, batch)
    assert set(plain) == {"coarse", "fine"}
    more = GestureLoss(0.5, 0, 1, 0.5, contrastive=2.0, coarse_of_fine=COARSE_OF_FINE)
    batch = dataclasses.replace(batch, fine=torch.tensor([1, 1, 2, 2]))
    terms, plain = more(output, batch), constant(0.5)(output, batch)
    assert {name: terms[name] for name in plain} == plain
    expected = 2 * supervised_contrastive(output.features, batch.fine, count)
    torch.testing.assert_close(terms["contrastive"], expected)
    apart = coarse_disagreement(output.coarse_logits, output.fine_logits, COARSE_OF_FINE)
    torch.testing.assert_close(terms["hierarchy"], apart.mean())


def contrastive_by_hand(features: Tensor, classes: list[int]) -> float:
    """The same by its formula, sample by sample."""
    unit = [x / x.norm() for x in features]
    losses = []
    for i, own in enumerate(classes):
        others = [j for j, c in enumerate(classes) if j != i and c != UNLABELLED]
        alike = [j for j in others if classes[j] == own]
        if own == UNLABELLED or not alike:
            continue
        total = sum(((unit[i] @ unit[j]) / TEMPERATURE).exp() for j in others)
        shares = [((unit[i] @ unit[j]) / TEMPERATURE).exp() / total for j in alike]
        losses.append(-torch.stack(shares).log().mean())
    return torch.stack(losses).mean().item() if losses else 0.0


@pytest.mark.parametrize(
    "classes",
    [[0, 0, 1, 1, 2, UNLABELLED], [3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 4], [0, 1, 2, 3, 4, 5]],
)
def test_the_contrastive_term_is_its_formula(classes: list[int]) -> None:
    features = torch.randn(6, 8, requires_grad=True)
    found = supervised_contrastive(features, torch.tensor(classes), count)
    assert found.item() == pytest.approx(contrastive_by_hand(features, classes), rel=1e-4)
    found.backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None and features.grad.isfinite().all()
    unlabelled = torch.tensor(classes) == UNLABELLED
    assert not features.grad[unlabelled].any()


@pytest.mark.parametrize("classes", [[UNLABELLED] * 3, [2, UNLABELLED, UNLABELLED]])
def test_without_another_of_its_class_no_sample_is_compared(classes: list[int]) -> None:
    features = torch.randn(3, 8, requires_grad=True)
    found = supervised_contrastive(features, torch.tensor(classes), count)
    found.backward()  # type: ignore[no-untyped-call]
    assert found == 0 and features.grad is not None and not features.grad.any()


def test_the_contrastive_term_knows_directions_alone_and_falls_as_classes_part() -> None:
    features, classes = torch.randn(6, 8), torch.tensor([0, 0, 1, 1, 2, 2])
    near = supervised_contrastive(features, classes, count)
    torch.testing.assert_close(
        near, supervised_contrastive(features * torch.rand(6, 1).add(0.5), classes, count)
    )
    apart = F.one_hot(classes, 8).float()  # each class in a direction of its own
    least = supervised_contrastive(apart, classes, count)
    assert least < near
    expected = torch.tensor(1 + 4 * np.exp(-1 / TEMPERATURE)).log()
    assert least.item() == pytest.approx(expected.item(), rel=1e-3)


def logits_of(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=1e-30).log()


def test_heads_that_agree_have_no_disagreement_and_others_at_most_log_2() -> None:
    fine = torch.randn(4, 9).softmax(-1)
    coarse = torch.zeros(4, 6).index_add(1, COARSE_OF_FINE, fine)
    agree = coarse_disagreement(logits_of(coarse) + 3, logits_of(fine) - 1, COARSE_OF_FINE)
    torch.testing.assert_close(agree, torch.zeros(4), atol=1e-6, rtol=0)
    one, other = F.one_hot(torch.tensor([0]), 6).float(), F.one_hot(torch.tensor([2]), 9).float()
    worst = coarse_disagreement(logits_of(one), logits_of(other), COARSE_OF_FINE)
    assert worst.item() == pytest.approx(np.log(2), rel=1e-4)
    inner = F.one_hot(torch.tensor([1]), 9).float()  # of coarse class 0 too
    assert coarse_disagreement(logits_of(one), logits_of(inner), COARSE_OF_FINE).abs() < 1e-5


def test_the_disagreement_is_scipys() -> None:
    coarse, fine = torch.randn(4, 6), torch.randn(4, 9)
    summed = np.zeros((4, 6))
    for number, parent in enumerate(COARSE_OF_FINE.tolist()):
        summed[:, parent] += fine.softmax(-1)[:, number].numpy()
    expected = jensenshannon(coarse.softmax(-1).numpy(), summed, axis=1) ** 2
    found = coarse_disagreement(coarse, fine, COARSE_OF_FINE)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_both_heads_learn_to_agree_from_labelled_samples_alone(batch: HandBatch) -> None:
    coarse = torch.randn(4, 6, requires_grad=True)
    fine = torch.randn(4, 9, requires_grad=True)
    output = GestureOutput(coarse, fine, torch.zeros(4, 1))
    loss = GestureLoss(0.5, 0, 1, 0.5, coarse_of_fine=COARSE_OF_FINE)
    term = loss(output, without_annotation(batch, slice(2, 4)))["hierarchy"]
    apart = coarse_disagreement(coarse, fine, COARSE_OF_FINE)
    torch.testing.assert_close(term, apart[:2].mean())
    term.backward()  # type: ignore[no-untyped-call]
    for logits in (coarse, fine):
        assert logits.grad is not None
        assert logits.grad[:2].any(1).all() and not logits.grad[2:].any()
    step = torch.optim.SGD([coarse, fine], lr=5.0)
    step.step()
    after = coarse_disagreement(coarse, fine, COARSE_OF_FINE)
    assert after[:2].sum() < apart[:2].sum()


# --- soft targets --------------------------------------------------------------------------------


def test_targets_of_the_class_alone_are_the_plain_loss(batch: HandBatch) -> None:
    some = dataclasses.replace(batch, fine=torch.tensor([0, UNLABELLED, 2, 3]))
    output = gesture_output()
    plain = constant(0.5)
    hard = dataclasses.replace(plain, coarse_targets=torch.eye(6), fine_targets=torch.eye(9))
    for name, term in plain(output, some).items():
        torch.testing.assert_close(hard(output, some)[name], term)


def test_soft_targets_are_best_met_by_their_own_probabilities(batch: HandBatch) -> None:
    """The least loss is the targets' entropy; unlabelled samples do not count."""
    table = torch.rand(9, 9).softmax(-1)
    some = dataclasses.replace(batch, fine=torch.tensor([0, UNLABELLED, 2, 3]))
    wanted = table[some.fine.clamp(min=0)]
    loss = dataclasses.replace(constant(1.0), fine_targets=table)
    output = gesture_output()
    best = dataclasses.replace(output, fine_logits=wanted.log())
    entropy = -(wanted * wanted.log()).sum(-1)[[0, 2, 3]].mean()
    torch.testing.assert_close(loss(best, some)["fine"], entropy)
    assert loss(output, some)["fine"] > entropy
    nobody = dataclasses.replace(some, fine=torch.full_like(some.fine, UNLABELLED))
    assert loss(output, nobody)["fine"] == 0
