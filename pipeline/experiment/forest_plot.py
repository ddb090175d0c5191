"""The differences of every grid with their intervals, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handpose.evaluation.plots import DPI, FAINT, PALETTE
from pipeline.experiment.answers import outcome
from pipeline.experiment.grid_results import MEASURES, PRIMARY, GridResults

LOWER, HIGHER, OPEN = PALETTE[0], PALETTE[1], "#808080"
COLOURS = {"lower": LOWER, "higher": HIGHER, "inconclusive": OPEN}
MARKERS = {"lower": "o", "higher": "s", "inconclusive": "D"}


def forest_plot(grids: Sequence[GridResults]) -> Figure:
    """A panel for each grid, a line for each variant: its difference and 95 % interval.

    Args:
        grids: those that are whole and have at least one difference.
    """
    rows = [len(one.differences(PRIMARY)) for one in grids]
    figure = Figure((8.4, 0.9 + sum(0.32 * n + 0.75 for n in rows)), dpi=DPI, layout="constrained")
    heights = [0.32 * n + 0.75 for n in rows]
    axes = figure.subplots(
        len(grids), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
    )
    for axis, one in zip(axes[:, 0], grids, strict=True):
        _panel(axis, one)
    figure.suptitle(
        f"Difference of the {MEASURES[PRIMARY]}, 95 % over seeds and people:\n"
        "circle lower, square higher, diamond not shown (p adjusted within the grid)",
        fontsize=10,
    )
    return figure


def _panel(axis: Axes, results: GridResults) -> None:
    found = results.differences(PRIMARY)
    p_values = results.p_values(PRIMARY)
    axis.axvline(0, color="#404040", linewidth=1)
    for k, (name, one) in enumerate(found.items()):
        kind = outcome(one, p_values[name])
        axis.axhline(k, color=FAINT, linewidth=0.6, zorder=0)
        axis.plot([one.low, one.high], [k, k], color=COLOURS[kind], linewidth=2)
        axis.plot(one.value, k, MARKERS[kind], color=COLOURS[kind], markersize=6)
    axis.set_yticks(range(len(found)), list(found), fontsize=8.5)
    axis.set_ylim(len(found) - 0.5, -0.5)
    axis.set_title(f"{results.name}: minus {results.grid.against}", fontsize=9.5, loc="left")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8, labelbottom=True)
    axis.margins(x=0.05)
