from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation
from sklearn.metrics import confusion_matrix, f1_score
from torch import Tensor

from handpose.evaluation import metrics
from handpose.hand.skeleton import FROM_INTERHAND, MIDDLE_MCP, WRIST

B, V = 5, 40
ALL = torch.ones(B, 21, dtype=torch.bool)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def hands(rng: np.random.Generator, points: int = 21) -> Tensor:
    """Point clouds of a hand's size, somewhere in front of a camera."""
    return torch.from_numpy(rng.normal((0.1, -0.2, 0.7), 0.05, (B, points, 3))).float()


def turned(points: Tensor, rng: np.random.Generator, scale: float) -> Tensor:
    """The same points under a random similarity transform per sample."""
    rotation = torch.from_numpy(Rotation.random(B, rng=rng).as_matrix()).float()
    return scale * points @ rotation.mT + torch.from_numpy(rng.normal(0, 1, (B, 1, 3))).float()


# --- wrist-relative ------------------------------------------------------------------------------


def test_wrist_mpjpe_is_the_plain_loop_over_valid_joints(rng: np.random.Generator) -> None:
    joints, truth = hands(rng), hands(rng)
    valid = torch.from_numpy(rng.random((B, 21)) < 0.7)
    valid[:, WRIST] = True
    expected = []
    for b in range(B):
        errors = [
            np.linalg.norm((joints[b, j] - joints[b, 0]) - (truth[b, j] - truth[b, 0])) * 1000
            for j in range(1, 21)
            if valid[b, j]
        ]
        expected.append(sum(errors) / len(errors))
    torch.testing.assert_close(
        metrics.wrist_mpjpe_mm(joints, truth, valid), torch.tensor(expected), rtol=1e-5, atol=1e-3
    )


def test_wrist_mpjpe_of_a_known_offset_is_that_offset_in_millimetres() -> None:
    truth = torch.zeros(B, 21, 3)
    joints = truth.clone()
    joints[:, 1:, 2] = 0.007
    torch.testing.assert_close(metrics.wrist_mpjpe_mm(joints, truth, ALL), torch.full((B,), 7.0))


def test_wrist_relative_errors_do_not_see_where_the_hand_is(rng: np.random.Generator) -> None:
    joints, truth = hands(rng), hands(rng)
    moved = joints + torch.tensor([0.3, -0.1, 2.0])
    torch.testing.assert_close(
        metrics.wrist_mpjpe_mm(moved, truth, ALL),
        metrics.wrist_mpjpe_mm(joints, truth, ALL),
        rtol=1e-4,
        atol=1e-3,
    )


def test_no_valid_wrist_or_no_other_valid_joint_is_nan_and_not_zero(
    rng: np.random.Generator,
) -> None:
    truth = hands(rng)
    valid = ALL.clone()
    valid[0, WRIST] = False
    valid[1, 1:] = False
    errors = metrics.wrist_mpjpe_mm(truth, truth, valid)
    assert errors.isnan().tolist() == [True, True, False, False, False]
    assert errors[2:].tolist() == [0, 0, 0]


def test_mesh_error_is_relative_to_each_ones_own_wrist(rng: np.random.Generator) -> None:
    mesh, wrist = hands(rng, V), hands(rng, 1)[:, 0]
    shift = torch.tensor([0.2, 0.1, -0.4])
    error = metrics.wrist_mpvpe_mm(mesh + shift, mesh, wrist + shift, wrist)
    torch.testing.assert_close(error, torch.zeros(B), rtol=0, atol=1e-3)
    assert (metrics.wrist_mpvpe_mm(mesh + shift, mesh, wrist, wrist) > 400).all()


# --- Table 2 -------------------------------------------------------------------------------------


