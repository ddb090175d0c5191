from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from handpose.evaluation.interventions import INTERVENTIONS
from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.statistics import Comparison, Estimate
from stages.evaluation import findings, report, tables
from stages.evaluation.findings import Encoder, Evaluation, ModelRun, SplitResult
from stages.evaluation.summary import COMPARED, Intervals, Subgroup

NAN = float("nan")


def number(value: float, spread: float = 1.0) -> Estimate:
    return Estimate(value, value - spread, value + spread, 100, 4)


def comparison(low: float, high: float) -> Comparison:
    """By person it lies 0.5 mm higher than by image."""
    middle = (low + high) / 2 if low == low else -6.0  # one subject: a difference, no interval
    by_person = Estimate(middle, low, high, 100, 4)
    return Comparison(number(middle - 0.5, 0.1), by_person, 0.25, 0.125, 4 if middle < 0 else 0)


def evaluation(**changes: Any) -> Evaluation:
    """An evaluation with plain numbers: 30 mm full, 36 scratch, 26 mean pose, 60 mean joints."""
    errors = {"pretrained": 30.0, "scratch": 36.0, "mean_pose": 26.0, "mean_joints": 60.0}
    errors["class_pose"] = 14.0
    keys = [column.key for column in (*COLUMNS, PUBLISHED)]
    pose = {
        model: {key: number(error) for key in (*keys, "pck_auc", "pa_pck_auc")}
        for model, error in errors.items()
    }
    accuracy = {
        "stage_1": 0.43,
        "pretrained": 0.3,
        "scratch": 0.1,
        "majority": 0.07,
        "chance": 0.02,
    }
    gesture = {
        name: {key: number(value, 0.01) for key in ("coarse_accuracy", "fine_accuracy")}
        for name, value in accuracy.items()
    }
    subgroups = {"hand": [Subgroup("left", {"pretrained_wrist_mpjpe_mm": number(31.0)})]}
    whole = Evaluation(
        splits={"test": SplitResult(100, [9, 10, 11, 12], 3, pose)},
        gesture=gesture,
        comparisons={key: comparison(-7.0, -5.0) for key in COMPARED},
        runs={
            "pretrained": ModelRun({"pretrain": 80.0, "pose": 100.0}, 810, [0.02, -0.01], 0.1),
            "scratch": ModelRun({"pose": 90.0}, 810, [], 0.0),
        },
        interventions={"pretrained": costs(0.2, 0.6)},
        view={"pretrained": {"mirrored_fingers": number(0.04, 0.01)}},
        encoders={"stage_1": Encoder(number(0.4), 0.05), "untrained": Encoder(number(0.1), -0.2)},
        purity_by_chance=0.03,
        subgroups=subgroups,
        unseen=0,
        handedness="handed",
        start="random weights",
        synthetic=True,
    )
    return dataclasses.replace(whole, **changes)


def costs(low: float, high: float) -> dict[str, dict[str, Comparison]]:
    """Every intervention costs between low and high."""
    keys = ("wrist_mpjpe_mm", "pa_mpjpe_mm")
    return {name: dict.fromkeys(keys, comparison(low, high)) for name in INTERVENTIONS}


def all_compared(one: Comparison) -> dict[str, Comparison]:
    return dict.fromkeys(COMPARED, one)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (
            -7.0,
            -5.0,
            "has the lower error; the interval over people excludes zero",
        ),
        (
            1.0,
            3.0,
            "has the higher error; the interval over people excludes zero",
        ),
        (-7.0, 0.5, "the difference is inconclusive on these people"),
        (NAN, NAN, "the difference is inconclusive on these people"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, words: str) -> None:
    e = evaluation(comparisons=all_compared(comparison(low, high)))
    assert words in findings.pretraining(e)[0]
    assert findings.pretraining(e)[0].startswith("Of these two trained models, at the same 810")


def test_each_interval_stands_beside_its_own_number() -> None:
    text = findings.pretraining(evaluation())[2]
    assert "-6.5 mm on 100 images (Student's 95 % interval over people: -6.6 to -6.4)" in text
    assert "Counting each person once, it is -6.0 mm, -7.0 to -5.0, which alone decides" in text


