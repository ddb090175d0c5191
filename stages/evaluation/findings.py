"""Findings of an evaluation, and its limits, in plain sentences.

Every sentence is selected by the numbers; none holds regardless of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handpose.data.merged.interval_units import PEOPLE, Units
from handpose.evaluation import statistics
from handpose.evaluation.interventions import (
    GATES_CLOSED,
    INTERVENTIONS,
    OTHER_LOGITS,
    TRUE_CLASS,
)
from handpose.evaluation.protocols import COLUMNS
from handpose.evaluation.scores import MEAN_JOINTS, MEAN_POSE, STAGE_1
from handpose.evaluation.statistics import Comparison, Estimate
from handpose.gesture_row import LEVELS
from handpose.sample import GestureClasses
from stages.evaluation.summary import (
    CHANCE,
    FULL,
    MAJORITY,
    PRIMARY,
    SCRATCH,
    Estimates,
    Subgroup,
)
from stages.evaluation.two_hands import TwoHands

EQUAL_TIME = 0.15
"""Training times that differ by less than this share are called about the same."""


@dataclass(frozen=True)
class SplitResult:
    """Counts and pose estimates of a split."""

    samples: int
    subjects: Sequence[int]  # numbers of its units
    without_fit: int
    pose: Mapping[str, Estimates]  # by run or baseline
    two_hands: TwoHands | None = None  # of photos that show two hands, each a sample
    units: Units = PEOPLE  # what its intervals resample

    @property
    def who(self) -> str:
        """`subjects 3, 7`; of a data set that names no people how many units stand for them."""
        if self.units == PEOPLE:
            return f"subjects {', '.join(map(str, self.subjects))}"
        return self.units.counted(len(self.subjects))


@dataclass(frozen=True)
class ModelRun:
    """Training time and outcome of a Stage 2 run."""

    seconds: Mapping[str, float]  # by stage: pretrain (if any) and pose
    steps: int  # of Stage 2
    gates: Sequence[float]  # of the gesture tokens, coarse before fine; empty without tokens
    gesture_weight: float  # of the gesture loss in Stage 2
    second_look: bool = False  # gestures and hands are those of the crop turned upright
    token_classes: GestureClasses = "both"  # which classes it has tokens of

    @property
    def total_s(self) -> float:
        """Total training time, s."""
        return sum(self.seconds.values())

    def format_seconds(self) -> str:
        """`83 s + 96 s = 179 s`, or `96 s`."""
        parts = [f"{s:.0f} s" for s in self.seconds.values()]
        return " + ".join(parts) + (f" = {self.total_s:.0f} s" if len(parts) > 1 else "")


@dataclass(frozen=True)
class Encoder:
    """How well an encoder's features separate gestures."""

    purity: Estimate  # of the 10 nearest neighbours among other people
    silhouette: float


@dataclass(frozen=True)
class Evaluation:
    """All contents of the report."""

    splits: Mapping[str, SplitResult]  # `test` first, then those that are evaluated whole, if any
    gesture: Mapping[str, Estimates]  # by network, majority, chance; of the labelled test samples
    comparisons: Mapping[str, Comparison]  # by protocol: from scratch to the full model
    interventions: Mapping[str, Mapping[str, Mapping[str, Comparison]]]
    """Cost of changing the gesture tokens: by run, key of `INTERVENTIONS`, protocol."""
    view: Mapping[str, Estimates]
    """By run: mirrored_fingers, and with view heads side_accuracy and facing_accuracy."""
    runs: Mapping[str, ModelRun]
    encoders: Mapping[str, Encoder]  # stage_1 and untrained
    purity_by_chance: float
    subgroups: Mapping[str, Sequence[Subgroup]]
    """By gesture, joint, hand, camera, subject, facing, rotation."""
    unseen: int  # coarse test classes without a training sample
    handedness: str
    start: str  # of the untrained encoder: random weights, ImageNet's or those of a file
    synthetic: bool  # the images are rendered, not photographed
    source: str = "gestures"  # of the classes: label.source
    shuffle: str = "none"  # among what the classes were exchanged: label.shuffle
    objective: str = "gestures"  # of Stage 1: pretrain.objective; else its heads are untrained

    @property
    def knows_gestures(self) -> bool:
        """Whether Stage 1's gesture heads were trained."""
        return self.objective == "gestures"

    @property
    def test(self) -> SplitResult:
        """The labelled split."""
        return self.splits["test"]

    @property
    def ratio(self) -> float:
        """Training time of the full model, both stages, over that of the other."""
        return self.runs[FULL].total_s / max(self.runs[SCRATCH].total_s, 1e-9)


def other_units(e: Evaluation) -> list[str]:
    """Over what intervals are on splits of data sets that name no people."""
    return [
        f"Those of {name} are over {split.units.counted(len(split.subjects))}, not people: "
        f"{split.units.why}."
        for name, split in e.splits.items()
        if split.units != PEOPLE
    ]


