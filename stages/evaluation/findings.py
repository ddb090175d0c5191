"""What the numbers of an evaluation say, and what they do not, in plain words.

Every sentence is chosen by the numbers; none is true before they are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handpose.evaluation.protocols import COLUMNS
from handpose.evaluation.scores import MEAN_JOINTS, MEAN_POSE, STAGE_1
from handpose.evaluation.statistics import Comparison, Estimate
from stages.evaluation.summary import CHANCE, FULL, MAJORITY, SCRATCH, Estimates, Subgroup


@dataclass(frozen=True)
class SplitResult:
    """A split's counts and pose numbers."""

    samples: int
    subjects: Sequence[int]
    without_fit: int
    pose: Mapping[str, Estimates]  # by run or baseline


@dataclass(frozen=True)
class ModelRun:
    """How a Stage 2 run was trained."""

    seconds: Mapping[str, float]  # by stage: pretrain (if it had one) and pose
    steps: int  # of Stage 2
    gates: Sequence[float]  # of the coarse and the fine gesture token; empty without tokens

    @property
    def total_s(self) -> float:
        """Seconds of all its training."""
        return sum(self.seconds.values())

    def seconds_told(self) -> str:
        """`83 s + 96 s = 179 s`, or `96 s`."""
        parts = [f"{s:.0f} s" for s in self.seconds.values()]
        return " + ".join(parts) + (f" = {self.total_s:.0f} s" if len(parts) > 1 else "")