def test_the_other_protocols_share_the_risk() -> None:
    """Three intervals that barely exclude zero: none is left, as Holm multiplies the first by 3."""
    barely = evaluation(comparisons=all_compared(comparison(-7.0, -0.1)))
    assert "has the lower error" in findings.pretraining(barely)[0]
    text = findings.pretraining(barely)[-1]
    assert text.startswith("By other protocols, Holm-adjusted: PA-MPJPE -4.0 mm (inconclusive), ")
    assert text.count("(inconclusive)") == 3
    clear = evaluation(comparisons=all_compared(comparison(-7.0, -5.0)))
    assert findings.pretraining(clear)[-1].count("(lower)") == 3
    verdicts = [row[-1] for row in report._comparison_table(barely).rows]
    assert verdicts == ["lower", *3 * ["inconclusive"]]


@pytest.mark.parametrize("people", [4, 5, 8])
def test_no_difference_is_seldom_called_one(people: int) -> None:
    """Verdicts by the primary protocol, and any by the others, at most 5 % of the time each."""
    rng = np.random.default_rng(people)
    repeats, intervals = 400, Intervals(seed=0)
    subjects = np.repeat(np.arange(people), rng.integers(5, 40, people))
    primary = others = 0
    for _ in range(repeats):
        shared = rng.normal(0, 1, people)
        found = {}
        for key in COMPARED:  # protocols that agree to a part, as they do
            own = (0.8 * shared + 0.6 * rng.normal(0, 1, people))[subjects]
            change = own + rng.normal(0, 2, len(subjects))
            found[key] = intervals.compare(np.zeros(len(subjects)), change, subjects)
        text = findings.pretraining(evaluation(comparisons=found))
        primary += "has the" in text[0]
        others += "(lower)" in text[-1] or "(higher)" in text[-1]
    limit = stats.binom.ppf(0.999, repeats, 0.05)
    assert primary <= limit
    assert others <= limit


def test_a_run_that_shares_no_sample_has_no_verdict() -> None:
    nothing = Comparison(Estimate(NAN, NAN, NAN, 0, 0), Estimate(NAN, NAN, NAN, 0, 0), NAN, 1.0, 0)
    text = findings.pretraining(evaluation(comparisons=all_compared(nothing)))
    assert text == ["The two runs share no scored sample: there is no finding on pretraining."]


def test_both_training_times_stand_beside_both_errors() -> None:
    text = findings.pretraining(evaluation())[1]
    assert "30.0 mm with pretraining, after 80 s + 100 s = 180 s of training" in text
    assert "36.0 mm without, after 90 s" in text
    assert any("2.0 times the training time" in limit for limit in findings.limits(evaluation()))


def test_runs_of_unequal_length_are_not_called_equal() -> None:
    def with_scratch(seconds: float) -> Evaluation:
        run = ModelRun({"pose": seconds}, 1431, [], 0.0)
        return evaluation(runs={**evaluation().runs, "scratch": run})

    equal, longer, shorter = with_scratch(170.0), with_scratch(360.0), with_scratch(90.0)
    text = findings.pretraining(equal)[0]
    assert "at about the same training time (180 s and 170 s of training)" in text
    assert "(810 and 1,431 steps of Stage 2)" in findings.limits(equal)[0]
    assert "catch up" not in findings.caution(equal)
    assert "after 180 s and 360 s of training" in findings.pretraining(longer)[0]
    assert "without pretraining had 2.0 times the training time" in findings.limits(longer)[0]
    assert "catch up" not in findings.caution(longer)
    assert "full model had 2.0 times the training time" in findings.limits(shorter)[0]
    assert "catch up in the full model's training time (2.0 times" in findings.caution(shorter)


@pytest.mark.parametrize(
    ("gates", "weight", "words"),
    [
        ([], 0.0, "with no gesture tokens and no gesture labels"),
        ([0.1, 0.2], 0.1, "with its gesture tokens and gesture labels in its loss"),
    ],
)
def test_what_the_run_without_pretraining_had_is_reported(
    gates: list[float], weight: float, words: str
) -> None:
    runs = {**evaluation().runs, "scratch": ModelRun({"pose": 90.0}, 810, gates, weight)}
    assert words in findings.pretraining(evaluation(runs=runs))[3]


def test_the_smallest_p_that_few_subjects_allow_is_reported() -> None:
    text = " ".join(findings.pretraining(evaluation()))
    assert "the least that is possible with so few is 0.125" in text
    assert "lower for 4 of 4" in text


