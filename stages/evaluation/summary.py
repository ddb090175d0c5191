"""Estimates with intervals from sample scores: per split, per subgroup, and between two models."""

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
from handpose.evaluation.scores import CLASS_POSE, MEAN_JOINTS, MEAN_POSE, STAGE_1, Scores
from handpose.evaluation.statistics import LENGTH, SHARE, Bounds, Comparison, Estimate
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.sample import UNLABELLED
from stages.paths import STAGE_2_MODELS

RUNS = tuple(STAGE_2_MODELS)
FULL, SCRATCH = RUNS
"""Folder names of the two Stage 2 runs."""

MODELS = {
    FULL: "full model",
    SCRATCH: "without pretraining",
    MEAN_POSE: "mean pose, true root",
    CLASS_POSE: "class mean, true root",
    MEAN_JOINTS: "mean training joints",
}
"""Names of the scored runs and baselines in tables and charts, in order."""

MAJORITY = "majority"
CHANCE = "chance"

PRIMARY = "wrist_mpjpe_mm"
"""The protocol that alone decides which of two models is better, fixed before any result: it needs
no fit, no scaling and no true root. The verdicts by the others are Holm-adjusted."""
COMPARED = (PRIMARY, "pa_mpjpe_mm", "table2_mpjpe_mm", "wrist_fit_mpvpe_mm")

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
    """Estimates with intervals over subjects, and the seed of the random sign flips."""

    seed: int

    def mean(
        self, values: NDArray[Any], subjects: NDArray[Any], bounds: Bounds = LENGTH
    ) -> Estimate:
        """Mean over samples, ignoring NaN; of an error, unless other bounds are given."""
        return statistics.mean(values, subjects, bounds=bounds)

    def statistic(
        self,
        totals: NDArray[Any],
        counts: NDArray[Any],
        statistic: Callable[[torch.Tensor], torch.Tensor],
        samples: int,
        bounds: Bounds,
    ) -> Estimate:
        """A tensor function of the summed totals of subjects (K, T), with their counts (K,)."""
        return statistics.estimate(
            totals,
            counts,
            lambda sums: statistic(torch.from_numpy(sums)).numpy(),
            samples=samples,
            bounds=bounds,
        )

    def line(self, totals: NDArray[Any]) -> Line:
        """The PCK curve from the subjects' `metrics.pck_totals` (K, T + 1)."""
        value, low, high = statistics.band(
            totals,
            totals[:, -1],
            lambda sums: metrics.pck(torch.from_numpy(sums)).numpy(),
            bounds=SHARE,
        )
        return Line(THRESHOLDS_MM.numpy(), value, low, high)

    def compare(
        self, first: NDArray[Any], second: NDArray[Any], subjects: NDArray[Any]
    ) -> Comparison:
        """Paired difference, second minus first."""
        return statistics.compare(first, second, subjects, seed=self.seed)


# --- pose ----------------------------------------------------------------------------------------


def pose_estimates(
    scores: Scores, subjects: NDArray[Any], is_left: NDArray[np.bool_], intervals: Intervals
) -> dict[str, Estimates]:
    """Estimates of every protocol, by run or baseline, then by column key.

    Args:
        scores: of N samples.
        subjects: (N,).
        is_left: (N,) side of the hand in the photo (canonical mode mirrors left hands).
        intervals: over these subjects.
    """
    return {
        model: model_estimates(found, scores.joint_valid, subjects, is_left, intervals)
        for model, found in scores.pose.items()
    }