def baselines(e: Evaluation) -> list[str]:
    """The full model against the constant predictions from training averages."""
    full, joints, pose = (e.test.pose[name] for name in (FULL, MEAN_JOINTS, MEAN_POSE))
    wrist, pa = PRIMARY, "pa_mpjpe_mm"
    rotated = "the mean training pose rotated by the true root"
    to_joints = _against(full[wrist], joints[wrist], "the mean training joints")
    to_pose = _against(full[wrist], pose[wrist], rotated)
    to_pose_pa = _against(full[pa], pose[pa], "that mean pose")
    return [
        f"The full model's wrist-relative MPJPE is {to_joints}, and {to_pose}, a root that no "
        "network is given.",
        f"Its PA-MPJPE, which ignores the root, is {to_pose_pa}.",
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
    """Stage 1's gesture accuracy, and what remains of it after Stage 2."""
    stage_1, stage_2 = e.gesture[STAGE_1]["coarse_accuracy"], e.gesture[FULL]["coarse_accuracy"]
    majority = e.gesture[MAJORITY]["coarse_accuracy"].value
    chance = e.gesture[CHANCE]["coarse_accuracy"].value
    rivals = (
        f"always predicting the most frequent one gives {100 * majority:.1f} %, chance "
        f"{100 * chance:.1f} %."
    )
    turned = ", on crops turned upright," if e.runs[FULL].second_look else ""
    if e.knows_gestures:
        change = 100 * (stage_2.value - stage_1.value)
        what = "lost" if change < 0 else "gained"
        sentences = [
            f"Stage 1 recognises {100 * stage_1.value:.1f} % of the coarse gestures of unseen "
            f"people; {rivals}",
            f"After Stage 2 the same heads{turned} recognise {100 * stage_2.value:.1f} %: "
            f"{abs(change):.1f} points {what}.",
        ]
    else:
        sentences = [
            f"Stage 1 learnt no gestures (pretrain.objective: {e.objective}): its gesture heads "
            "are random, and their accuracy is not a result."
        ]
        if e.runs[FULL].gesture_weight:
            sentences.append(
                f"The gesture loss of Stage 2 alone{turned} has brought them to "
                f"{100 * stage_2.value:.1f} % of the coarse gestures of unseen people; {rivals}"
            )
    trained, untrained = e.encoders[STAGE_1].purity, e.encoders["untrained"].purity
    if math.isfinite(trained.value):
        sentences.append(
            f"Of an image's ten nearest neighbours in feature space among other people's images, "
            f"{100 * trained.value:.0f} % show the same gesture after Stage 1, "
            f"{100 * untrained.value:.0f} % before it, {100 * e.purity_by_chance:.0f} % by chance."
        )
    return sentences


def pretraining(e: Evaluation) -> list[str]:
    """Which of the two trained models has the lower error: one of each, so no more than that."""
    c = e.comparisons[PRIMARY]
    if not math.isfinite(c.difference.value):
        return ["The two runs share no scored sample: there is no finding on pretraining."]
    full, scratch = (e.test.pose[run][PRIMARY].value for run in (FULL, SCRATCH))
    verdict = {
        "lower": "the one with pretraining has the lower error; the interval over people excludes "
        "zero.",
        "higher": "the one with pretraining has the higher error; the interval over people "
        "excludes zero.",
        "inconclusive": "neither is shown to be better: the difference is inconclusive on these "
        "people.",
    }[c.verdict]
    count = c.difference.subjects
    return [
        f"Of these two trained models, {_effort(e)}, {verdict}",
        f"Wrist-relative MPJPE is {full:.1f} mm with pretraining, after "
        f"{e.runs[FULL].format_seconds()} of training, and {scratch:.1f} mm without, after "
        f"{e.runs[SCRATCH].format_seconds()}.",
        f"The paired difference is {c.difference.value:+.1f} mm on {c.difference.samples:,} "
        f"images (Student's 95 % interval over people: {_span(c.difference)}). Counting each "
        f"person once, it is {c.by_person.value:+.1f} mm, {_span(c.by_person)}, which alone "
        f"decides the verdict. The error is lower for {c.subjects_lower} of {count}. For "
        f"information: sign-flip p = {c.p_value:.3g}; the least that is possible with so few is "
        f"{c.smallest_p:.3g}.",
        _scratch(e),
        f"By other protocols, Holm-adjusted: {_others(e)}.",
    ]


def _scratch(e: Evaluation) -> str:
    """What the run without pretraining was."""
    run = e.runs[SCRATCH]
    tokens = "its gesture tokens" if run.gates else "no gesture tokens"
    labels = "gesture labels in its loss" if run.gesture_weight else "no gesture labels"
    return f"The model without pretraining was trained with {tokens} and {labels}."


def tokens(e: Evaluation) -> list[str]:
    """What the gesture tokens do in the full model, by changing them in the trained model."""
    costs = e.interventions.get(FULL)
    if costs is None:
        return ["The full model has no gesture tokens (pose_net.gesture_tokens: false)."]
    closed = costs[GATES_CLOSED][PRIMARY]
    change = f"{closed.by_person.value:+.2f} mm, {_span(closed.by_person, 2)}"
    gates = "both gates" if len(e.runs[FULL].gates) == 2 else "the one gate"
    opening = {
        "higher": f"The gesture tokens act: closing {gates} of the full model raises its "
        f"wrist-relative MPJPE ({change}).",
        "lower": f"The gesture tokens do harm: closing {gates} of the full model lowers its "
        f"wrist-relative MPJPE ({change}).",
        "inconclusive": f"No effect of the gesture tokens is shown: closing {gates} of the full "
        f"model changes its wrist-relative MPJPE inconclusively ({change}).",
    }[closed.verdict]
    others = [
        f"{INTERVENTIONS[name]} {costs[name][PRIMARY].by_person.value:+.2f} mm "
        f"({_span(costs[name][PRIMARY].by_person, 2)})"
        for name in (OTHER_LOGITS, TRUE_CLASS)
        if math.isfinite(costs[name][PRIMARY].by_person.value)
    ]
    return [
        opening,
        *([f"Other changes of the tokens: {', '.join(others)}."] if others else []),
        f"{_gates(e.runs[FULL])}. Each person counts once; the model, its images and the rest of "
        "the network stay the same, so no second training is involved.",
    ]


def view(e: Evaluation) -> list[str]:
    """Whether the full model knows which hand it sees, and which face of it."""
    found = e.view[FULL]
    wrong = found["mirrored_fingers"]
    sentences = []
    if math.isfinite(wrong.value):
        sentences.append(
            f"Of the hands that are not seen from their edge, the full model shows "
            f"{100 * wrong.value:.1f} % with palm and back exchanged ({_share(wrong)})."
        )
    if "side_accuracy" in found:
        side, facing = found["side_accuracy"], found["facing_accuracy"]
        sentences.append(
            f"Its view heads tell left from right in {100 * side.value:.1f} % "
            f"({_share(side)}), and palm, back and edge in {100 * facing.value:.1f} % "
            f"({_share(facing)})."
        )
    return sentences


def two_hands(e: Evaluation) -> list[str]:
    """What is found on hands beside another one; nothing where no such split is evaluated."""
    sentences = []
    for name, split in e.splits.items():
        if (found := split.two_hands) is None:
            continue
        full = split.pose[FULL][PRIMARY]
        covered = 100 * found.joints_in_other_box / max(found.joints, 1)
        inside, outside = (
            place.estimates[f"{FULL}_{PRIMARY}"].value if place.estimates else math.nan
            for place in found.places
        )
        text = (
            f"Two hands ({name}): {split.samples:,} hands in {found.photos:,} photos, both in "
            f"{found.with_both:,}; {covered:.0f} % of their joints lie in the other hand's box. "
            f"The full model's wrist-relative MPJPE is {full.value:.1f} mm"
        )
        if math.isfinite(inside) and math.isfinite(outside):
            text += f", {inside:.1f} mm for joints in that box and {outside:.1f} mm for the others"
        mrrpe = found.mrrpe_mm[FULL]
        if math.isfinite(mrrpe.value):
            text += f"; MRRPE {mrrpe.value:.1f} mm"
        sentences.append(f"{text}.")
    return sentences


def _share(estimate: Estimate) -> str:
    """`12.0 to 14.1 %`."""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f} %"


