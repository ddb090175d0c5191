"""What the grids answer to `QUESTIONS`, as words and numbers.

A grid is read when all of its runs have a result (docs/plan.md); before that the answer is "open".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference, CrossedMean
from pipeline.experiment.grid_results import (
    PRIMARY,
    SECONDARY,
    GridResults,
    Row,
    differences,
)
from pipeline.experiment.pages.questions import QUESTIONS, Question

MARKS = {"first": "", "later": "†", "seen": "‡"}
"""By when a grid was planned."""

MARKS_MEAN = (
    f"{MARKS['later']}: added to the plan when results of other grids had been seen, before any "
    f"run that is new in it; {MARKS['seen']}: when some of its own runs had been seen"
)

OTHER_PROCESSOR = (
    "The two were rendered and trained on different kinds of processors and by different states of "
    "the code (grids `repeat_full` and `repeat_neither` say what that changes)."
)


def answers_of(results: GridResults) -> Iterator[str]:
    """A paragraph for each question that a grid answers."""
    for question in QUESTIONS:
        if question.grid == results.name:
            text = f"**{question.text}** {answer(question, results)}"
            yield " ".join(part for part in (text, question.note) if part)


def answer(question: Question, results: GridResults | None) -> str:
    """Yes, in part, no or not shown, and the numbers of it."""
    word = answer_word(question, results)
    if results is None or word == "Open":
        return f"Open: {missing(question.grid, results)}"
    p_values = results.p_values(PRIMARY)
    found = results.differences(PRIMARY)
    texts = [
        " ".join(
            part
            for part in (
                sentence(name, results.grid.against, found[name], p_values[name]),
                aligned(results, name),
                paired(results, name),
                same_bytes(results, name),
                time_ratio(results, name),
            )
            if part
        )
        for name in question.variants
    ]
    return " ".join([f"{word}.", *texts])


def answer_word(question: Question, results: GridResults | None) -> str:
    """Such as Yes, No or Open; where variants disagree, the outcome of each."""
    if results is None or not _readable(question, results):
        return "Open"
    outcomes = {name: results.outcome(name) for name in question.variants}
    kinds = {*outcomes.values()}
    if kinds == {question.wanted}:
        return "Yes"
    if kinds == {"inconclusive"}:
        return "Not shown"
    if question.wanted not in kinds:
        return "No"
    words = {"lower": "lower", "higher": "higher", "inconclusive": "not shown"}
    return ", ".join(f"`{name}` {words[kind]}" for name, kind in outcomes.items())


def _readable(question: Question, results: GridResults) -> bool:
    found = results.differences(PRIMARY)
    return not results.missing and all(name in found for name in question.variants)


def missing(grid: str, results: GridResults | None) -> str:
    """Why a question is open."""
    if results is not None and results.known and not results.missing:
        return "it needs two seeds and two people."
    return progress(grid, results)


def planned(results: GridResults) -> str:
    """When a grid was planned, if not in the plan's first version."""
    kind, added = results.grid.planned, results.grid.added
    if kind == "first":
        return ""
    when = {
        "later": "when results of other grids had been seen, before any run that is new in it",
        "seen": "when some of its own runs had been seen",
    }[kind]
    return f"Added to the plan {added or when}."


def aligned(results: GridResults, name: str) -> str:
    """The same difference by PA-MPJPE, the secondary measure."""
    found = results.differences(SECONDARY).get(name)
    if found is None:
        return ""
    return (
        f"By PA-MPJPE {interval(found)} mm, "
        f"{found.percent:+.1f} %, p {format_p(results.p_values(SECONDARY)[name])}."
    )


def paired(results: GridResults, name: str) -> str:
    """The interval of paired seeds, if a seed also chooses the training images."""
    found = results.of_pairs(name) if results.grid.paired else None
    if found is None:
        return ""
    return (
        f"A seed also chooses the training images: with seeds paired, {interval(found)} mm (a "
        "sensitivity analysis, added when the results had been seen)."
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
            texts.append(f"{interval(found)} mm ({counts} runs)")
    if not texts:
        return OTHER_PROCESSOR
    return f"Within one kind of processor: {'; '.join(texts)}."


def time_ratio(results: GridResults, name: str) -> str:
    """How long a variant trained, as a multiple of the grid's, where runs were side by side.

    They were if a grid has two variants and was planned before its runs, and both are of one
    commit and machine: seed by seed, two are then trained at once. Other clocks are of machines
    with more or less other work.
    """
    if len(results.rows) != 2 or results.grid.planned == "seen":
        return ""
    own, other = results.row(name).results, results.against.results
    pairs = [(one, other.get(seed)) for seed, one in own.items()]
    ratios = [
        sum(one["seconds"].values()) / sum(two["seconds"].values())
        for one, two in pairs
        if one and two and _run_on(one) == _run_on(two)
    ]
    if not ratios:
        return ""
    span = " to ".join(dict.fromkeys(f"{ratio:.2f}" for ratio in (min(ratios), max(ratios))))
    return f"Side by side it trained {span} times as long."


def _run_on(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The machine and the code of a run, and the images that it renders."""
    return str(result["machine"].get("cpu")), str(result["test"]), str(result["commit"])


def sentence(name: str, against: str, difference: CrossedDifference, p_value: float) -> str:
    """A difference in words."""
    return (
        f"`{name}` has {difference.second:.2f} mm, `{against}` {difference.first:.2f} mm: "
        f"{interval(difference)} mm, {difference.percent:+.1f} %, p {format_p(p_value)}."
    )


def interval(found: CrossedDifference | CrossedMean, digits: int = 2) -> str:
    """Such as +1.20 [+0.40, +2.00]; what rounds to zero has no sign of its own."""
    texts = [
        f"{round(one, digits) + 0.0:+.{digits}f}" for one in (found.value, found.low, found.high)
    ]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def mean_text(row: Row, measure: str) -> str:
    """Such as 31.33 [29.9, 32.8]; without an interval while a seed is missing."""
    found = row.mean(measure) if row.complete else None
    if found is not None:
        return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
    table = row.table(measure, row.measured(measure))
    return f"{table.mean():.2f}" if table.size else ""


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
        ("true_class", "if the true class is made the most likely one"),
    ):
        mean = row.mean(f"{key}_{PRIMARY}")
        if mean is None:
            continue
        text = f"{interval(mean).replace(' [', ' mm [')}"
        other = row.mean(f"{key}_{SECONDARY}")
        text += f" (PA {interval(other).split()[0]})" if other is not None else ""
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


def unfinished(grids: Sequence[GridResults]) -> list[str]:
    """How many runs each grid that is not complete still needs."""
    return [progress(one.name, one) for one in grids if one.missing]