@pytest.mark.parametrize(
    ("full", "words"), [(30.0, "50 % below the mean training joints"), (66.0, "10 % above")]
)
def test_baselines_are_described_in_the_direction_of_the_numbers(full: float, words: str) -> None:
    test = evaluation().test
    pose = {**test.pose, "pretrained": test.pose["pretrained"] | {"wrist_mpjpe_mm": number(full)}}
    e = evaluation(splits={"test": dataclasses.replace(test, pose=pose)})
    assert words in findings.baselines(e)[0]


@pytest.mark.parametrize(
    ("accuracy", "words"), [(0.3, "13.0 points lost"), (0.5, "7.0 points gained")]
)
def test_the_accuracy_that_stage_2_keeps_is_reported(accuracy: float, words: str) -> None:
    gesture = {**evaluation().gesture, "pretrained": {"coarse_accuracy": number(accuracy, 0.01)}}
    assert words in findings.gestures(evaluation(gesture=gesture))[1]


def test_gestures_of_another_crop_are_said_to_be_so() -> None:
    e = evaluation()
    assert "the same heads recognise" in findings.gestures(e)[1]
    runs = {**e.runs, "pretrained": dataclasses.replace(e.runs["pretrained"], second_look=True)}
    said = findings.gestures(dataclasses.replace(e, runs=runs))[1]
    assert "the same heads, on crops turned upright, recognise" in said


def test_limits_know_what_kind_of_images_and_gestures_there_were() -> None:
    drawn, photos = (" ".join(findings.limits(evaluation(synthetic=s))) for s in (True, False))
    assert "rendered by one program" in drawn
    assert "rendered by one program" not in photos
    assert "all of them were trained on" in drawn
    assert "except for 2 of them" in " ".join(findings.limits(evaluation(unseen=2)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Pretraining on shuffled labels, which teaches no gesture, was not run"),
        ({"shuffle": "folders"}, "Stage 1 still learns to tell folders apart"),
        ({"shuffle": "sequences"}, "exchanged among sequences (label.shuffle: sequences)"),
        ({"shuffle": "images"}, "comes from the warm-up of the encoder"),
        ({"source": "finger_states"}, "from the annotated pose (label.source: finger_states)"),
    ],
)
def test_limits_say_what_the_labels_were(changes: dict[str, str], words: str) -> None:
    said = findings.limits(evaluation(**changes))
    assert words in said[2]
    assert ("was not run" in said[2]) == (not changes)


def test_the_gate_of_one_kind_of_classes_is_reported_as_one() -> None:
    run = dataclasses.replace(evaluation().runs["pretrained"], gates=[0.3], token_classes="fine")
    said = " ".join(findings.tokens(evaluation(runs={**evaluation().runs, "pretrained": run})))
    assert "closing the one gate of the full model raises" in said
    assert "The one gate ended at 0.300 for fine." in said


def test_gates_are_reported_and_their_absence_too() -> None:
    assert "0.020 for coarse and -0.010 for fine" in " ".join(findings.tokens(evaluation()))
    assert findings.tokens(evaluation(interventions={})) == [
        "The full model has no gesture tokens (pose_net.gesture_tokens: false)."
    ]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.2, 0.6, "The gesture tokens act: closing both gates of the full model raises"),
        (-0.6, -0.2, "The gesture tokens do harm: closing both gates of the full model lowers"),
        (-0.1, 0.3, "No effect of the gesture tokens is shown"),
        (NAN, NAN, "No effect of the gesture tokens is shown"),
    ],
)
def test_the_verdict_on_the_tokens_follows_the_interval(
    low: float, high: float, words: str
) -> None:
    e = evaluation(interventions={"pretrained": costs(low, high)})
    assert words in findings.tokens(e)[0]
    assert "the true class on top" in findings.tokens(e)[1]
    rows = report._token_table(e).rows
    assert [row[0] for row in rows] == [f"full model: {name}" for name in INTERVENTIONS.values()]