def _others(e: Evaluation) -> str:
    """`PA-MPJPE -1.1 mm (lower), ...`."""
    names = {column.key: column.name for column in COLUMNS}
    verdicts = statistics.verdicts(e.comparisons, PRIMARY)
    others = [
        f"{names[key]} {c.difference.value:+.1f} mm ({verdicts[key]})"
        for key, c in e.comparisons.items()
        if key != PRIMARY and math.isfinite(c.difference.value)
    ]
    return ", ".join(others) or "no test image has a MANO fit, which all of them need"


def _effort(e: Evaluation) -> str:
    """At what both runs were equal, if at anything: Stage 2 steps, or training time."""
    full, scratch = e.runs[FULL], e.runs[SCRATCH]
    if full.steps == scratch.steps:
        return f"at the same {full.steps:,} Stage 2 steps"
    seconds = f"{full.total_s:.0f} s and {scratch.total_s:.0f} s of training"
    if _equal_time(e):
        return f"at about the same training time ({seconds})"
    return f"after {seconds}"


def _equal_time(e: Evaluation) -> bool:
    return abs(math.log(e.ratio)) <= math.log(1 + EQUAL_TIME)


def _span(e: Estimate, digits: int = 1) -> str:
    if not (math.isfinite(e.low) and math.isfinite(e.high)):
        return "unknown"
    return f"{e.low:+.{digits}f} to {e.high:+.{digits}f}"


