"""`results/experiments.html`: every variant of every grid, in one file that needs nothing else.

Beside the report of `evaluate`, and not in it: that is a stage's output, and would have to depend
on every result of every experiment, so that each new one made it stale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import markupsafe

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference
from handpose.files import atomic_file
from pipeline.experiment.grid_results import (
    MEASURES,
    PRIMARY,
    GridResults,
    same_images_notes,
)
from pipeline.experiment.pages.answers import (
    MARKS_MEAN,
    answer,
    format_p,
    interval,
    mean_text,
    planned,
    progress,
)
from pipeline.experiment.pages.grid_page import origin
from pipeline.experiment.pages.questions import QUESTIONS
from pipeline.experiment.pages.verdict import verdict
from stages.paths import RESULTS

TEMPLATE = Path(__file__).parent / "variants.html.j2"
HTML = RESULTS / "experiments.html"
REPORT = "report.html"
"""What `evaluate` writes beside it."""

WIDTH, MARGIN = 180, 8
"""Of the drawing of an interval, px."""


class Drawing(NamedTuple):
    """An interval beside zero: px from the left."""

    zero: float
    low: float
    value: float
    high: float


class VariantLine(NamedTuple):
    """A variant as the tables of both pages show it."""

    name: str
    what: str
    seeds: str
    mean: str
    difference: str
    percent: str
    p: str
    kind: str  # lower, higher, inconclusive or open; "" for what the others are compared with
    drawing: Drawing | None


def variant_lines(one: GridResults) -> list[VariantLine]:
    """The primary measure of each variant: mean, and difference from the one compared with.

    Of a grid with missing runs there are means alone.
    """
    found = {} if one.missing else one.differences(PRIMARY)
    p_values = {} if one.missing else one.p_values(PRIMARY)
    drawings = _drawings(found)
    lines = []
    for row in one.rows:
        difference = found.get(row.name)
        change = percent = p = kind = ""
        if difference is not None:
            change, percent = interval(difference), f"{difference.percent:+.1f}"
            p, kind = format_p(p_values[row.name]), one.outcome(row.name)
        elif one.missing and row.name != one.grid.against:
            p = kind = "open"
        lines.append(
            VariantLine(
                name=row.name,
                what=row.what,
                seeds=f"{len(row.known)} of {len(row.results)}",
                mean=mean_text(row, PRIMARY) if row.known else "missing",
                difference=change,
                percent=percent,
                p=p,
                kind=kind,
                drawing=drawings.get(row.name),
            )
        )
    return lines


def write_html(root: Path, grids: Mapping[str, GridResults], unread: Sequence[str] = ()) -> None:
    """Write `HTML` of the grids that have a result.

    Args:
        root: the clone.
        grids: by name.
        unread: names of those that cannot be read.
    """
    shown = {name: one for name, one in grids.items() if one.known}
    results = (result for one in shown.values() for result in one.known)
    known = list({(one["variant"], one["seed"]): one for one in results}.values())
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        verdict=[_inline(sentence) for sentence in verdict(grids)],
        answers=[
            _inline(f"**{one.text}** {answer(one, grids.get(one.grid))} {one.note}")
            for one in QUESTIONS
        ],
        marks=MARKS_MEAN,
        planned={name: planned(one) for name, one in shown.items()},
        grids={name: (one, variant_lines(one)) for name, one in shown.items()},
        unfinished={name: progress(name, one) for name, one in shown.items() if one.missing},
        empty=[name for name, one in grids.items() if not one.known],
        unread=unread,
        measure=MEASURES[PRIMARY],
        runs=counted(len(known), "training run"),
        origin=origin(known),
        same=list(same_images_notes(known, next(iter(grids.values())).same_images)),
        report=REPORT if (root / RESULTS / REPORT).is_file() else "",
        width=WIDTH,
        inline=_inline,
    )
    (root / HTML).parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(root / HTML) as partial:
        partial.write_text(text, encoding="utf-8")


def _drawings(found: Mapping[str, CrossedDifference]) -> dict[str, Drawing]:
    """All on one scale, which holds zero."""
    if not found:
        return {}
    low = min(0.0, *(one.low for one in found.values()))
    high = max(0.0, *(one.high for one in found.values()))
    scale = (WIDTH - 2 * MARGIN) / max(high - low, 1e-9)

    def at(value: float) -> float:
        return round(MARGIN + scale * (value - low), 1)

    ends = {name: (one.low, one.value, one.high) for name, one in found.items()}
    return {name: Drawing(at(0.0), *map(at, three)) for name, three in ends.items()}


def _inline(text: str) -> markupsafe.Markup:
    """Markdown's `code` and **strong** as HTML; everything else is escaped."""
    escaped = str(markupsafe.escape(text))
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return markupsafe.Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", escaped))
