"""Scores of samples become numbers with intervals: of a split, of its parts, of two models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.evaluation import metrics, statistics
from handpose.evaluation.plots import Line
from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.scores import MEAN_JOINTS, MEAN_POSE, STAGE_1, Scores
from handpose.evaluation.statistics import Comparison, Estimate
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.sample import UNLABELLED

FULL = "pretrained"
SCRATCH = "scratch"
RUNS = (FULL, SCRATCH)
"""Stage 2's two runs, by the names of their folders."""

MODELS = {
    FULL: "full model",
    SCRATCH: "without pretraining",
    MEAN_POSE: "mean pose, true root",
    MEAN_JOINTS: "mean training joints",
}
"""Whose pose is scored, as tables and charts call it, in their order."""

MAJORITY = "majority"
CHANCE = "chance"

COMPARED = ("wrist_mpjpe_mm", "pa_mpjpe_mm", "table2_mpjpe_mm", "wrist_fit_mpvpe_mm")

THRESHOLDS_MM = torch.linspace(0, 50, 101)

Estimates = dict[str, Estimate]


class Classes(NamedTuple):
    """The gesture classes of the labels."""

    coarse: Sequence[str]  # names by id; both hands' classes of a gesture have the same name
    fine: Sequence[str]
    hands: Sequence[str]  # right or left, of each coarse class
    majority: Mapping[str, int]  # coarse, fine: the most frequent class of the training samples


@dataclass(frozen=True)
class Intervals:
    """How intervals are made: the parameters of the bootstrap."""

    resamples: int
    seed: int

    def mean(self, values: NDArray[Any], subjects: NDArray[Any]) -> Estimate:
        """Mean over samples, NaN left out."""
        return statistics.mean(values, subjects, resamples=self.resamples, seed=self.seed)

    def statistic(
        self,
        totals: NDArray[Any],
        statistic: Callable[[torch.Tensor], torch.Tensor],
        samples: int,
    ) -> Estimate:
        """A tensor function of the subjects' totals (K, T)."""
        return statistics.estimate(
            totals,
            lambda sums: statistic(torch.from_numpy(sums)).numpy(),
            samples=samples,
            resamples=self.resamples,
            seed=self.seed,
        )

    def line(self, totals: NDArray[Any]) -> Line:
        """The PCK curve of `metrics.pck_totals` of each subject (K, T + 1)."""
        value, low, high = statistics.band(
            totals,
            lambda sums: metrics.pck(torch.from_numpy(sums)).numpy(),
            resamples=self.resamples,
            seed=self.seed,
        )
        return Line(THRESHOLDS_MM.numpy(), value, low, high)

    def compare(
        self, first: NDArray[Any], second: NDArray[Any], subjects: NDArray[Any]
    ) -> Comparison:
        """What changes from the first to the second."""
        return statistics.compare(first, second, subjects, resamples=self.resamples, seed=self.seed)


# --- pose ----------------------------------------------------------------------------------------


def pose_estimates(
    scores: Scores, subjects: NDArray[Any], is_left: NDArray[np.bool_], how: Intervals
) -> dict[str, Estimates]:
    """Every protocol's number of every run and baseline, by their keys.

    Args:
        scores: of N samples.
        subjects: (N,).
        is_left: (N,) the hand of the photo, which the network may have seen mirrored.
        how: intervals are made.
    """
    return {
        model: {
            **{c.key: how.mean(found[c.key], subjects) for c in COLUMNS if c.key in found},
            PUBLISHED.key: _published(
                found["table2_joint_errors_mm"], scores.joint_valid, is_left, subjects, how
            ),
            "pck_auc": _auc(found["joint_errors_mm"], subjects, how),
            "pa_pck_auc": _auc(found["pa_joint_errors_mm"], subjects, how),
        }
        for model, found in scores.pose.items()
    }


def _published(
    errors: NDArray[Any],
    valid: NDArray[Any],
    is_left: NDArray[np.bool_],
    subjects: NDArray[Any],
    how: Intervals,
) -> Estimate:
    rows = metrics.published_totals(*map(torch.from_numpy, (errors, valid, is_left))).numpy()
    scored = rows[:, 42:].any(1)
    totals = statistics.per_subject(rows[scored], subjects[scored])
    return how.statistic(totals, metrics.published_mpjpe_mm, int(scored.sum()))


def _auc(errors: NDArray[Any], subjects: NDArray[Any], how: Intervals) -> Estimate:
    totals = pck_totals(errors, subjects)
    samples = int((~np.isnan(errors)).any(1).sum())
    return how.statistic(totals, lambda sums: metrics.auc(metrics.pck(sums)), samples)


def pck_totals(errors: NDArray[Any], subjects: NDArray[Any]) -> NDArray[Any]:
    """`metrics.pck_totals` of each subject that has an error: (N, J) mm -> (K, T + 1)."""
    own = (errors[subjects == subject] for subject in np.unique(subjects))
    rows = [metrics.pck_totals(torch.from_numpy(e), THRESHOLDS_MM).numpy() for e in own]
    return np.array([row for row in rows if row[-1] > 0]).reshape(-1, len(THRESHOLDS_MM) + 1)


