"""What the grids answer to the questions of docs/plan.md, as sentences made of their numbers.

A grid is read when all of its runs have a result (docs/plan.md); before that the answer is "open".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference
from handpose.evaluation.statistics import CONFIDENCE
from pipeline.experiment.grid_results import (
    PRIMARY,
    SECONDARY,
    GridResults,
    Row,
    differences,
)

FEWEST = "neither_fewer_steps"


@dataclass(frozen=True)
class Question:
    """A question, and the grid and variants whose differences answer it."""

    text: str
    grid: str
    variants: tuple[str, ...]
    wanted: str
    """`lower` or `higher`: the error of the variants against the grid's, if the answer is yes"""
    meaning: str
    """what yes would mean"""
    note: str = ""
    """what an answer does not say"""
    at_least_percent: float = 0.0
    """by which the whole interval must be lower or higher; outcomes short of it are inconclusive"""

    def outcome(self, difference: CrossedDifference, p_value: float) -> str:
        """As the function of that name, with `at_least_percent`."""
        found = outcome(difference, p_value)
        nearest = min(abs(difference.low), abs(difference.high))
        enough = 100 * nearest >= self.at_least_percent * difference.first
        return found if enough else "inconclusive"


IMAGENET = "The paper's baseline begins with ImageNet's weights, none here does."

