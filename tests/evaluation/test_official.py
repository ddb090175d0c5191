"""Our scores against the published protocols, written down here once more, hand by hand.

Descriptions: lmb-freiburg/freihand `eval.py`, shreyashampali/ho3d `eval.py`, dex-ycb-toolkit
`hpe_eval.py`. The fixtures are hands from near to far, and one mirrored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from handpose.evaluation import metrics
from handpose.evaluation.official import (
    COLUMNS,
    THRESHOLDS_M,
    areas,
    bone_aligned,
    curve,
    official_scores,
    procrustes,
)

Array = NDArray[np.float64]
HANDS = 14


def hands(rng: np.random.Generator, points: int) -> tuple[Array, Array]:
    """True points and predictions from 0.1 mm to 30 mm off, moved, turned, scaled, one mirrored."""
    truth = rng.normal([0, 0, 0.7], [0.04, 0.05, 0.02], (HANDS, points, 3))
    noise = np.geomspace(1e-4, 3e-2, HANDS)[:, None, None]
    found = truth + noise * rng.normal(size=truth.shape)
    for k in range(1, HANDS, 3):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        found[k] = 1.2 * (found[k] - found[k].mean(0)) @ turn + found[k].mean(0) + 0.01
    found[2] = (found[2] - found[2].mean(0)) * [-1, 1, 1] + found[2].mean(0)
    return found, truth


@pytest.fixture
def fixture() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    joints, truth = hands(rng, 21)
    vertices, mesh = hands(rng, 778)
    return {"joints": joints, "truth": truth, "vertices": vertices, "mesh": mesh}


# --- the protocols, independently ----------------------------------------------------------------


def align_by_similarity(truth: Array, found: Array) -> Array:
    a, b = truth - truth.mean(0), found - found.mean(0)
    size_a, size_b = (np.linalg.norm(p) + 1e-8 for p in (a, b))
    turn, stretch = orthogonal_procrustes(a / size_a, b / size_b)
    return np.asarray((b / size_b) @ turn.T * stretch * size_a + truth.mean(0))


def align_by_bone(truth: Array, found: Array) -> Array:
    """HO-3D's joints 0 and 4 are the wrist and the middle MCP, which is 9 here."""
    scale = np.linalg.norm(truth[9] - truth[0]) / np.linalg.norm(found[9] - found[0])
    scaled = found * scale
    return np.asarray(scaled - scaled[0] + truth[0])


def mean_and_auc(errors: list[Array]) -> tuple[float, float]:
    """Mean over hands, then over points; area under each point's PCK, then over points."""
    thresholds = np.linspace(0.0, 0.05, 100)
    table = np.array(errors)  # hands x points
    means, found_areas = [], []
    for point in range(table.shape[1]):
        own = table[:, point]
        means.append(np.mean(own))
        pck = [np.mean(own <= limit) for limit in thresholds]
        whole = np.trapezoid(np.ones(100), thresholds)
        found_areas.append(np.trapezoid(pck, thresholds) / whole)
    return float(np.mean(means)), float(np.mean(found_areas))


def f_score(truth: Array, found: Array, limit: float) -> float:
    apart = np.linalg.norm(truth[:, None] - found[None], axis=-1)
    precision, recall = (apart.min(1) < limit).mean(), (apart.min(0) < limit).mean()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def published(fixture: dict[str, Array]) -> dict[str, float]:
    """All numbers of the three evaluators, mm and shares."""
    errors: dict[str, list[Array]] = {}
    shares: dict[str, list[float]] = {}

    def add(key: str, truth: Array, found: Array) -> None:
        errors.setdefault(key, []).append(np.sqrt(((truth - found) ** 2).sum(1)))

    for joints, truth, vertices, mesh in zip(*fixture.values(), strict=True):
        add("xyz", truth, joints)
        add("xyz_root", truth - truth[0], joints - joints[0])
        add("xyz_scale", truth, align_by_bone(truth, joints))
        add("xyz_pa", truth, align_by_similarity(truth, joints))
        aligned = align_by_similarity(mesh, vertices)
        add("mesh", mesh, vertices)
        add("mesh_pa", mesh, aligned)
        for suffix, points in (("", vertices), ("_pa", aligned)):
            for mm in (5, 15):
                score = f_score(mesh, points, mm / 1000)
                shares.setdefault(f"f{mm}{suffix}", []).append(score)
    found = {key: float(np.mean(values)) for key, values in shares.items()}
    for key, own in errors.items():
        mean, area = mean_and_auc(own)
        found |= {f"{key}_mm": 1000 * mean, f"{key}_auc": area}
    return found


# --- ours ----------------------------------------------------------------------------------------


def test_every_score_is_the_published_one(fixture: dict[str, Array]) -> None:
    expected = published(fixture)
    found = official_scores(**fixture)
    assert set(found) == set(expected) == {column.key for column in COLUMNS}
    for key, values in found.items():
        assert values.shape == (HANDS,)
        assert values.mean() == pytest.approx(expected[key], abs=1e-6), key
    assert all(value > 0 for value in expected.values()), "no score is tested where it is 0"
    assert all(value < 1 for key, value in expected.items() if not key.endswith("_mm"))


def test_a_reflection_is_undone_as_published_and_stays_wrong_in_our_own_protocol(
    fixture: dict[str, Array],
) -> None:
    truth = fixture["truth"][:1]
    mirrored = truth * [-1.0, 1.0, 1.0]
    assert np.abs(procrustes(mirrored, truth) - truth).max() < 1e-8
    ours = metrics.pa_mpjpe_mm(torch.from_numpy(mirrored), torch.from_numpy(truth))
    assert float(ours) > 5


def test_without_a_reflection_both_procrustes_agree(fixture: dict[str, Array]) -> None:
    near = fixture["truth"] + 0.004 * np.random.default_rng(1).normal(size=(HANDS, 21, 3))
    ours = metrics.procrustes_align(torch.from_numpy(near), torch.from_numpy(fixture["truth"]))
    np.testing.assert_allclose(procrustes(near, fixture["truth"]), ours.numpy(), atol=1e-7)


def test_without_meshes_there_are_joints_alone(fixture: dict[str, Array]) -> None:
    found = official_scores(fixture["joints"], fixture["truth"])
    assert set(found) == {c.key for c in COLUMNS if c.key.startswith("xyz")}


def test_an_error_at_a_threshold_reaches_it_and_one_beyond_the_last_reaches_none() -> None:
    errors = np.array([0.0, *THRESHOLDS_M[[1, 50, 99]], 0.0501])
    expected = [np.trapezoid(np.float64(e <= THRESHOLDS_M)) / 99 for e in errors]
    np.testing.assert_allclose(areas(errors), expected, atol=1e-12)
    assert areas(errors)[0] == 1 and areas(errors)[-1] == 0


def test_the_curve_is_the_share_of_errors_up_to_each_threshold() -> None:
    errors = np.random.default_rng(0).uniform(0, 0.08, (5, 21))
    np.testing.assert_allclose(curve(errors), [(errors <= t).mean() for t in THRESHOLDS_M])


def test_a_hand_without_a_bone_is_placed_at_the_true_wrist() -> None:
    """HO-3D's evaluator does not divide by a bone of length 0 either."""
    truth: Any = np.random.default_rng(0).normal(size=(1, 21, 3))
    found = bone_aligned(np.zeros((1, 21, 3)), truth)
    np.testing.assert_allclose(found, np.broadcast_to(truth[:, :1], found.shape))
