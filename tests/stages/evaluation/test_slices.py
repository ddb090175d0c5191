"""The groups of a breakdown: every image is in one, and in the right one."""

from __future__ import annotations

import dataclasses

import numpy as np

from handpose.evaluation.scores import Scores
from stages.evaluation import slices
from tests.stages.evaluation.made_up_scores import N


def test_sectors_of_rotation_and_faces_name_every_sample(scores: Scores) -> None:
    sectors = slices.rotation_names(scores)
    counts = np.unique(sectors, return_counts=True)[1]
    assert len(counts) == 12 and set(counts) <= {N // 12, N // 12 + 1}
    assert sectors[N // 2] == "000 to 030" and sectors[0] == "180 to 210"
    assert slices.facing_names(scores)[:4].tolist() == ["unknown", "palm", "back", "edge"]
    unknown = dataclasses.replace(scores, rotation=np.full(N, np.nan))
    assert set(slices.rotation_names(unknown)) == {"unknown"}


def test_thirds_of_a_sequence_are_those_of_its_own_frames() -> None:
    frame = np.array([10, 11, 12, 13, 14, 15, 700, 800, 900, 5])
    origin = {
        "subject": np.array([1] * 6 + [2] * 3 + [3]),
        "session": np.zeros(10, int),
        "sequence": np.array(["fist"] * 10),
        "is_left": np.zeros(10, bool),
        "frame": frame,
    }
    names = slices.phase_names(origin).tolist()
    first, middle, last = slices.THIRDS.tolist()
    assert names[:6] == [first, first, middle, middle, last, last]
    assert names[6:] == [first, middle, last, "only frame"]
    mixed = np.random.default_rng(0).permutation(10)
    again = slices.phase_names({key: values[mixed] for key, values in origin.items()})
    assert again.tolist() == [names[i] for i in mixed]
    both = slices.phase_names(origin | {"is_left": np.arange(10) % 2 == 1})
    assert both[:6].tolist() == [first, first, middle, middle, last, last], "each hand's own"


def test_fifths_are_equal_and_in_order_of_confidence(scores: Scores) -> None:
    names = slices.confidence_names(scores)
    means = [scores.confidence[names == fifth].mean() for fifth in slices.FIFTHS]
    assert means == sorted(means)
    assert {int((names == fifth).sum()) for fifth in slices.FIFTHS} == {N // 5}


def test_missing_joints_are_counted(scores: Scores) -> None:
    valid = np.ones((N, 21), bool)
    valid[0, :1] = valid[1, :5] = valid[2, :6] = valid[3, :] = False
    names = slices.visibility_names(dataclasses.replace(scores, joint_valid=valid))
    whole, few, many = slices.MISSING.tolist()
    assert names[:5].tolist() == [few, few, many, many, whole]