QUESTIONS = (
    Question(
        "Does gesture pretraining lower the error, at a total time that was planned to be equal?",
        "claim",
        ("full",),
        "lower",
        "the full model is better than eight epochs without gestures",
        "The eight epochs turned out to take longer than the full model.",
    ),
    Question(
        "The same with six epochs, the time measured for the first seed?",
        "equal_time",
        ("full",),
        "lower",
        "the full model is better than six epochs without gestures",
    ),
    Question(
        "And at equally many steps of Stage 2, with Stage 1 as an extra?",
        "equal_steps",
        ("full", "pretraining_only"),
        "lower",
        "Stage 1 helps Stage 2",
        "Both variants also have a gesture loss in Stage 2; what they are compared with has none.",
    ),
    Question(
        "And by Stage 1's weights in place of random ones, tokens in both?",
        "paper_pair",
        ("no_gesture_loss",),
        "lower",
        "Stage 1's weights help Stage 2",
        f"A gesture loss in neither, three epochs of Stage 2. {IMAGENET}",
    ),
    Question(
        "And by Stage 1's weights and the tokens together?",
        "paper_guidance",
        ("no_gesture_loss",),
        "lower",
        "Stage 1 and its tokens help Stage 2",
        "Another reading of the paper's rows, whose full model adds gesture guidance too. A "
        f"gesture loss in neither, three epochs of Stage 2. {IMAGENET}",
    ),
    Question(
        "Is the full model better than its parts?",
        "parts",
        ("pretraining_only", "tokens_only"),
        "higher",
        "without the tokens, or without Stage 1, the error is higher",
    ),
    Question(
        "Does pretraining help EANet, with six epochs of Stage 2 without it and three after it?",
        "table2",
        ("eanet_pretrained",),
        "lower",
        "EANet is better from Stage 1's backbone",
    ),
    Question(
        "And at equally many steps of Stage 2, by Stage 1's weights in place of random ones?",
        "eanet_pair",
        ("eanet_pretrained",),
        "lower",
        "EANet is better from Stage 1's backbone",
        f"Nothing but the weights that Stage 2 begins with differs. {IMAGENET}",
    ),
    Question(
        "Is our network, without gestures, at least 10 % better than EANet?",
        "goal",
        ("neither_equal_time",),
        "lower",
        "its whole interval is below -10 %",
        "Six epochs of Stage 2 each, of small networks; EANet's recipe was not tuned here. In the "
        "paper EANet is the better of the two (4.94 and 5.00 mm).",
        at_least_percent=10.0,
    ),
    Question(
        "Are labels that mean nothing worse than gestures?",
        "labels",
        ("shuffled_sequences", "shuffled_images"),
        "higher",
        "shuffled labels give a higher error",
        "That alone does not show that gestures help: noise in Stage 1 and in Stage 2's gesture "
        "loss may harm.",
    ),
    Question(
        "And in Stage 1 alone, without the gesture loss in Stage 2?",
        "labels_stage_1",
        ("stage_1_shuffled_sequences", "stage_1_shuffled_images"),
        "higher",
        "Stage 1 on shuffled labels gives a higher error than on gestures",
        "Added before any of its runs.",
    ),
    Question(
        "Is a warm-up without gestures, of as many images, worse?",
        "warmup",
        ("instances_warmup", "pose_warmup"),
        "higher",
        "Stage 1 on views of images, or on joints, gives a higher error than on gestures",
        "Added before any run of these two; runs of `pretraining_only` had been seen. "
        "`pose_warmup` learns from the labels of Stage 2. All three have a gesture loss in Stage "
        "2. Nothing was tuned.",
    ),
    Question(
        "Is the model with classes for each hand better than the one with mirrored hands?",
        "handedness",
        ("canonical",),
        "higher",
        "mirrored hands give a higher error",
    ),
    Question(
        "Does gesture pretraining lower the error on images unlike those of training?",
        "shifted",
        ("full_shifted",),
        "lower",
        "with Stage 1 the error is lower under other cameras, light, backdrops and people",
        "At equal total time, on the test set `everything_0.5`; synthetic images.",
    ),
    Question(
        "And on gestures that neither stage has seen?",
        "unseen",
        ("full_unseen",),
        "lower",
        "with Stage 1 the error on gestures that were held out is lower",
        "At equal total time; six of 27 coarse classes held out.",
    ),
    Question(
        "And where Stage 2 learns from a tenth of the images?",
        "few_poses",
        ("tenth_gestures", "tenth_full"),
        "lower",
        "with Stage 1 on all images the error is lower",
        "At equal total time. Added before any of its runs. 430 to 433 of 4,296 training images, "
        "chosen by gesture class for every variant; images are cropped about their annotated "
        "joints in both stages, and the epoch is chosen on 278 images that are all annotated.",
    ),
    Question(
        "And at equally many steps of Stage 2?",
        "few_poses_equal_steps",
        ("tenth_gestures", "tenth_full"),
        "lower",
        "with Stage 1 on all images the error is lower",
    ),
    Question(
        "And from three percent of the images, at equal total time?",
        "fewer_poses",
        ("three_percent_gestures", "three_percent_full"),
        "lower",
        "with Stage 1 on all images the error is lower",
        "129 to 131 training images, in 41 to 45 of 70 fine classes.",
    ),
    Question(
        "And at equally many steps of Stage 2?",
        "fewer_poses_equal_steps",
        ("three_percent_gestures", "three_percent_full"),
        "lower",
        "with Stage 1 on all images the error is lower",
    ),
    Question(
        "And at equal total time with eight other seeds?",
        "fewer_poses_seeds",
        ("three_percent_full",),
        "lower",
        "with Stage 1 on all images the error is lower",
    ),
    Question(
        "Is the full model better where Stage 2 is four times as long, at equal total time?",
        "longer",
        ("long_full",),
        "lower",
        "12 epochs after Stage 1 are better than 15 without",
        "Added before any of its runs.",
    ),
    Question(
        "And at equally many steps of Stage 2?",
        "longer_equal_steps",
        ("long_full",),
        "lower",
        "Stage 1 helps a long Stage 2",
        "Added before any of its runs.",
    ),
    Question(
        "Is Stage 1 on two views of images worse than on gestures, where Stage 2 has a tenth?",
        "few_poses_warmup",
        ("tenth_instances",),
        "higher",
        "Stage 1 on views of images gives a higher error than on gestures",
        "As many images in Stage 1, in half the steps; augmented, which those of gestures are not.",
    ),
    Question(
        "And where it has three percent?",
        "fewer_poses_warmup",
        ("three_percent_instances",),
        "higher",
        "Stage 1 on views of images gives a higher error than on gestures",
    ),
)
"""Those of docs/plan.md that ask for a yes or no. Its others ask which of several variants matter:
the grids' own tables say it."""


