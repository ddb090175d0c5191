"""How many seeds and people each answer would need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from handpose.evaluation.power import MOST, fewest_people, fewest_seeds
from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.experiment.pages.questions import QUESTIONS

SOUGHT_MM = (0.1, 1.0)
"""Differences: about the paper's, and one that these networks could have."""

SOUGHT_SHARE = 0.05
SEEDS = 10
"""With which people are counted."""


def power_lines(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """Lines of Markdown, of the first variant of each question that has an answer."""
    titles = [*(f"{size:g} mm" for size in SOUGHT_MM), f"{100 * SOUGHT_SHARE:g} %"]
    yield (
        "What a difference of this size needs to be seen with 80 % power: seeds of each variant "
        f"with the people of the test set, or people with {SEEDS} seeds. From the variances of "
        "these runs, which are estimates themselves: with three seeds a run's is known to within a "
        "factor of 0.4 to 8, so a number is an order of magnitude. What would take more than "
        f"{MOST:,} is left out; *more*: both."
    )
    yield from ("", f"| difference | {' | '.join(titles)} |")
    yield f"|{' --- |' * (1 + len(titles))}"
    for question in QUESTIONS:
        one = grids.get(question.grid)
        if one is None or one.missing:
            continue
        found = one.differences(PRIMARY).get(question.variants[0])
        if found is None or min(found.runs) < 2:
            continue
        cells = []
        for size in (*SOUGHT_MM, SOUGHT_SHARE * found.first):
            seeds = fewest_seeds(found.components, size, people=found.people)
            people = fewest_people(found.components, size, seeds=SEEDS)
            counts = (seeds, "seeds"), (people, "people")
            texts = [f"{number} {what}" for number, what in counts if number is not None]
            cells.append(" or ".join(texts) or "more")
        yield f"| {question.label} | {' | '.join(cells)} |"
