"""Pretraining and gesture tokens apart: the 2x2, each difference by tokens, and interventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference, crossed_difference
from pipeline.experiment.grid_results import MEASURES, PRIMARY, GridResults, Row
from pipeline.experiment.pages.answers import interval, mean_text, tokens


class GridVariant(NamedTuple):
    """A variant, and a grid that has it."""

    grid: str
    variant: str


TWO_BY_TWO = {
    "Stage 1, three epochs of Stage 2": (
        GridVariant("claim", "full"),
        GridVariant("claim", "pretraining_only"),
    ),
    "no Stage 1, six epochs": (
        GridVariant("claim", "tokens_only"),
        GridVariant("equal_time", "neither_equal_time"),
    ),
}
"""Rows of the 2x2; columns: with tokens, without."""

BY_TOKENS = {
    "after Stage 1": TWO_BY_TWO["Stage 1, three epochs of Stage 2"],
    "without Stage 1": TWO_BY_TWO["no Stage 1, six epochs"],
    "after Stage 1, a tenth of the poses": (
        GridVariant("few_poses", "tenth_full"),
        GridVariant("few_poses", "tenth_gestures"),
    ),
    "after Stage 1, 3 % of the poses": (
        GridVariant("fewer_poses", "three_percent_full"),
        GridVariant("fewer_poses", "three_percent_gestures"),
    ),
}
"""Pairs of variants with tokens and without."""


def token_lines(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """Lines of Markdown."""
    yield (
        f"The {MEASURES[PRIMARY]}: mean [95 % over seeds and people]; number of seeds, and steps "
        "of Stage 2. The rows differ in steps: compare within a row."
    )
    yield from ("", "| | gesture tokens | none |", "| --- | --- | --- |")
    for title, cells in TWO_BY_TWO.items():
        texts = [_cell(_row(grids, cell), cell.variant) for cell in cells]
        yield f"| {title} | {' | '.join(texts)} |"
    yield ""
    yield (
        "What the tokens change, everything else equal (but for a gesture loss in Stage 2 that "
        "`tokens_only` has and `neither_equal_time` has not):"
    )
    yield from ("", "| | with tokens minus without | difference, mm |", "| --- | --- | --- |")
    for title, pair in BY_TOKENS.items():
        found = by_tokens(grids, *pair)
        text = (
            "open" if found is None else f"{interval(found)} ({counted(min(found.runs), 'seed')})"
        )
        yield f"| {title} | `{pair[0].variant}` minus `{pair[1].variant}` | {text} |"
    yield from ("", f"**What the gesture tokens do.** {tokens(grids.get('claim'))}")


def by_tokens(
    grids: Mapping[str, GridResults], with_tokens: GridVariant, without: GridVariant
) -> CrossedDifference | None:
    """With tokens minus without; None if a run is missing."""
    own, other = _row(grids, with_tokens), _row(grids, without)
    if own is None or other is None or not (own.complete and other.complete):
        return None
    people = [one for one in own.measured(PRIMARY) if one in other.measured(PRIMARY)]
    return crossed_difference(other.table(PRIMARY, people), own.table(PRIMARY, people))


def _row(grids: Mapping[str, GridResults], cell: GridVariant) -> Row | None:
    return grids[cell.grid].row(cell.variant) if cell.grid in grids else None


def _cell(row: Row | None, name: str) -> str:
    if row is None or not row.known:
        return f"`{name}`: missing"
    seeds = counted(len(row.known), "seed", "seeds")
    steps = " or ".join(f"{steps:,}" for steps in sorted({one["steps"] for one in row.known}))
    return f"`{row.name}`: {mean_text(row, PRIMARY)} ({seeds}, {steps} steps)"