def test_table2_is_the_loop_of_the_protocol(rng: np.random.Generator) -> None:
    joints, truth, mesh, true_mesh = hands(rng), hands(rng), hands(rng, V), hands(rng, V)
    for b in range(B):
        j, t = joints[b].double().numpy(), truth[b].double().numpy()
        scale = np.linalg.norm(t[9] - t[0]) / np.linalg.norm(j[9] - j[0])
        errors = 1000 * np.linalg.norm((j - j[9]) * scale - (t - t[9]), axis=1)
        v = (mesh[b].double().numpy() - j[9]) * scale - (true_mesh[b].double().numpy() - t[9])
        one = slice(b, b + 1)
        found = metrics.table2_errors_mm(joints[one], truth[one])[0]
        np.testing.assert_allclose(found, errors, rtol=1e-4, atol=1e-3)
        mpjpe = metrics.table2_mpjpe_mm(joints[one], truth[one])
        np.testing.assert_allclose(mpjpe, [errors.sum() / 20], rtol=1e-4)
        mpvpe = metrics.table2_mpvpe_mm(mesh[one], true_mesh[one], joints[one], truth[one])
        np.testing.assert_allclose(mpvpe, [1000 * np.linalg.norm(v, axis=1).mean()], rtol=1e-4)


def test_table2_does_not_see_place_or_size_but_sees_a_turn(rng: np.random.Generator) -> None:
    truth = hands(rng)
    resized = 1.7 * truth + torch.tensor([0.1, 0.2, 0.3])
    torch.testing.assert_close(
        metrics.table2_mpjpe_mm(resized, truth), torch.zeros(B), rtol=0, atol=1e-3
    )
    assert (metrics.table2_mpjpe_mm(turned(truth, rng, 1.0), truth) > 1).all()


def test_the_zero_dummy_of_a_missing_fit_scores_nan_and_not_zero(rng: np.random.Generator) -> None:
    dummy = torch.zeros(B, 21, 3)
    assert metrics.table2_mpjpe_mm(hands(rng), dummy).isnan().all()
    assert (
        metrics.table2_mpvpe_mm(hands(rng, V), torch.zeros(B, V, 3), hands(rng), dummy)
        .isnan()
        .all()
    )
    totals = metrics.published_totals(
        metrics.table2_errors_mm(hands(rng), dummy), ALL, torch.zeros(B, dtype=torch.bool)
    )
    assert totals.abs().sum() == 0


def test_published_average_is_the_loop_over_42_slots(rng: np.random.Generator) -> None:
    joints, truth = hands(rng), hands(rng)
    is_left = torch.tensor([True, False, False, False, True])
    valid = torch.from_numpy(rng.random((B, 21)) < 0.8)
    valid[:, WRIST] = True
    valid[3, WRIST] = False  # drops the whole sample
    errors = metrics.table2_errors_mm(joints, truth)
    # the evaluator's own indexing: a 42-long mask, right hand first, each in InterHand's order
    means = []
    for slot in range(42):
        hand, j = divmod(slot, 21)
        in_slot = []
        for b in range(B):
            interhand_mask = np.zeros(21, bool)
            interhand_mask[FROM_INTERHAND] = valid[b]
            if bool(is_left[b]) == bool(hand) and interhand_mask[j] and valid[b, WRIST]:
                in_slot.append(float(errors[b, j]))
        if in_slot:
            means.append(np.mean(in_slot))
    totals = metrics.published_totals(errors, valid, is_left).sum(0)
    np.testing.assert_allclose(metrics.published_mpjpe_mm(totals), np.mean(means), rtol=1e-5)


def test_published_average_counts_the_roots_zero_and_both_hands_alike(
    rng: np.random.Generator,
) -> None:
    errors = torch.full((B, 21), 6.0)
    errors[:, MIDDLE_MCP] = 0
    errors[0] *= 3  # the one left hand
    is_left = torch.tensor([True, False, False, False, False])
    totals = metrics.published_totals(errors, ALL, is_left).sum(0)
    assert float(metrics.published_mpjpe_mm(totals)) == pytest.approx((18 + 6) / 2 * 20 / 21)


# --- Procrustes ----------------------------------------------------------------------------------


