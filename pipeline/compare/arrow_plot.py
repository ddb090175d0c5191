"""`handpose compare --out`: an arrow for every gesture, from before to after."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handpose.evaluation.plots import DPI, FAINT, PALETTE
from pipeline.compare.paired import ACCURACIES, ERRORS, Measure, MeasuredChange, Pairs

MAX_FOLDERS = 30
BETTER, WORSE = PALETTE[0], PALETTE[1]
TITLES = {
    ACCURACIES[0]: "Stage 1: coarse accuracy",
    ERRORS[0]: "full model: MPJPE, wrist-relative, mm",
    ERRORS[1]: "full model: PA-MPJPE, mm",
}


def arrows(pairs: Pairs, before: str, after: str) -> Figure:
    """A panel per measure, with the gesture folders that changed most on top."""
    found = {measure: pairs.per_folder(measure) for measure in TITLES}
    rows = max(min(MAX_FOLDERS, len(changes)) for changes in found.values())
    figure = Figure((6.2 * len(found), 2.0 + 0.24 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, (measure, changes) in zip(axes, found.items(), strict=True):
        _panel(axis, measure, dict(list(changes.items())[:MAX_FOLDERS]))
        left = len(changes) - MAX_FOLDERS
        note = f"\n(the {MAX_FOLDERS} that changed most of {len(changes)})"
        axis.set_title(TITLES[measure] + note * (left > 0), fontsize=11)
    people = len(set(pairs.subjects.tolist()))
    figure.suptitle(
        f"From {before} (hollow) to the {after} (full), {len(pairs):,} test images of {people} "
        f"{'people' if people != 1 else 'person'}; blue is better, orange is worse",
        fontsize=12,
    )
    return figure


def _panel(axis: Axes, measure: Measure, changes: dict[str, MeasuredChange]) -> None:
    for row, change in enumerate(changes.values()):
        gain = measure.better * change.by
        colour = BETTER if gain > 0 else WORSE if gain < 0 else "#808080"
        axis.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
        axis.plot([change.before, change.after], [row, row], color=colour, linewidth=1.8)
        axis.plot(change.before, row, "o", mfc="white", mec=colour, markersize=5.5)
        axis.plot(change.after, row, "o", color=colour, markersize=6)
    axis.set_yticks(range(len(changes)), list(changes), fontsize=8)
    axis.set_ylim(len(changes) - 0.4, -0.6)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.06)
