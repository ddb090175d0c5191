"""Only what both evaluations scored is compared, each sample with itself, over people."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from handpose.sample import UNLABELLED
from pipeline.compare.paired import ACCURACIES, ERRORS, Pairs
from tests.pipeline.made_up import evaluation


def pairs(before: pa.Table, after: pa.Table) -> Pairs:
    return Pairs.of(before, after, seed=0)


def test_the_same_evaluation_has_not_moved() -> None:
    found = pairs(evaluation(), evaluation())
    assert (len(found), found.only_before, found.only_after) == (60, 0, 0)
    change = found.change(ERRORS[0])
    assert (change.by, change.before, change.comparison.verdict) == (0, 40.5, "inconclusive")


def test_samples_are_matched_by_what_they_are_and_not_by_their_index() -> None:
    before = evaluation()
    shuffled = before.take(np.random.default_rng(0).permutation(len(before)))
    errors = np.asarray(shuffled["pretrained_wrist_mpjpe_mm"]) - 2.0
    place = shuffled.column_names.index("pretrained_wrist_mpjpe_mm")
    after = shuffled.set_column(place, "pretrained_wrist_mpjpe_mm", pa.array(errors))
    found = pairs(before, after)
    assert found.change(ERRORS[0]).by == pytest.approx(-2)
    assert found.change(ERRORS[0]).comparison.difference.high == pytest.approx(-2), "no spread left"


def test_only_shared_samples_are_compared_and_the_others_counted() -> None:
    before = evaluation()
    found = pairs(before.slice(0, 50), before.slice(20))
    assert (len(found), found.only_before, found.only_after) == (30, 20, 10)
    assert len(pairs(before.slice(0, 10), before.slice(20))) == 0


def test_other_splits_are_left_out() -> None:
    official = evaluation(split=np.array(["official_val"] * 60))
    assert len(pairs(evaluation(), official)) == 0


def test_each_side_is_right_by_its_own_labels() -> None:
    before = evaluation()
    relabelled = evaluation(coarse=np.where(np.asarray(before["sequence"]) == "0001_a", 7, 1))
    changes = pairs(before, relabelled).per_folder(ACCURACIES[0]).by_name
    assert {name: change.by for name, change in changes.items()} == {"0001_a": -1, "0002_b": 0}
    assert list(changes) == ["0001_a", "0002_b"], "what moved most comes first"


def test_samples_without_a_class_or_a_truth_are_not_counted() -> None:
    errors = np.full(60, 10.0)
    errors[:7] = np.nan
    found = pairs(evaluation(), evaluation(pretrained_pa_mpjpe_mm=errors))
    assert found.change(ERRORS[1]).comparison.difference.samples == 53
    assert found.change(ACCURACIES[0]).comparison.difference.samples == 40, "ROM has no gesture"
    assert "ROM" not in found.per_folder(ERRORS[0]).by_name


def test_people_count_and_not_frames() -> None:
    """One person moved by 4 mm, the others not: no interval over four people may leave out 0."""
    before = evaluation()
    moved = np.asarray(before["pretrained_wrist_mpjpe_mm"]) + 4.0 * (
        np.asarray(before["subject"]) == 9
    )
    change = pairs(before, evaluation(pretrained_wrist_mpjpe_mm=moved)).change(ERRORS[0])
    assert change.by == pytest.approx(1)
    assert change.comparison.difference.low <= 0
    one = before.slice(0, 15)
    assert np.isnan(pairs(one, one).change(ERRORS[0]).comparison.difference.low)


def test_a_folders_change_is_that_of_its_own_samples() -> None:
    before = evaluation()
    errors = np.asarray(before["pretrained_wrist_mpjpe_mm"])
    errors = errors + np.random.default_rng(0).normal(0, 1, 60)
    errors[3] = np.nan  # of person 9 in folder 0001_a
    after = evaluation(pretrained_wrist_mpjpe_mm=errors)
    folders = pairs(before, after).per_folder(ERRORS[0])
    for name, samples in (("0001_a", 19), ("0002_b", 20)):
        rows = np.asarray(before["sequence"]) == name
        alone = pairs(before.filter(pa.array(rows)), after.filter(pa.array(rows)))
        expected = alone.change(ERRORS[0])
        found = folders.by_name[name]
        assert (found.samples, found.by_person.subjects) == (samples, 4)
        assert [found.before, found.after] == pytest.approx([expected.before, expected.after])
        person = expected.comparison.by_person
        assert found.by_person.value == pytest.approx(person.value)
        assert [found.by_person.low, found.by_person.high] == pytest.approx(
            [person.low, person.high]
        )
        assert found.p_value >= expected.comparison.student_p - 1e-12
    assert folders.tested == 2
    assert folders.by_chance == pytest.approx(0.1)


def test_the_mark_of_no_class_is_below_every_class() -> None:
    assert UNLABELLED < 0