@pytest.mark.parametrize("people", [4, 8])
def test_tokens_without_effect_are_seldom_said_to_act(people: int) -> None:
    rng = np.random.default_rng(people)
    repeats, intervals = 400, Intervals(seed=0)
    subjects = np.repeat(np.arange(people), rng.integers(5, 40, people))
    alarms = 0
    for _ in range(repeats):
        change = rng.normal(0, 0.3, people)[subjects] + rng.normal(0, 0.5, len(subjects))
        cost = intervals.compare(np.zeros(len(subjects)), change, subjects)
        found = {key: {"wrist_mpjpe_mm": cost} for key in INTERVENTIONS}
        text = findings.tokens(evaluation(interventions={"pretrained": found}))[0]
        alarms += not text.startswith("No effect")
    assert alarms <= stats.binom.ppf(0.999, repeats, 0.05)


def test_the_summary_is_a_table_that_fits_a_terminal() -> None:
    text = report.summary(evaluation())
    assert max(map(len, text.splitlines())) <= 100
    for words in ("full model", "without pretraining", "80 s + 100 s = 180 s", "mean training"):
        assert words in text
    assert "30.0 [29.0, 31.0]" in text
    assert "results/report.html" in text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (number(30.123), "30.12 [29.12, 31.12]"),
        (Estimate(3.0, NAN, NAN, 5, 1), "3.00"),
        (Estimate(NAN, NAN, NAN, 0, 0), "-"),
        (None, "-"),
    ],
)
def test_a_number_is_formatted_with_its_interval_if_there_is_one(
    estimate: Estimate | None, text: str
) -> None:
    assert report.format_estimate(estimate, 2) == text


def test_the_report_escapes_what_it_is_given_and_needs_no_network() -> None:
    subgroups = {"hand": [Subgroup("<script>", {"pretrained_wrist_mpjpe_mm": number(31.0)})]}
    html = report.html(evaluation(subgroups=subgroups), {})
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "http" not in html


def test_every_protocol_has_a_row_and_an_explanation() -> None:
    html = report.html(evaluation(), {})
    rows = [row[0] for row in report.pose_table(evaluation(), "test").rows]
    for column in (*COLUMNS, PUBLISHED):
        assert any(row.startswith(column.name) for row in rows)
        assert f"<dt>{column.name}" in html


def test_side_and_facing_are_reported_where_the_model_predicts_them() -> None:
    (sentence,) = findings.view(evaluation())
    assert "4.0 % with palm and back exchanged (3.0 to 5.0 %)" in sentence
    heads = {"side_accuracy": number(0.97, 0.01), "facing_accuracy": number(0.9, 0.01)}
    known = {"mirrored_fingers": number(0.04, 0.01), **heads}
    _, sentence = findings.view(evaluation(view={"pretrained": known}))
    assert "left from right in 97.0 % (96.0 to 98.0 %)" in sentence
    unknown = {"mirrored_fingers": number(math.nan)}
    assert findings.view(evaluation(view={"pretrained": unknown})) == []


@pytest.mark.parametrize("objective", ["instances", "pose"])
def test_heads_that_no_gesture_trained_have_no_accuracy(objective: str) -> None:
    e = evaluation(objective=objective)
    first, second, *_ = findings.gestures(e)
    assert f"Stage 1 learnt no gestures (pretrain.objective: {objective})" in first
    assert "their accuracy is not a result" in first and "43.0 %" not in first
    assert "The gesture loss of Stage 2 alone has brought them to 30.0 %" in second
    assert f"read no gesture label (pretrain.objective: {objective})" in findings.limits(e)[2]
    assert "but for those of Stage 2's gesture loss" in findings.limits(e)[2]
    shown = {row.split("  ")[0] for row in report.summary(e).splitlines()}
    assert "Stage 1" not in shown and "Stage 2, full model" in shown
    html = report.html(e, {})
    assert "Stage 1 recognises" not in html and "<th>Stage 1</th>" not in html
    assert "stage_1" not in tables.headline_json(e)
    assert tables.metrics_json(e)["stage_1_objective"] == objective


def test_without_a_gesture_loss_nothing_is_said_of_the_heads_after_stage_2() -> None:
    run = dataclasses.replace(evaluation().runs["pretrained"], gesture_weight=0.0)
    e = evaluation(objective="pose", runs={**evaluation().runs, "pretrained": run})
    assert not [one for one in findings.gestures(e) if "brought them to" in one]
    assert "gesture loss" not in findings.limits(e)[2]
    assert "stage_1_objective" not in tables.metrics_json(evaluation())
    assert tables.headline_json(evaluation())["stage_1"]["coarse_accuracy"] == 0.43