def answers(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """A numbered paragraph for each question."""
    for number, question in enumerate(QUESTIONS, 1):
        text = f"{number}. **{question.text}** {answer(question, grids.get(question.grid))}"
        at_equal_time = in_epochs(grids) if question.grid == "equal_time" else ""
        yield " ".join(part for part in (text, at_equal_time, question.note) if part)


def answer(question: Question, results: GridResults | None) -> str:
    """Yes, in part, no or not shown, and the numbers of it."""
    if results is None or results.missing or not results.known:
        remarks = added(results) if results else []
        return " ".join([f"Open: {progress(question.grid, results)}", *remarks])
    found, p_values = results.differences(PRIMARY), results.p_values(PRIMARY)
    chosen = {name: found[name] for name in question.variants if name in found}
    if not chosen:
        return "Open: it needs two seeds and two people."
    outcomes = {question.outcome(one, p_values[name]) for name, one in chosen.items()}
    if outcomes == {question.wanted}:
        word = f"Yes: {question.meaning}."
    elif {"lower", "higher"} <= outcomes:
        word = "For one yes, for the other the reverse."
    elif question.wanted in outcomes:
        word = "In part."
    elif outcomes == {"inconclusive"}:
        word = "Not shown."
    else:
        word = "No."
    texts = [
        " ".join(
            part
            for part in (
                sentence(name, results.grid.against, one, p_values[name]),
                aligned(results, name),
                same_bytes(results, name),
                time_ratio(results, name),
            )
            if part
        )
        for name, one in chosen.items()
    ]
    return " ".join([word, *texts, *added(results)])


def added(results: GridResults) -> list[str]:
    """A sentence on when the grid was added, if results had been seen by then."""
    return [f"Added {results.grid.added}."] if results.grid.added else []


def aligned(results: GridResults, name: str) -> str:
    """The same difference by PA-MPJPE, the secondary measure."""
    found = results.differences(SECONDARY).get(name)
    if found is None:
        return ""
    return (
        f"By PA-MPJPE {found.value:+.2f} mm [{found.low:+.2f}, {found.high:+.2f}], "
        f"{found.percent:+.1f} %, p {format_p(results.p_values(SECONDARY)[name])}."
    )


def same_bytes(results: GridResults, name: str) -> str:
    """The difference between runs whose test images are the same bytes, if not all runs' are.

    Kinds of processors render other bytes, and train other weights from one seed.
    """
    row, against = results.row(name), results.against
    kinds = [{one["test"] for one in each.known} for each in (row, against)]
    if len(kinds[0] | kinds[1]) == 1:
        return ""
    texts = []
    for test in sorted(kinds[0] & kinds[1]):
        rows = [each.of_images(test) for each in (row, against)]
        people = results.measured(PRIMARY)
        found = differences(rows, rows[1], PRIMARY, people).get(name)
        if found is not None and min(found.runs) > 1:
            counts = " and ".join(str(n) for n in reversed(found.runs))
            texts.append(
                f"{found.value:+.2f} mm [{found.low:+.2f}, {found.high:+.2f}] ({counts} runs)"
            )
    if not texts:
        return "The two were rendered and trained on different kinds of processors."
    return f"Within one kind of processor: {'; '.join(texts)}."


def in_epochs(grids: Mapping[str, GridResults]) -> str:
    """How many epochs without gestures take as long as the full model, and do as well.

    The first seed by seed, by runs of `claim`, which ran beside each other. The second on straight
    lines between the errors after three, six and eight epochs.
    """
    wanted = {"claim": "neither", "equal_time": "neither_equal_time", "equal_steps": FEWEST}
    if any(name not in grids or grids[name].missing for name in wanted):
        return ""
    rows = [grids[name].row(variant) for name, variant in wanted.items()]
    curve = sorted(
        (_epochs(row), float(row.table(PRIMARY, people).mean()))
        for row in rows
        if (people := row.measured(PRIMARY))
    )
    claim = grids["claim"]
    full = claim.row("full")
    taken = [
        claim.seconds("full")[seed] * curve[-1][0] / seconds
        for seed, seconds in claim.seconds("neither").items()
    ]
    error = float(full.table(PRIMARY, full.measured(PRIMARY)).mean())
    epochs, errors = zip(*curve, strict=True)
    after = ", ".join(f"{one:.2f} mm after {n:g}" for n, one in curve)
    text = (
        f"By the clocks of runs side by side, the full model takes as long as {min(taken):.1f} to "
        f"{max(taken):.1f} epochs without gestures"
    )
    if not errors[-1] <= error <= errors[0]:
        return f"{text} ({after})."
    equal = np.interp(-error, -np.array(errors), epochs)
    return f"{text}, and is as good as {equal:.1f} of them ({after}; straight lines between)."


def _epochs(row: Row) -> float:
    """Of Stage 2, of a run without Stage 1."""
    settings = row.known[0]["settings"]["pose_scratch"]
    return float(settings["epochs"])


def time_ratio(results: GridResults, name: str) -> str:
    """How long a variant trained, as a multiple of the grid's, by seeds of one kind of machine."""
    own, other = results.row(name).results, results.against.results
    pairs = [(one, other.get(seed)) for seed, one in own.items()]
    seconds = [
        (sum(one["seconds"].values()), sum(two["seconds"].values()), _kind(one) == _kind(two))
        for one, two in pairs
        if one and two
    ]
    ratios = [a / b for a, b, alike in seconds if alike and b]
    if not seconds:
        return ""
    if not ratios:
        return "The two were timed on different kinds of machines, so their times do not compare."
    span = " to ".join(dict.fromkeys(f"{ratio:.2f}" for ratio in (min(ratios), max(ratios))))
    return f"It trained {span} times as long by the clock of a shared machine."


def _kind(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the machine of a run: its processor, and the images that it renders."""
    return str(result["machine"].get("cpu")), str(result["test"])


def outcome(difference: CrossedDifference, p_value: float) -> str:
    """`lower`, `higher` or `inconclusive`, by the adjusted p-value."""
    if p_value >= 1 - CONFIDENCE:
        return "inconclusive"
    return "lower" if difference.value < 0 else "higher"


def sentence(name: str, against: str, difference: CrossedDifference, p_value: float) -> str:
    """A difference in words."""
    return (
        f"`{name}` has {difference.second:.2f} mm, `{against}` {difference.first:.2f} mm: "
        f"{difference.value:+.2f} mm [{difference.low:+.2f}, {difference.high:+.2f}], "
        f"{difference.percent:+.1f} %, p {format_p(p_value)}."
    )


def signed(value: float) -> str:
    """Such as +1.20; what rounds to zero has no sign of its own."""
    return f"{round(value, 2) + 0.0:+.2f}"


def format_p(p_value: float) -> str:
    """Such as 0.012, or < 0.001."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def tokens(results: GridResults | None) -> str:
    """What closed gates, other logits and the true class add to the full model's error."""
    if results is None or results.missing or not results.known:
        return f"Open: {progress('claim', results)}"
    row = results.row("full")
    texts = []
    for key, words in (
        ("gates_closed", "with both gates closed"),
        ("other_logits", "with another image's logits"),
        ("true_class", "with the true class on top"),
    ):
        mean = row.mean(f"{key}_{PRIMARY}")
        if mean is None:
            continue
        text = f"{signed(mean.value)} mm [{signed(mean.low)}, {signed(mean.high)}]"
        other = row.mean(f"{key}_{SECONDARY}")
        text += f" (PA {signed(other.value)})" if other is not None else ""
        texts.append(f"{text} {words}")
    if not texts:
        return "Open: it needs two seeds and two people."
    return (
        f"The error of `full` changes by {', by '.join(texts)}. This describes and decides "
        "nothing: a model may use its tokens without being better than one that has none."
    )


def progress(grid: str, results: GridResults | None) -> str:
    """How many runs a grid still needs."""
    if results is None:
        return f"grid `{grid}` is missing or cannot be read."
    total = len(results.grid.variants) * len(results.grid.seeds)
    done = total - results.missing
    return f"{done} of {counted(total, 'run', 'runs')} of `{grid}` have a result."
