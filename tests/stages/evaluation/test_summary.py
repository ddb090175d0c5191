from __future__ import annotations

import json

import numpy as np
import pytest

from handpose.evaluation.interventions import GATES_CLOSED
from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.scores import STAGE_1, Scores
from handpose.hand.skeleton import JOINTS
from stages.evaluation import summary
from stages.evaluation.summary import CHANCE, FULL, MAJORITY, MODELS, SCRATCH, Intervals
from tests.stages.evaluation.made_up_scores import CLASSES, LEFT, N

HOW = Intervals(seed=0)


def test_every_protocol_of_every_model_has_a_number(scores: Scores, subjects: np.ndarray) -> None:
    found = summary.pose_estimates(scores, subjects, LEFT, HOW)
    assert list(found) == list(MODELS)
    for model, estimates in found.items():
        assert set(estimates) == {c.key for c in COLUMNS} | {PUBLISHED.key, "pck_auc", "pa_pck_auc"}
        for key, estimate in estimates.items():
            assert (estimate.samples, estimate.subjects) == (36, 4), key
            assert estimate.low <= estimate.value <= estimate.high
        value = np.nanmean(scores.pose[model]["wrist_mpjpe_mm"])
        assert estimates["wrist_mpjpe_mm"].value == pytest.approx(value)
        errors = scores.pose[model]["table2_joint_errors_mm"]
        slots = [np.nanmean(errors[hand], 0) for hand in (LEFT, ~LEFT)]  # (21,) each
        assert estimates[PUBLISHED.key].value == pytest.approx(np.mean(slots))
    assert found[FULL]["pa_pck_auc"].value > found[FULL]["pck_auc"].value


def test_a_model_without_a_mesh_has_no_mesh_numbers(scores: Scores, subjects: np.ndarray) -> None:
    del scores.pose["mean_joints"]["pa_mpvpe_mm"]
    found = summary.pose_estimates(scores, subjects, LEFT, HOW)
    assert "pa_mpvpe_mm" not in found["mean_joints"]
    assert "pa_mpvpe_mm" in found["mean_pose"]


def test_accuracy_counts_labelled_samples_only(scores: Scores, subjects: np.ndarray) -> None:
    found = summary.gesture_estimates(scores, subjects, CLASSES, HOW)
    truth, predicted = scores.classes["coarse"][:30], scores.predicted[STAGE_1]["coarse"][:30]
    accuracy = found[STAGE_1]["coarse_accuracy"]
    assert accuracy.value == pytest.approx((truth == predicted).mean())
    assert accuracy.samples == 30
    assert found[MAJORITY]["coarse_accuracy"].value == pytest.approx((truth == 1).mean())
    assert found[MAJORITY]["fine_accuracy"].value == pytest.approx((truth == 2).mean())
    assert found[CHANCE]["coarse_accuracy"].value == 0.25
    same = found[STAGE_1]["coarse_accuracy_ignoring_hand"]
    assert same.value == pytest.approx((truth % 2 == predicted % 2).mean())
    assert same.samples == 30


def test_classes_of_one_hand_have_no_hand_to_ignore(scores: Scores, subjects: np.ndarray) -> None:
    found = summary.gesture_estimates(scores, subjects, CLASSES._replace(hands=["right"] * 4), HOW)
    assert "coarse_accuracy_ignoring_hand" not in found[STAGE_1]


def test_parts_of_a_split_add_up_to_it(scores: Scores, subjects: np.ndarray) -> None:
    groups = np.where(np.arange(N) % 3 == 0, "left", "right")
    subgroups = summary.subgroups(scores, groups, subjects, HOW)
    assert [subgroup.name for subgroup in subgroups] == ["left", "right"]
    key = "pretrained_wrist_mpjpe_mm"
    whole = summary.pose_estimates(scores, subjects, LEFT, HOW)[FULL]["wrist_mpjpe_mm"]
    counts = [subgroup.estimates[key].samples for subgroup in subgroups]
    total = sum(
        subgroup.estimates[key].value * n for subgroup, n in zip(subgroups, counts, strict=True)
    )
    assert sum(counts) == whole.samples
    assert total / whole.samples == pytest.approx(whole.value)


def test_every_joint_but_the_wrist_has_a_wrist_relative_error(
    scores: Scores, subjects: np.ndarray
) -> None:
    subgroups = summary.joint_subgroups(scores, subjects, HOW)
    assert [subgroup.name for subgroup in subgroups] == list(JOINTS)
    assert "pretrained_wrist_mpjpe_mm" not in subgroups[0].estimates
    found = subgroups[8].estimates["scratch_wrist_mpjpe_mm"].value
    assert found == pytest.approx(np.nanmean(scores.pose[SCRATCH]["joint_errors_mm"][:, 8]))


def test_comparisons_go_from_scratch_to_the_full_model(
    scores: Scores, subjects: np.ndarray
) -> None:
    found = summary.comparisons(scores, subjects, HOW)["wrist_mpjpe_mm"]
    full, scratch = (scores.pose[run]["wrist_mpjpe_mm"] for run in (FULL, SCRATCH))
    assert found.difference.value == pytest.approx(np.nanmean(full - scratch))
    assert found.difference.value < 0


def test_shares_stay_between_0_and_1_and_errors_above_0(scores: Scores) -> None:
    """With two people intervals are wide enough to leave both."""
    two = np.arange(N) % 2
    gesture = summary.gesture_estimates(scores, two, CLASSES, HOW)
    pose = summary.pose_estimates(scores, two, LEFT, HOW)
    shares = [*gesture[STAGE_1].values()]
    shares += [pose[FULL][key] for key in ("pck_auc", "pa_pck_auc", "f5", "f15")]
    for share in shares:
        assert 0 <= share.low <= share.value <= share.high <= 1
    line = HOW.line(summary.pck_totals(scores.pose[FULL]["joint_errors_mm"], two))
    assert line.low.min() >= 0
    assert line.high.max() <= 1
    for estimate in pose[FULL].values():
        assert estimate.low >= 0


def test_the_primary_protocol_is_among_the_compared() -> None:
    assert summary.COMPARED[0] == summary.PRIMARY


def test_what_an_intervention_costs_is_the_changed_model_less_the_model(
    scores: Scores, subjects: np.ndarray
) -> None:
    cost = summary.intervention_costs(scores, subjects, HOW)[FULL][GATES_CLOSED]["wrist_mpjpe_mm"]
    changed = scores.interventions[FULL][GATES_CLOSED]["wrist_mpjpe_mm"]
    plain = scores.pose[FULL]["wrist_mpjpe_mm"]
    assert cost.difference.value == pytest.approx(np.nanmean(changed - plain))
    assert cost.difference.subjects == 4


def test_plain_values_are_strict_json(scores: Scores, subjects: np.ndarray) -> None:
    nothing = HOW.mean(np.full(N, np.nan), subjects)
    found = summary.to_json({"a": nothing, "b": {1: 2.0}, "c": "text"})
    assert json.loads(json.dumps(found, allow_nan=False))["a"]["value"] is None
    assert found["b"] == {"1": 2.0}


def test_view_estimates_are_shares_of_samples(scores: Scores, subjects: np.ndarray) -> None:
    estimate = summary.view_estimates(scores, subjects, HOW)[FULL]["mirrored_fingers"]
    assert estimate.value == pytest.approx(0.25)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