@dataclass(frozen=True)
class Encoder:
    """How well an encoder's features tell gestures apart."""

    purity: Estimate  # of 10 neighbours among other people
    silhouette: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report tells."""

    splits: Mapping[str, SplitResult]  # `test` first, then the official ones that are there
    gesture: Mapping[str, Estimates]  # by network, majority, chance; of the labelled test samples
    comparisons: Mapping[str, Comparison]  # by protocol: from scratch to the full model
    runs: Mapping[str, ModelRun]
    encoders: Mapping[str, Encoder]  # stage_1 and untrained
    purity_by_chance: float
    parts: Mapping[str, Sequence[Subgroup]]  # by gesture, joint, hand, camera, subject
    unseen: int  # coarse classes of the test that training had no sample of
    handedness: str
    synthetic: bool  # the images are drawn, not photographed

    @property
    def test(self) -> SplitResult:
        """The labelled split."""
        return self.splits["test"]


def baselines(e: Evaluation) -> list[str]:
    """How the full model stands against knowing the training averages."""
    full, joints, pose = (e.test.pose[name] for name in (FULL, MEAN_JOINTS, MEAN_POSE))
    wrist, pa = "wrist_mpjpe_mm", "pa_mpjpe_mm"
    turned = "the mean training pose turned by the true root"
    to_joints = _against(full[wrist], joints[wrist], "the mean training joints")
    to_pose = _against(full[wrist], pose[wrist], turned)
    to_pose_pa = _against(full[pa], pose[pa], "that mean pose")
    return [
        f"The full model's wrist-relative MPJPE is {to_joints}, and {to_pose}, which no network is "
        "given.",
        f"Its PA-MPJPE, where the root does not count, is {to_pose_pa}.",
    ]


def _against(value: Estimate, reference: Estimate, name: str) -> str:
    """`41 % below the mean training joints (36.2 against 61.1 mm)`."""
    if not math.isfinite(value.value) or not reference.value > 0:
        return f"not comparable with {name}"
    change = 100 * (value.value / reference.value - 1)
    word = "below" if change < 0 else "above"
    numbers = f"{value.value:.1f} against {reference.value:.1f} mm"
    return f"{abs(change):.0f} % {word} {name} ({numbers})"


def gestures(e: Evaluation) -> list[str]:
    """What Stage 1 knows of gestures, and what Stage 2 leaves of it."""
    stage_1, kept = e.gesture[STAGE_1]["coarse_accuracy"], e.gesture[FULL]["coarse_accuracy"]
    majority = e.gesture[MAJORITY]["coarse_accuracy"].value
    chance = e.gesture[CHANCE]["coarse_accuracy"].value
    sentences = [
        f"Stage 1 names {100 * stage_1.value:.1f} % of the coarse gestures of people it never saw; "
        f"always saying the most frequent one would name {100 * majority:.1f} %, guessing "
        f"{100 * chance:.1f} %."
    ]
    change = 100 * (kept.value - stage_1.value)
    what = "lost" if change < 0 else "gained"
    sentences.append(
        f"After Stage 2 the same heads name {100 * kept.value:.1f} %: {abs(change):.1f} points "
        f"{what}."
    )
    trained, untrained = e.encoders[STAGE_1].purity, e.encoders["untrained"].purity
    if math.isfinite(trained.value):
        sentences.append(
            f"Of the ten nearest neighbours of an image among other people's, "
            f"{100 * trained.value:.0f} % show the same gesture in the features after Stage 1, "
            f"{100 * untrained.value:.0f} % before it, {100 * e.purity_by_chance:.0f} % by chance."
        )
    return sentences


def pretraining(e: Evaluation) -> list[str]:
    """Whether the full model is better than the one without pretraining, on these samples."""
    c = e.comparisons["wrist_mpjpe_mm"]
    if not math.isfinite(c.difference.value):
        return ["The two runs share no scored sample: nothing can be said of pretraining."]
    full, scratch = (e.test.pose[run]["wrist_mpjpe_mm"].value for run in (FULL, SCRATCH))
    verdict = {
        "lower": "with pretraining the error is lower, beyond what subjects differ by.",
        "higher": "with pretraining the error is higher, beyond what subjects differ by.",
        "inconclusive": "these subjects cannot tell the two apart.",
    }[c.verdict]
    count = c.difference.subjects
    return [
        f"At the same {_steps(e)}: {verdict}",
        f"Wrist-relative MPJPE is {full:.1f} mm with pretraining, after "
        f"{e.runs[FULL].seconds_told()} of training, and {scratch:.1f} mm without, after "
        f"{e.runs[SCRATCH].seconds_told()}.",
        f"The paired difference is {c.difference.value:+.1f} mm on {c.difference.samples:,} "
        f"images (95 % by bootstrap of the subjects {_span(c.difference)}, too narrow with few of "
        f"them). Counting each of {count} subjects once it is {c.by_person.value:+.1f} mm, 95 % "
        f"{_span(c.by_person)} (Student), which decides. The error is lower for "
        f"{c.subjects_lower} of {count}; sign-flip p = {c.p_value:.3g}, where {count} subjects can "
        f"reach {c.smallest_p:.3g} at best.",
        f"By other protocols: {_others(e)}.",
    ]


def _others(e: Evaluation) -> str:
    """`PA-MPJPE -1.1 mm (lower), ...`."""
    names = {column.key: column.name for column in COLUMNS}
    return ", ".join(
        f"{names[key]} {c.difference.value:+.1f} mm ({c.verdict})"
        for key, c in e.comparisons.items()
        if key != "wrist_mpjpe_mm"
    )


def _steps(e: Evaluation) -> str:
    full, scratch = e.runs[FULL].steps, e.runs[SCRATCH].steps
    if full == scratch:
        return f"{full:,} Stage 2 steps"
    return f"recipe, but after {full:,} against {scratch:,} Stage 2 steps"


def _span(e: Estimate) -> str:
    if not (math.isfinite(e.low) and math.isfinite(e.high)):
        return "unknown"
    return f"{e.low:+.1f} to {e.high:+.1f}"


def limits(e: Evaluation) -> list[str]:
    """What one short run cannot show, whatever its numbers are."""
    full, scratch = e.runs[FULL], e.runs[SCRATCH]
    ratio = full.total_s / max(scratch.total_s, 1e-9)
    sentences = [
        f"Equal steps are not equal minutes. The full model had {ratio:.1f} times the training "
        "time of the other, Stage 1 included; whether the other would catch up in that time was "
        "not tried here.",
        "Initialisation or tokens. Pretraining acts as a starting point of the encoder and through "
        f"the gesture tokens ({_gates(full)}). This run does not tell them apart; one with "
        "pose_net.gesture_tokens: false would.",
        "Gestures or any warm-up. A pretraining on shuffled labels, which would teach no gesture, "
        "was not run: the gain, if there is one, need not come from knowing gestures.",
        "One seed each. Another seed gives another pair of models, and the intervals know nothing "
        "of that; they are over subjects only.",
        f"{people(len(e.test.subjects))} held out. Intervals resample people, not frames, and the "
        "fewer they are the more a bootstrap interval is too narrow: a nominal 95 % covers about "
        "79 % with 4 people and 92 % with 20.",
        "The people of the test are new to the models, their gestures are not"
        + (f" (but for {e.unseen} of them)." if e.unseen else ": every one was trained on."),
    ]
    if e.synthetic:
        sentences.append(
            "All images, of training and test, are drawn by one program: nothing here tells how "
            "the models do on photos."
        )
    return sentences


def caution(e: Evaluation) -> str:
    """`limits` in one sentence, for the terminal."""
    ratio = e.runs[FULL].total_s / max(e.runs[SCRATCH].total_s, 1e-9)
    return (
        "One short run cannot show whether the other model would catch up in the full model's "
        f"training time ({ratio:.1f} times its own), whether a gain comes from the starting point, "
        "from the gesture tokens or from gestures at all, nor how another seed, more than "
        f"{len(e.test.subjects)} people{' or photos' if e.synthetic else ''} would change it."
    )


def people(count: int) -> str:
    """`1 person is`, `4 people are`."""
    return f"{count} person is" if count == 1 else f"{count} people are"


def _gates(run: ModelRun) -> str:
    if not run.gates:
        return "switched off in this run"
    coarse, fine = run.gates
    return f"their gates ended at {coarse:.3f} for coarse and {fine:.3f} for fine"