def comparisons(scores: Scores, subjects: NDArray[Any], how: Intervals) -> dict[str, Comparison]:
    """From the run without pretraining to the full model, per protocol."""
    full, scratch = scores.pose[FULL], scores.pose[SCRATCH]
    return {key: how.compare(scratch[key], full[key], subjects) for key in COMPARED}


# --- gestures ------------------------------------------------------------------------------------


def gesture_estimates(
    scores: Scores, subjects: NDArray[Any], classes: Classes, how: Intervals
) -> dict[str, Estimates]:
    """Accuracy and macro F1 of every network's logits, of the majority class and of chance."""
    found = {
        name: _gesture(scores, said, subjects, classes, how) for name, said in scores.said.items()
    }
    labelled = scores.classes["coarse"] != UNLABELLED
    majority = {
        level: np.full(len(scores), classes.majority[level]) for level in ("coarse", "fine")
    }
    found[MAJORITY] = _gesture(scores, majority, subjects, classes, how)
    sizes = {"coarse": len(classes.coarse), "fine": len(classes.fine)}
    count = int(labelled.sum()), len(np.unique(subjects[labelled]))
    found[CHANCE] = {
        f"{level}_accuracy": Estimate(1 / size, 1 / size, 1 / size, *count)
        for level, size in sizes.items()
    }
    return found


def _gesture(
    scores: Scores,
    said: Mapping[str, NDArray[Any]],
    subjects: NDArray[Any],
    classes: Classes,
    how: Intervals,
) -> Estimates:
    found = {}
    names = {"coarse": np.array(classes.coarse), "fine": np.array(classes.fine)}
    for level in ("coarse", "fine"):
        truth = scores.classes[level]
        known = truth != UNLABELLED
        hit = np.where(known, truth == said[level], np.nan)
        found[f"{level}_accuracy"] = how.mean(hit, subjects)
        found[f"{level}_macro_f1"] = _macro_f1(
            truth[known], said[level][known], subjects[known], len(names[level]), how
        )
    if len(set(classes.hands)) > 1:
        truth = scores.classes["coarse"]
        same = names["coarse"][truth] == names["coarse"][said["coarse"]]
        either = np.where(truth != UNLABELLED, same, np.nan)
        found["coarse_accuracy_ignoring_hand"] = how.mean(either, subjects)
    return found


def _macro_f1(
    truth: NDArray[Any], said: NDArray[Any], subjects: NDArray[Any], size: int, how: Intervals
) -> Estimate:
    matrices = [
        confusion(truth[subjects == subject], said[subjects == subject], size).ravel()
        for subject in np.unique(subjects)
    ]
    totals = np.array(matrices, float).reshape(-1, size**2)
    return how.statistic(
        totals, lambda sums: metrics.macro_f1(sums.view(*sums.shape[:-1], size, size)), len(truth)
    )


def confusion(truth: NDArray[Any], said: NDArray[Any], size: int) -> NDArray[Any]:
    """Confusions (size, size) of known classes."""
    matrix = metrics.confusion(torch.from_numpy(truth), torch.from_numpy(said), size)
    return np.asarray(matrix.numpy())


# --- parts of a split ----------------------------------------------------------------------------


class Subgroup(NamedTuple):
    """A row of a breakdown: some of the samples, or one joint of all."""

    name: str
    estimates: Estimates


def parts(
    scores: Scores, groups: NDArray[Any], subjects: NDArray[Any], how: Intervals
) -> list[Subgroup]:
    """Errors of both runs and Stage 1's coarse accuracy for each group of the samples."""
    hit = np.where(
        scores.classes["coarse"] != UNLABELLED,
        scores.classes["coarse"] == scores.said[STAGE_1]["coarse"],
        np.nan,
    )
    found = []
    for group in np.unique(groups):
        own = groups == group
        estimates = {
            f"{run}_{key}": how.mean(scores.pose[run][key][own], subjects[own])
            for run in RUNS
            for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm")
        }
        estimates["coarse_accuracy"] = how.mean(hit[own], subjects[own])
        found.append(Subgroup(str(group), estimates))
    return found


def joint_parts(scores: Scores, subjects: NDArray[Any], how: Intervals) -> list[Subgroup]:
    """Errors of both runs for each joint; the wrist has none relative to itself."""
    return [
        Subgroup(
            name,
            {
                f"{run}_{key}": how.mean(scores.pose[run][source][:, joint], subjects)
                for run in RUNS
                for key, source in (
                    ("wrist_mpjpe_mm", "joint_errors_mm"),
                    ("pa_mpjpe_mm", "pa_joint_errors_mm"),
                )
                if (joint, key) != (WRIST, "wrist_mpjpe_mm")
            },
        )
        for joint, name in enumerate(JOINTS)
    ]


def plain(value: Any) -> Any:
    """Dataclasses and dicts as JSON holds them, NaN as null, floats to six digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
