"""`handpose evaluate shifted SEVERITY`: both Stage 2 models on shifted synthetic test sets."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.evaluation.scores import Models
from handpose.evaluation.statistics import Comparison, Estimate
from handpose.synthetic.shifted_recipe import SHIFTS, ShiftedTest, everything, shifted_tests
from handpose.training.trained_nets import load_pose_net, read_pose_record
from stages.code_digest import stage_digest
from stages.evaluation.data import EvaluationData
from stages.evaluation.report import WIDTH, aligned, digits, format_estimate
from stages.evaluation.summary import COMPARED, FULL, MODELS, PRIMARY, SCRATCH, Intervals, to_json
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.paths import STAGE_2_MODELS, WORK
from stages.running.artifacts import write_json
from stages.running.progress import Progress
from stages.shifting.shifted_scores import ShiftedScores, ShiftedSets
from stages.shifting.shifted_shards import shifted_key, write_shifted_shards

SCHEMA = 1
"""Of the JSON file; it grows when a field goes, or means another thing."""

CACHE = WORK / "shifted"
"""A folder of shards for each severity, recipe and state of the code."""


class SeverityError(HandPoseError):
    """There are no test sets of such a severity."""


@dataclass(frozen=True)
class ShiftResult:
    """Both models on one test set."""

    test: ShiftedTest
    images: int
    people: int
    estimates: Mapping[str, Mapping[str, Estimate]]  # by run, then by protocol
    differences: Mapping[str, Comparison]  # the full model minus the other, by protocol

    @classmethod
    def of(
        cls, test: ShiftedTest, found: Mapping[str, ShiftedScores], intervals: Intervals
    ) -> ShiftResult:
        """The numbers of a set from the scores of both runs on the same images."""
        person = found[FULL].person

        def values(run: str, key: str) -> NDArray[Any]:
            errors: NDArray[Any] = found[run].scores.pose[run][key]
            return errors

        return cls(
            test,
            len(person),
            len(np.unique(person)),
            {
                run: {key: intervals.mean(values(run, key), person) for key in COMPARED}
                for run in found
            },
            {
                key: intervals.compare(values(SCRATCH, key), values(FULL, key), person)
                for key in COMPARED
            },
        )


def evaluate_shifted(
    severity: float,
    params: Params,
    *,
    out: Path,
    device: torch.device,
    write: Callable[[str], None],
) -> Path:
    """Score both models on the sets of this severity; returns the JSON file of the numbers.

    The sets are rendered once, and kept for the next call.

    Args:
        severity: above 0 to 1.
        params: of this clone.
        out: a file is written below it.
        device: of the networks.
        write: takes lines for the user.

    Raises:
        HandPoseError: the severity is none, a model is not trained, or there are no data.
    """
    if not 0 < severity <= 1:
        raise SeverityError(
            f"severity {severity:g}: expected a number above 0, at most 1; 1 is as hard as the "
            "sets of docs/photos.md"
        )
    records = {run: read_pose_record(folder) for run, folder in STAGE_2_MODELS.items()}
    folder = _made(params, severity, write)
    sets = ShiftedSets.open(folder, [severity])
    progress = Progress("shifted", len(records) * sets.images, "images")
    found: dict[str, dict[str, ShiftedScores]] = {name: {} for name in sets.names}
    for run, record in records.items():
        data = EvaluationData.for_model(record, params.evaluate, device)
        models = _models(run, data, params, device)
        with data.loading:
            for name, scores in sets.score(models, data, progress):
                found[name][run] = scores
    intervals = Intervals(params.evaluate.seed)
    results = [
        ShiftResult.of(test, found[test.name], intervals) for test in shifted_tests([severity])
    ]
    for line in _lines(results, severity):
        write(line)
    target = out / "shifted" / f"severity-{severity:g}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, _content(results, severity, folder, records))
    write(f"wrote {target}")
    return target


def _made(params: Params, severity: float, write: Callable[[str], None]) -> Path:
    """The folder of the sets, rendered now if they are not there."""
    folder = CACHE / shifted_key(params, [severity], stage_digest("shift"))
    if not (folder / "index.json").is_file():
        write(f"rendering the test sets of severity {severity:g} into {folder}, once")
        write_shifted_shards(folder, params, [severity])
    return folder


def _models(run: str, data: EvaluationData, params: Params, device: torch.device) -> Models:
    """The network of a run alone."""
    mano = load_hand_model(params.hand, params.data)
    means = data.training_means(mano).to(device)
    mano = mano.to(device)
    net = load_pose_net(STAGE_2_MODELS[run], mano).to(device).eval()
    return Models(net.gesture_net, net.gesture_net, {run: net}, means, mano)


def _lines(results: list[ShiftResult], severity: float) -> Iterator[str]:
    primary = next(one for one in results if one.test == everything(severity))
    yield textwrap.fill(
        f"Shifted synthetic test sets of severity {severity:g}: {primary.images} images of "
        f"{primary.people} new people in each, the same people and poses in all. Wrist-relative "
        "MPJPE, mm; [low, high]: Student's 95 % interval over people.",
        WIDTH,
    )
    yield ""
    head = ("test set", MODELS[FULL], MODELS[SCRATCH], "difference by person")
    rows = []
    for one in results:
        cells = [one.estimates[run][PRIMARY] for run in (FULL, SCRATCH)]
        cells.append(one.differences[PRIMARY].by_person)
        rows.append((one.test.name, *(format_estimate(cell, digits(PRIMARY)) for cell in cells)))
    yield from aligned(head, rows)
    yield ""
    for one in results:
        if len(one.test.shifts) == 1:
            what, _ = SHIFTS[one.test.shifts[0]]
            yield f"- {one.test.name}: {what}"
    verdict = primary.differences[PRIMARY].verdict
    yield textwrap.fill(
        f"- {primary.test.name} is the primary set: with gesture pretraining the error is "
        f"{_WORDS[verdict]}. The other rows describe and decide nothing. One model each: how far "
        "seeds differ is not in these intervals (docs/experiments.md, grid `shifted`).",
        WIDTH,
        subsequent_indent="  ",
    )


_WORDS = {
    "lower": "lower",
    "higher": "higher",
    "inconclusive": "not shown to be another one",
}


def _content(
    results: list[ShiftResult], severity: float, folder: Path, records: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "severity": severity,
        "sets_in": str(folder),
        "primary": everything(severity).name,
        "models": {run: record.weights_sha256 for run, record in records.items()},
        "sets": {
            one.test.name: {
                "shifts": list(one.test.shifts),
                "severity": one.test.severity,
                "images": one.images,
                "people": one.people,
                "estimates": to_json(one.estimates),
                "pretrained_minus_scratch": to_json(one.differences),
            }
            for one in results
        },
    }