def model_estimates(
    found: Mapping[str, NDArray[Any]],
    joint_valid: NDArray[np.bool_],
    subjects: NDArray[Any],
    is_left: NDArray[np.bool_],
    intervals: Intervals,
) -> Estimates:
    """Estimates of every protocol of one model, by column key.

    Args:
        found: (N,) or (N, 21) by key of `protocols.score`, NaN where a sample has no value.
        joint_valid: (N, 21).
        subjects: (N,).
        is_left: (N,) side of the hand in the photo.
        intervals: over these subjects.
    """
    return {
        **{
            c.key: intervals.mean(found[c.key], subjects, LENGTH if c.unit else SHARE)
            for c in COLUMNS
            if c.key in found
        },
        PUBLISHED.key: _published(
            found["table2_joint_errors_mm"], joint_valid, is_left, subjects, intervals
        ),
        "pck_auc": _auc(found["joint_errors_mm"], subjects, intervals),
        "pa_pck_auc": _auc(found["pa_joint_errors_mm"], subjects, intervals),
    }


def _published(
    errors: NDArray[Any],
    valid: NDArray[Any],
    is_left: NDArray[np.bool_],
    subjects: NDArray[Any],
    intervals: Intervals,
) -> Estimate:
    rows = metrics.published_totals(*map(torch.from_numpy, (errors, valid, is_left))).numpy()
    scored = rows[:, 42:].any(1)
    totals = statistics.per_subject(rows[scored], subjects[scored])
    counts = totals[:, 42:].sum(1)
    return intervals.statistic(
        totals, counts, metrics.published_mpjpe_mm, int(scored.sum()), LENGTH
    )


def _auc(errors: NDArray[Any], subjects: NDArray[Any], intervals: Intervals) -> Estimate:
    totals = pck_totals(errors, subjects)
    samples = int((~np.isnan(errors)).any(1).sum())
    return intervals.statistic(
        totals, totals[:, -1], lambda sums: metrics.auc(metrics.pck(sums)), samples, SHARE
    )


def pck_totals(errors: NDArray[Any], subjects: NDArray[Any]) -> NDArray[Any]:
    """`metrics.pck_totals` of each subject with scored joints: (N, J) mm -> (K, T + 1)."""
    own = (errors[subjects == subject] for subject in np.unique(subjects))
    rows = [metrics.pck_totals(torch.from_numpy(e), THRESHOLDS_MM).numpy() for e in own]
    return np.array([row for row in rows if row[-1] > 0]).reshape(-1, len(THRESHOLDS_MM) + 1)


def comparisons(
    scores: Scores, subjects: NDArray[Any], intervals: Intervals
) -> dict[str, Comparison]:
    """The full model minus the run without pretraining, per protocol."""
    full, scratch = scores.pose[FULL], scores.pose[SCRATCH]
    return {key: intervals.compare(scratch[key], full[key], subjects) for key in COMPARED}


def intervention_costs(
    scores: Scores, subjects: NDArray[Any], intervals: Intervals
) -> dict[str, dict[str, dict[str, Comparison]]]:
    """What an intervention on the gesture tokens adds to a model's errors.

    By run with tokens, by key of `INTERVENTIONS`, by protocol: the changed model minus the model.
    """
    return {
        run: {
            name: {
                key: intervals.compare(scores.pose[run][key], errors, subjects)
                for key, errors in changed.items()
            }
            for name, changed in found.items()
        }
        for run, found in scores.interventions.items()
    }


# --- gestures ------------------------------------------------------------------------------------


def gesture_estimates(
    scores: Scores, subjects: NDArray[Any], classes: Classes, intervals: Intervals
) -> dict[str, Estimates]:
    """Accuracy and macro F1 of every network, of the majority class and of chance."""
    found = {
        name: _gesture(scores, predicted, subjects, classes, intervals)
        for name, predicted in scores.predicted.items()
    }
    labelled = scores.classes["coarse"] != UNLABELLED
    majority = {
        level: np.full(len(scores), classes.majority[level]) for level in ("coarse", "fine")
    }
    found[MAJORITY] = _gesture(scores, majority, subjects, classes, intervals)
    sizes = {"coarse": len(classes.coarse), "fine": len(classes.fine)}
    count = int(labelled.sum()), len(np.unique(subjects[labelled]))
    found[CHANCE] = {
        f"{level}_accuracy": Estimate(1 / size, 1 / size, 1 / size, *count)
        for level, size in sizes.items()
    }
    return found


