"""Hands of photos that show two: where one may cover the other, and how they stand to each other.

Each hand is scored by itself under every protocol, as those of any split. What is added: the errors
of joints that lie where the other hand is, and the field's number of two hands, MRRPE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.evaluation.scores import Scores
from handpose.evaluation.statistics import Estimate
from handpose.hand.mirror import mirror_points
from stages.evaluation.data import BesideOthers
from stages.evaluation.summary import RUNS, Intervals, Subgroup, subgroups

PHOTO = ("session", "sequence", "camera", "frame")
"""What identifies a photo in a split."""

COVERED = ("no joint in the other's box", "1 to 10 joints in it", "11 or more joints in it")
UNKNOWN = "other hand not known"

MRRPE = (
    "MRRPE: distance of the left wrist relative to the right one from the same of the annotation, "
    "mm, over photos with both; no network predicts where a wrist is, so each hand is put where "
    "its joints are nearest to the pixels at which they were predicted, by its own predicted size"
)


@dataclass(frozen=True)
class TwoHands:
    """What is reported of a split of photos with two annotated hands."""

    photos: int
    with_both: int  # of these, with both hands among the samples
    joints: int  # valid ones of all samples
    joints_in_other_box: int
    mrrpe_mm: Mapping[str, Estimate]  # by run; samples: photos with both wrists
    covered: Sequence[Subgroup]  # samples by how many joints lie in the other's box
    places: Sequence[Subgroup]  # joints inside and outside of it, a mean for each sample


def two_hands(
    scores: Scores,
    origin: Mapping[str, NDArray[Any]],
    others: BesideOthers,
    *,
    canonical: bool,
    intervals: Intervals,
) -> TwoHands:
    """Of the samples of one split.

    Args:
        scores: of N samples, with wrists.
        origin: (N,) each: `PHOTO`, subject and is_left.
        others: of the same samples.
        canonical: the networks saw left hands mirrored.
        intervals: over people.
    """
    subjects, is_left = origin["subject"], origin["is_left"].astype(bool)
    photo = _numbers(origin)
    right, left = _both(photo, is_left)
    wrists = {}
    for run, found in scores.wrists.items():
        mirrored = torch.from_numpy(is_left & canonical)
        own = mirror_points(torch.from_numpy(found)[:, None], mirrored)[:, 0].numpy()
        wrists[run] = own
    truth = others.wrists[left] - others.wrists[right]
    valid = scores.joint_valid.astype(bool)
    places = {
        "joints in the other hand's box": valid & others.in_other_box,
        "joints outside of it": valid & ~others.in_other_box & others.is_known[:, None],
    }
    groups = np.array(COVERED)[np.digitize(others.in_other_box.sum(1), [1, 11])]
    groups = np.where(others.is_known, groups, UNKNOWN)
    return TwoHands(
        photos=len(np.unique(photo)),
        with_both=len(right),
        joints=int(valid.sum()),
        joints_in_other_box=int((valid & others.in_other_box).sum()),
        mrrpe_mm={
            run: intervals.mean(
                1000 * np.linalg.norm(own[left] - own[right] - truth, axis=-1), subjects[right]
            )
            for run, own in wrists.items()
        },
        covered=sorted(
            (
                Subgroup(name, {k: v for k, v in estimates.items() if k != "coarse_accuracy"})
                for name, estimates in subgroups(scores, groups, subjects, intervals)
            ),
            key=lambda group: (*COVERED, UNKNOWN).index(group.name),
        ),
        places=[
            Subgroup(
                name,
                {
                    f"{run}_{key}": intervals.mean(_mean(scores.pose[run][source], mask), subjects)
                    for run in RUNS
                    for key, source in (
                        ("wrist_mpjpe_mm", "joint_errors_mm"),
                        ("pa_mpjpe_mm", "pa_joint_errors_mm"),
                    )
                },
            )
            for name, mask in places.items()
        ],
    )


def _numbers(origin: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """A number for each sample's photo (N,)."""
    codes = [np.unique(origin[name], return_inverse=True)[1].ravel() for name in PHOTO]
    return np.unique(np.stack(codes, 1), axis=0, return_inverse=True)[1].ravel().astype(np.int64)


def _both(
    photo: NDArray[np.int64], is_left: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The right and the left hand of each photo that has both."""
    right, left = np.flatnonzero(~is_left), np.flatnonzero(is_left)
    _, first, second = np.intersect1d(photo[right], photo[left], return_indices=True)
    return right[first], left[second]


def _mean(errors: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """The mean of each row over its masked joints with an error (N,); NaN where there is none."""
    known = mask & ~np.isnan(errors)
    count = known.sum(1)
    total = np.where(known, errors, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
