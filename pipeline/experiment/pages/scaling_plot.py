"""How the gain and the error change with the amount of frames, poses and labels, as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handpose.evaluation.plots import DPI, FAINT, PALETTE
from pipeline.experiment.grid_results import MEASURES, PRIMARY, GridResults

BY_FRAMES = {1890: "data_third", 5670: "equal_time", 17010: "data_triple"}
"""Grids by `synthesize.frames`; each compares the full model with one without gestures."""

BY_POSES = {3: "fewer_poses_seeds", 10: "few_poses", 100: "equal_time"}
"""Grids by the percentage of images whose pose Stage 2 learns from; they compare likewise."""

BY_LABELS = {1: "labelled_1", 10: "labelled_10", 100: "no_gesture_loss"}
"""Variants of `labels_stage_1` by the percentage of labelled images that Stage 1 learns from."""

LABELS_GRID = "labels_stage_1"


class Point(NamedTuple):
    """A value with its 95 % interval, mm."""

    value: float
    low: float
    high: float


def by_grid(grids: Mapping[str, GridResults], names: Mapping[int, str]) -> dict[int, Point]:
    """The full model minus the one without gestures, of those of the named grids that are whole."""
    found = {}
    for place, name in names.items():
        one = grids.get(name)
        if one is None or one.missing:
            continue
        if difference := one.differences(PRIMARY).get(one.rows[0].name):
            found[place] = Point(difference.value, difference.low, difference.high)
    return found


def by_labels(grids: Mapping[str, GridResults]) -> dict[int, Point]:
    """The error by the percentage of labels, if the grid is whole."""
    grid = grids.get(LABELS_GRID)
    if grid is None or grid.missing:
        return {}
    means = {share: grid.row(name).mean(PRIMARY) for share, name in BY_LABELS.items()}
    return {share: Point(m.value, m.low, m.high) for share, m in means.items() if m is not None}


def scaling_plot(grids: Mapping[str, GridResults]) -> Figure | None:
    """A panel over each amount of which two points are known; None: no panel."""
    gain = "full minus without gestures, mm"
    panels = [
        (by_grid(grids, BY_POSES), "images with a pose in Stage 2, %", gain),
        (by_grid(grids, BY_FRAMES), "frames", gain),
        (by_labels(grids), "labelled images in Stage 1, %", f"{MEASURES[PRIMARY]}"),
    ]
    panels = [panel for panel in panels if len(panel[0]) > 1]
    if not panels:
        return None
    figure = Figure((4.2 * len(panels), 3.2), dpi=DPI, layout="constrained")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axis, *panel)
    return figure


def _draw(axis: Axes, points: Mapping[int, Point], along: str, up: str) -> None:
    places = [*points]
    values = [one.value for one in points.values()]
    below = [one.value - one.low for one in points.values()]
    above = [one.high - one.value for one in points.values()]
    axis.errorbar(places, values, yerr=[below, above], fmt="o", color=PALETTE[0], capsize=3)
    if min(one.low for one in points.values()) < 0:
        axis.axhline(0, color="#404040", linewidth=1)
    axis.set_xscale("log")
    axis.set_xticks(places, [f"{place:,}" for place in places])
    axis.minorticks_off()
    axis.set_xlabel(along, fontsize=9)
    axis.set_ylabel(up, fontsize=9)
    axis.grid(color=FAINT, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
