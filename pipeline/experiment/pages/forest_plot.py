"""The differences that answer the questions, with their intervals, as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from handpose.evaluation.crossed import CrossedDifference
from handpose.evaluation.plots import DPI, FAINT, PALETTE
from handpose.evaluation.statistics import Verdict
from pipeline.experiment.grid_results import MEASURES, PRIMARY, GridResults
from pipeline.experiment.pages.questions import QUESTIONS

LOWER, HIGHER, OPEN = PALETTE[0], PALETTE[1], "#808080"
COLOURS = {"lower": LOWER, "higher": HIGHER, "inconclusive": OPEN}
MARKERS = {"lower": "o", "higher": "s", "inconclusive": "D"}


class ForestLine(NamedTuple):
    """A difference and what it shows."""

    title: str
    difference: CrossedDifference
    outcome: Verdict


def forest_lines(grids: Mapping[str, GridResults]) -> list[ForestLine]:
    """Of the questions whose grids are complete."""
    found = []
    for question in QUESTIONS:
        one = grids.get(question.grid)
        if one is None or one.missing:
            continue
        differences = one.differences(PRIMARY)
        for name in question.variants:
            if name in differences:
                several = f" ({name})" if len(question.variants) > 1 else ""
                title = f"{question.label}{several}"
                found.append(ForestLine(title, differences[name], one.outcome(name)))
    return found


def forest_plot(grids: Mapping[str, GridResults]) -> Figure | None:
    """A line for each answer: the difference and its 95 % interval; None if there is no answer."""
    lines = forest_lines(grids)
    if not lines:
        return None
    figure = Figure((8.4, 1.1 + 0.27 * len(lines)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="#404040", linewidth=1)
    for k, (_, one, kind) in enumerate(lines):
        axis.axhline(k, color=FAINT, linewidth=0.6, zorder=0)
        axis.plot([one.low, one.high], [k, k], color=COLOURS[kind], linewidth=2)
        axis.plot(one.value, k, MARKERS[kind], color=COLOURS[kind], markersize=6)
    axis.set_yticks(range(len(lines)), [line.title for line in lines], fontsize=8)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    figure.supxlabel(
        f"First minus second: {MEASURES[PRIMARY]}, 95 % over seeds and people", fontsize=9
    )
    figure.suptitle(
        "Circle: lower error, square: higher, diamond: not shown (p adjusted within the grid)",
        fontsize=9.5,
    )
    return figure
