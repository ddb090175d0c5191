"""Two hands of a photo: where one may cover the other, and how far apart their wrists are."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.evaluation.scores import Scores
from handpose.evaluation.statistics import Estimate
from stages.evaluation import findings, report
from stages.evaluation.data import BesideOthers
from stages.evaluation.findings import SplitResult
from stages.evaluation.summary import RUNS, Intervals
from stages.evaluation.tables import metrics_json, write_tables
from stages.evaluation.two_hands import COVERED, UNKNOWN, TwoHands, two_hands
from tests.stages.evaluation.made_up_scores import N
from tests.stages.evaluation.test_findings import evaluation

Arrays = dict[str, Any]


def origin() -> Arrays:
    """Twenty photos of both hands, of four people; the samples are not in pairs."""
    order = np.random.default_rng(1).permutation(N)
    photo = order // 2
    return {
        "subject": photo % 4 + 9,
        "session": photo % 4,
        "sequence": np.full(N, "0266_dh_pray"),
        "camera": np.array([f"40{k % 3}" for k in photo]),
        "frame": photo,
        "is_left": order % 2 == 1,
    }


def others(**changes: Any) -> BesideOthers:
    rng = np.random.default_rng(2)
    found = BesideOthers(
        is_known=np.arange(N) % 8 > 0,
        in_other_box=rng.random((N, 21)) < np.linspace(0, 1, N)[:, None],
        wrists=rng.normal([0, 0, 0.7], 0.1, (N, 3)),
    )
    found = found._replace(**changes)
    return found._replace(in_other_box=found.in_other_box & found.is_known[:, None])


def result(scores: Scores, beside: BesideOthers, **changes: Any) -> TwoHands:
    arguments: Arrays = {"origin": origin(), "canonical": False, "intervals": Intervals(0)}
    return two_hands(scores, others=beside, **(arguments | changes))


def placed(scores: Scores, wrists: Any) -> Scores:
    return dataclasses.replace(scores, wrists=dict.fromkeys(RUNS, wrists))


def test_the_truth_and_what_is_off_by_the_same_for_both_hands_have_no_error(scores: Scores) -> None:
    beside, photo = others(), origin()["frame"]
    off = np.random.default_rng(3).normal(size=(N, 3))[photo]
    for wrists in (beside.wrists, beside.wrists + off):
        found = result(placed(scores, wrists), beside)
        for estimate in found.mrrpe_mm.values():
            assert estimate.value == pytest.approx(0, abs=1e-9)
            assert (estimate.samples, estimate.subjects) == (N // 2, 4)
    assert (found.photos, found.with_both) == (20, 20)


def test_mrrpe_is_the_length_of_the_difference_of_both_wrists_errors(scores: Scores) -> None:
    """By a loop over the photos, with a wrist that is not annotated and a hand that is missing."""
    beside, place = others(), origin()
    beside.wrists[3] = np.nan
    wrists = beside.wrists + np.random.default_rng(3).normal(0, 0.01, (N, 3))
    wrists[3] = 5.0
    kept = np.arange(N) != 7
    errors = []
    for photo in np.unique(place["frame"]):
        pair = [k for k in np.flatnonzero(place["frame"] == photo) if kept[k] and k != 3]
        if len(pair) == 2:
            a, b = pair
            off = (wrists[a] - beside.wrists[a]) - (wrists[b] - beside.wrists[b])
            errors.append(1000 * np.linalg.norm(off))
    some = dataclasses.replace(
        scores,
        joint_valid=scores.joint_valid[kept],
        classes={name: ids[kept] for name, ids in scores.classes.items()},
        predicted={
            name: {k: ids[kept] for k, ids in one.items()} for name, one in scores.predicted.items()
        },
        pose={m: {k: v[kept] for k, v in one.items()} for m, one in scores.pose.items()},
        wrists=dict.fromkeys(RUNS, wrists[kept]),
    )
    found = result(
        some,
        BesideOthers(*(part[kept] for part in beside)),
        origin={name: values[kept] for name, values in place.items()},
    )
    assert found.mrrpe_mm[RUNS[0]].value == pytest.approx(np.mean(errors))
    assert found.mrrpe_mm[RUNS[0]].samples == len(errors) == 18
    assert (found.photos, found.with_both) == (20, 19)


def test_mirrored_left_hands_are_put_back(scores: Scores) -> None:
    beside, left = others(), origin()["is_left"]
    seen = np.where(left[:, None], beside.wrists * [-1, 1, 1], beside.wrists)
    found = result(placed(scores, seen), beside, canonical=True)
    assert found.mrrpe_mm[RUNS[0]].value == pytest.approx(0, abs=1e-9)


def test_masked_joints_are_never_counted(scores: Scores) -> None:
    """Neither in the counts nor in the errors, whatever stands in their place."""
    valid = np.random.default_rng(4).random((N, 21)) < 0.7
    beside = others()
    pose = {
        model: one | {name: np.where(valid, one[name], 1e6) for name in
                      ("joint_errors_mm", "pa_joint_errors_mm")}
        for model, one in scores.pose.items()
    }  # fmt: skip
    found = result(placed(dataclasses.replace(scores, joint_valid=valid, pose=pose), beside.wrists),
                 beside)  # fmt: skip
    assert found.joints == valid.sum()
    assert found.joints_in_other_box == (valid & beside.in_other_box).sum()
    for place in found.places:
        assert all(estimate.value < 100 for estimate in place.estimates.values())


def test_hands_are_grouped_by_what_lies_in_the_others_box_and_none_is_lost(scores: Scores) -> None:
    beside = others()
    found = result(placed(scores, beside.wrists), beside)
    key = f"{RUNS[0]}_wrist_mpjpe_mm"
    counts = {group.name: group.estimates[key].samples for group in found.covered}
    assert set(counts) == {*COVERED, UNKNOWN}
    scored = ~np.isnan(scores.pose[RUNS[0]]["wrist_mpjpe_mm"])
    assert counts[UNKNOWN] == (scored & ~beside.is_known).sum()
    assert sum(counts.values()) == scored.sum()
    assert all("accuracy" not in name for group in found.covered for name in group.estimates)


@pytest.fixture
def split(scores: Scores) -> SplitResult:
    beside = others()
    found = result(placed(scores, beside.wrists + np.where(origin()["is_left"], 0.01, 0)[:, None]),
                 beside)  # fmt: skip
    pose = evaluation().test.pose
    return SplitResult(N, [9, 10, 11, 12], 0, pose, found)


def test_text_tables_and_page_show_the_split_and_are_as_before_without_one(
    split: SplitResult, tmp_path: Path
) -> None:
    plain = evaluation()
    both = dataclasses.replace(plain, splits=dict(plain.splits) | {"interacting": split})
    (sentence,) = findings.two_hands(both)
    assert sentence.startswith("Two hands (interacting): 40 hands in 20 photos, both in 20; ")
    assert "for joints in that box" in sentence and "MRRPE 17.3 mm." in sentence
    assert findings.two_hands(plain) == []
    assert report.summary(plain) != report.summary(both)
    content = metrics_json(both)
    assert content["two_hands"]["interacting"]["mrrpe_mm"]["pretrained"]["samples"] == 20
    assert "no network predicts where a wrist is" in content["protocols"]["mrrpe_mm"]
    assert "two_hands" not in metrics_json(plain)
    assert "mrrpe_mm" not in metrics_json(plain)["protocols"]
    html = report.html(both, {})
    assert "40 images of a hand beside another one" in html
    assert "the other hand is in the picture as it is" in html
    assert "MRRPE" not in report.html(plain, {})
    write_tables(tmp_path, both)
    with (tmp_path / "two_hands_interacting.csv").open(encoding="utf-8") as stream:
        names = {row["hands"] for row in csv.DictReader(stream)}
    assert {*COVERED, "joints in the other hand's box"} < names


def test_a_split_without_any_pair_has_no_mrrpe(scores: Scores) -> None:
    beside = others(is_known=np.zeros(N, bool))
    found = result(placed(scores, beside.wrists), beside, origin=origin() | {"frame": np.arange(N)})
    assert (found.photos, found.with_both) == (N, 0)
    estimate: Estimate = found.mrrpe_mm[RUNS[0]]
    assert np.isnan(estimate.value) and estimate.samples == 0
    plain = evaluation()
    split = SplitResult(N, [9], 0, plain.test.pose, found)
    both = dataclasses.replace(plain, splits=dict(plain.splits) | {"interacting": split})
    assert (
        "MRRPE" not in findings.two_hands(both)[0] and "box and" not in findings.two_hands(both)[0]
    )
    assert report.html(both, {})