def limits(e: Evaluation) -> list[str]:
    """What one short run cannot show, whatever its numbers."""
    sentences = [
        _time(e),
        "Starting point or tokens. Pretraining acts as a starting point of the encoder and through "
        "the gesture tokens. Changing the tokens of a trained model shows what they do in it, not "
        "how it would have been trained without them; a run with pose_net.gesture_tokens: false "
        "would show that.",
        _taught(e),
        "One seed each. Another seed gives another pair of models; the intervals do not cover "
        "that variation, as they are over people only. A verdict is on these two models, not on "
        "pretraining as such.",
        f"{people(len(e.test.subjects))} held out. Intervals are Student's over people, not "
        "frames: they hold with few people who are normally distributed; if people are strongly "
        "skewed (log-normal), a nominal 95 % covers about 82 % with 4 of them.",
        "The test people are new to the models, their gestures are not"
        + (f" (except for {e.unseen} of them)." if e.unseen else ": all of them were trained on."),
    ]
    if e.synthetic:
        sentences.append(
            "All training and test images are rendered by one program: these numbers say nothing "
            "about photos."
        )
    return sentences


def _taught(e: Evaluation) -> str:
    """What the labels were, and so what a gain may come from."""
    if not e.knows_gestures:
        besides = " but for those of Stage 2's gesture loss" if e.runs[FULL].gesture_weight else ""
        return (
            "A warm-up without gestures. Stage 1 read no gesture label (pretrain.objective: "
            f"{e.objective}): a gain, if there is one, does not come from gesture labels{besides}."
        )
    if e.shuffle == "folders":
        return (
            "Shuffled labels. The classes were exchanged among gestures (label.shuffle: folders). "
            "Stage 1 still learns to tell folders apart, but not which are alike: a gain, if there "
            "is one, does not come from the map."
        )
    if e.shuffle != "none":
        return (
            f"Shuffled labels. The classes were exchanged among {e.shuffle} (label.shuffle: "
            f"{e.shuffle}), so that they teach no gesture: a gain, if there is one, comes from the "
            "warm-up of the encoder. Accuracies on these classes mean nothing."
        )
    if e.source != "gestures":
        return (
            "Other classes than gestures. They were made from the annotated pose (label.source: "
            f"{e.source}): a gain, if there is one, does not come from gesture labels."
        )
    return (
        "Gestures or any warm-up. Pretraining on shuffled labels, which teaches no gesture, was "
        "not run: a gain, if there is one, need not come from gesture knowledge."
    )


def _time(e: Evaluation) -> str:
    """Whether both runs had the same time."""
    full, scratch = e.runs[FULL], e.runs[SCRATCH]
    steps = f"{full.steps:,} and {scratch.steps:,} steps of Stage 2"
    if _equal_time(e):
        return (
            f"The times are about equal on this machine ({steps}). On another, Stage 1 may cost "
            "more or less relative to Stage 2, and other numbers of steps would be needed."
        )
    if e.ratio > 1:
        return (
            f"The times are not equal. The full model had {e.ratio:.1f} times the training time of "
            f"the other, Stage 1 included ({steps}); whether the other would catch up in that time "
            "was not tested."
        )
    return (
        f"The times are not equal. The model without pretraining had {1 / e.ratio:.1f} times the "
        f"training time of the full model ({steps})."
    )


def caution(e: Evaluation) -> str:
    """`limits` in one sentence, for the terminal."""
    catch_up = (
        "the other model would catch up in the full model's training time "
        f"({e.ratio:.1f} times its own), whether "
        if e.ratio > 1 + EQUAL_TIME
        else ""
    )
    return (
        f"One short run cannot show whether {catch_up}a difference comes from the starting point, "
        "from training with gesture tokens or from gestures at all, nor how another seed, more "
        f"people than {len(e.test.subjects)}{' or photos' if e.synthetic else ''} would change it."
    )


def people(count: int) -> str:
    """`1 person is`, `4 people are`."""
    return f"{count} person is" if count == 1 else f"{count} people are"


def _gates(run: ModelRun) -> str:
    levels = LEVELS if run.token_classes == "both" else (run.token_classes,)
    ends = (f"{gate:.3f} for {level}" for level, gate in zip(levels, run.gates, strict=True))
    gates = "gates" if len(levels) == 2 else "one gate"
    return f"The {gates} ended at {' and '.join(ends)}"