def _gesture(
    scores: Scores,
    predicted: Mapping[str, NDArray[Any]],
    subjects: NDArray[Any],
    classes: Classes,
    intervals: Intervals,
) -> Estimates:
    found = {}
    names = {"coarse": np.array(classes.coarse), "fine": np.array(classes.fine)}
    for level in ("coarse", "fine"):
        truth = scores.classes[level]
        known = truth != UNLABELLED
        hit = np.where(known, truth == predicted[level], np.nan)
        found[f"{level}_accuracy"] = intervals.mean(hit, subjects, SHARE)
        found[f"{level}_macro_f1"] = _macro_f1(
            truth[known], predicted[level][known], subjects[known], len(names[level]), intervals
        )
    if len(set(classes.hands)) > 1:
        truth = scores.classes["coarse"]
        same = names["coarse"][truth] == names["coarse"][predicted["coarse"]]
        either = np.where(truth != UNLABELLED, same, np.nan)
        found["coarse_accuracy_ignoring_hand"] = intervals.mean(either, subjects, SHARE)
    return found


def _macro_f1(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    subjects: NDArray[Any],
    size: int,
    intervals: Intervals,
) -> Estimate:
    matrices = [
        confusion(truth[subjects == subject], predicted[subjects == subject], size).ravel()
        for subject in np.unique(subjects)
    ]
    totals = np.array(matrices, float).reshape(-1, size**2)
    return intervals.statistic(
        totals,
        totals.sum(1),
        lambda sums: metrics.macro_f1(sums.view(*sums.shape[:-1], size, size)),
        len(truth),
        SHARE,
    )


def confusion(truth: NDArray[Any], predicted: NDArray[Any], size: int) -> NDArray[Any]:
    """Confusion matrix (size, size) of labelled samples."""
    matrix = metrics.confusion(torch.from_numpy(truth), torch.from_numpy(predicted), size)
    return np.asarray(matrix.numpy())


# --- views ---------------------------------------------------------------------------------------


def view_estimates(
    scores: Scores, subjects: NDArray[Any], intervals: Intervals
) -> dict[str, Estimates]:
    """How often a run shows a palm as a back, and how often its heads know side and facing."""
    return {
        run: {key: intervals.mean(hits, subjects, SHARE) for key, hits in found.items()}
        for run, found in scores.view.items()
    }


# --- subgroups of a split ------------------------------------------------------------------------


class Subgroup(NamedTuple):
    """A row of a breakdown: a group of samples, or one joint of all samples."""

    name: str
    estimates: Estimates


def subgroups(
    scores: Scores, groups: NDArray[Any], subjects: NDArray[Any], intervals: Intervals
) -> list[Subgroup]:
    """Errors of both runs and Stage 1's coarse accuracy per group of samples."""
    hit = np.where(
        scores.classes["coarse"] != UNLABELLED,
        scores.classes["coarse"] == scores.predicted[STAGE_1]["coarse"],
        np.nan,
    )
    found = []
    for group in np.unique(groups):
        own = groups == group
        estimates = {
            f"{run}_{key}": intervals.mean(scores.pose[run][key][own], subjects[own])
            for run in RUNS
            for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm")
        }
        estimates["coarse_accuracy"] = intervals.mean(hit[own], subjects[own], SHARE)
        found.append(Subgroup(str(group), estimates))
    return found


def joint_subgroups(scores: Scores, subjects: NDArray[Any], intervals: Intervals) -> list[Subgroup]:
    """Errors of both runs per joint; the wrist has no wrist-relative error."""
    return [
        Subgroup(
            name,
            {
                f"{run}_{key}": intervals.mean(scores.pose[run][source][:, joint], subjects)
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


def to_json(value: Any) -> Any:
    """Dataclasses and dicts as JSON values: NaN as null, floats rounded to six digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
