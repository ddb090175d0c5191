"""What the grids answer to the questions of docs/plan.md, as sentences made of their numbers.

A grid is read when all of its runs have a result (docs/plan.md); before that the answer is "open".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference
from handpose.evaluation.statistics import CONFIDENCE
from pipeline.experiment.grid_results import PRIMARY, GridResults


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


QUESTIONS = (
    Question(
        "Does gesture pretraining lower the error, at equal total time?",
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
        "Both have a gesture loss in Stage 2 too, which the other has not.",
    ),
    Question(
        "And by Stage 1's weights alone, as in the paper's Table 2?",
        "paper_pair",
        ("no_gesture_loss",),
        "lower",
        "Stage 1's weights help Stage 2",
        "Tokens in both, a gesture loss in neither, three epochs of Stage 2.",
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
        "And at equally many steps of Stage 2, as in the paper's Table 2?",
        "eanet_pair",
        ("eanet_pretrained",),
        "lower",
        "EANet is better from Stage 1's backbone",
        "Nothing but the weights that Stage 2 begins with differs.",
    ),
    Question(
        "Is the paper's network, without gestures, at least 10 % better than EANet?",
        "goal",
        ("neither_equal_time",),
        "lower",
        "its whole interval is below -10 %",
        "Six epochs of Stage 2 each, of small networks.",
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
        "Added before any run of these two.",
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
)
"""Those of docs/plan.md that ask for a yes or no. Its others ask which of several variants matter:
the grids' own tables say it."""


def answers(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """A numbered paragraph for each question."""
    for number, question in enumerate(QUESTIONS, 1):
        text = f"{number}. **{question.text}** {answer(question, grids.get(question.grid))}"
        yield f"{text} {question.note}".rstrip()


def answer(question: Question, results: GridResults | None) -> str:
    """Yes, in part, no or not shown, and the numbers of it."""
    if results is None or results.missing or not results.known:
        return f"Open: {progress(question.grid, results)}"
    found, p_values = results.differences(PRIMARY), results.p_values(PRIMARY)
    chosen = {name: found[name] for name in question.variants if name in found}
    if not chosen:
        return "Open: it needs two seeds and two people."
    outcomes = {question.outcome(one, p_values[name]) for name, one in chosen.items()}
    if outcomes == {question.wanted}:
        word = f"Yes: {question.meaning}."
    elif question.wanted in outcomes:
        word = "In part."
    elif outcomes == {"inconclusive"}:
        word = "Not shown."
    else:
        word = "No."
    texts = [
        f"{sentence(name, results.grid.against, one, p_values[name])} {time_ratio(results, name)}"
        for name, one in chosen.items()
    ]
    return " ".join([word, *texts, *added(results)])


def added(results: GridResults) -> list[str]:
    """A sentence on when the grid was added, if results had been seen by then."""
    return [f"Added {results.grid.added}."] if results.grid.added else []


def time_ratio(results: GridResults, name: str) -> str:
    """How long a variant trained, as a multiple of the grid's, seed by seed."""
    own, other = results.seconds(name), results.seconds(results.grid.against)
    ratios = [own[seed] / other[seed] for seed in own if other.get(seed)]
    if not ratios:
        return ""
    low, high = min(ratios), max(ratios)
    return f"It trained {low:.2f} to {high:.2f} times as long by the clock of a shared machine."


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


def format_p(p_value: float) -> str:
    """Such as 0.012, or < 0.001."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def tokens(results: GridResults | None) -> str:
    """What closing the gates, and another image's logits, add to the full model's error."""
    if results is None or results.missing or not results.known:
        return f"Open: {progress('claim', results)}"
    row = results.row("full")
    found = {
        words: row.mean(f"{key}_{PRIMARY}")
        for key, words in (
            ("gates_closed", "with both gates closed"),
            ("other_logits", "with another image's logits"),
        )
    }
    texts = [
        f"{mean.value:+.2f} mm [{mean.low:+.2f}, {mean.high:+.2f}] {words}"
        for words, mean in found.items()
        if mean is not None
    ]
    if not texts:
        return "Open: it needs two seeds and two people."
    return (
        f"The error of `full` changes by {' and by '.join(texts)}. This describes and decides "
        "nothing: a model may use its tokens without being better than one that has none."
    )


def progress(grid: str, results: GridResults | None) -> str:
    """How many runs a grid still needs."""
    if results is None:
        return f"grid `{grid}` is missing or cannot be read."
    total = len(results.grid.variants) * len(results.grid.seeds)
    done = total - results.missing
    return f"{done} of {counted(total, 'run', 'runs')} of `{grid}` have a result."