def scipy_pa_mm(points: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Procrustes by scipy, which allows reflections: the caller avoids them."""
    p, t = points - points.mean(0), truth - truth.mean(0)
    rotation, scale = orthogonal_procrustes(p, t)
    return float(1000 * np.linalg.norm(p @ rotation * scale / (p**2).sum() - t, axis=1).mean())


def test_pa_mpjpe_agrees_with_scipy_where_no_reflection_helps(rng: np.random.Generator) -> None:
    truth = hands(rng)
    joints = turned(truth + 0.01 * torch.from_numpy(rng.normal(size=(B, 21, 3))).float(), rng, 1.3)
    expected = [
        scipy_pa_mm(joints[b].double().numpy(), truth[b].double().numpy()) for b in range(B)
    ]
    np.testing.assert_allclose(metrics.pa_mpjpe_mm(joints, truth), expected, rtol=1e-3)


def test_pa_is_zero_for_a_moved_turned_scaled_hand(rng: np.random.Generator) -> None:
    truth = hands(rng)
    error = metrics.pa_mpjpe_mm(turned(truth, rng, 0.4), truth)
    torch.testing.assert_close(error, torch.zeros(B), rtol=0, atol=2e-3)


def test_pa_does_not_turn_a_left_hand_into_a_right_one(rng: np.random.Generator) -> None:
    truth = hands(rng)
    mirrored = truth * torch.tensor([-1.0, 1.0, 1.0])
    assert (metrics.pa_mpjpe_mm(mirrored, truth) > 5).all()


def test_pa_is_never_above_the_other_alignments(rng: np.random.Generator) -> None:
    joints, truth = hands(rng), hands(rng)
    squared = metrics.pa_errors_mm(joints, truth).square().sum(-1)
    for other in (metrics.table2_errors_mm(joints, truth), metrics.distances_mm(joints, truth)):
        assert (squared <= other.square().sum(-1)).all()


def test_pa_of_the_valid_joints_is_pa_of_those_alone(rng: np.random.Generator) -> None:
    joints, truth = hands(rng), hands(rng)
    valid = ALL.clone()
    valid[:, 15:] = False
    garbage = torch.where(valid[..., None], truth, 0.0)
    torch.testing.assert_close(
        metrics.pa_mpjpe_mm(joints, garbage, valid),
        metrics.pa_mpjpe_mm(joints[:, :15], truth[:, :15]),
        rtol=1e-4,
        atol=1e-3,
    )


def test_pa_of_two_points_is_nan(rng: np.random.Generator) -> None:
    valid = ALL.clone()
    valid[0, 2:] = False
    assert (
        metrics.pa_mpjpe_mm(hands(rng), hands(rng), valid).isnan().tolist() == [True] + [False] * 4
    )


# --- curves, pixels, classes ------------------------------------------------------------


def test_pck_counts_and_auc_of_a_perfect_curve_is_one() -> None:
    errors = torch.tensor([[0.0, 10.0, 30.0, torch.nan]])
    thresholds = torch.tensor([0.0, 10.0, 20.0, 40.0])
    totals = metrics.pck_totals(errors, thresholds)
    assert totals.tolist() == [1, 2, 2, 3, 3]
    expected = torch.tensor([1 / 3, 2 / 3, 2 / 3, 1], dtype=torch.float64)
    torch.testing.assert_close(metrics.pck(totals), expected)
    assert float(metrics.auc(torch.ones(11))) == pytest.approx(1)
    assert float(metrics.auc(torch.linspace(0, 1, 11))) == pytest.approx(0.5)


def test_uv_error_is_in_pixels_over_valid_joints() -> None:
    truth = torch.zeros(2, 21, 2)
    uv = truth.clone()
    uv[:, :10] = torch.tensor([3.0, 4.0])
    valid = torch.zeros(2, 21, dtype=torch.bool)
    valid[0, :20] = True
    error = metrics.uv_error_px(uv, truth, valid)
    assert float(error[0]) == pytest.approx(2.5)
    assert error[1].isnan()


def test_confusion_and_macro_f1_agree_with_sklearn(rng: np.random.Generator) -> None:
    actual, predicted = rng.integers(0, 6, 200), rng.integers(0, 8, 200)  # 6, 7 never occur
    matrix = metrics.confusion(torch.from_numpy(actual), torch.from_numpy(predicted), 8)
    expected = confusion_matrix(actual, predicted, labels=range(8))
    np.testing.assert_array_equal(matrix, expected)
    score = f1_score(actual, predicted, labels=range(6), average="macro")
    assert float(metrics.macro_f1(matrix)) == pytest.approx(score)
