"""`handpose compare --out`: an arrow for every gesture, from before to after."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handpose.evaluation.plots import DPI, FAINT, PALETTE
from pipeline.compare.paired import ACCURACIES, ERRORS, FolderChanges, Measure, Pairs

MAX_FOLDERS = 30
BETTER, WORSE = PALETTE[0], PALETTE[1]
TITLES = {
    ACCURACIES[0]: "Stage 1: coarse accuracy",
    ERRORS[0]: "full model: MPJPE, wrist-relative, mm",
    ERRORS[1]: "full model: PA-MPJPE, mm",
}


def arrows(pairs: Pairs, before: str, after: str) -> Figure:
    """A panel per measure, with the gesture folders that changed most.

    Those whose change can be claimed after Holm's adjustment are on top, in full colour.
    """
    found = {measure: pairs.per_folder(measure) for measure in TITLES}
    rows = max(min(MAX_FOLDERS, len(changes.by_name)) for changes in found.values())
    figure = Figure((6.2 * len(found), 2.0 + 0.24 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, (measure, changes) in zip(axes, found.items(), strict=True):
        _panel(axis, measure, changes)
        count = len(changes.by_name)
        most = f"the {MAX_FOLDERS} that changed most of {count}; " * (count > MAX_FOLDERS)
        note = f"({most}{len(changes.claimed) or 'none'} can be claimed)"
        axis.set_title(f"{TITLES[measure]}\n{note}", fontsize=11)
    people = len(set(pairs.subjects.tolist()))
    figure.suptitle(
        f"From {before} (hollow) to {after} (full), {len(pairs):,} test images of {people} "
        f"{'people' if people != 1 else 'person'}; "
        "blue is better, orange is worse, pale may be chance",
        fontsize=12,
    )
    return figure


def _panel(axis: Axes, measure: Measure, changes: FolderChanges) -> None:
    others = [name for name in changes.by_name if name not in changes.claimed]
    names = [*changes.claimed, *others][:MAX_FOLDERS]
    for row, name in enumerate(names):
        change = changes.by_name[name]
        alpha = 1.0 if name in changes.claimed else 0.4
        gain = measure.better * change.by
        colour = BETTER if gain > 0 else WORSE if gain < 0 else "#808080"
        axis.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
        axis.plot(
            [change.before, change.after], [row, row], color=colour, alpha=alpha, linewidth=1.8
        )
        axis.plot(change.before, row, "o", mfc="white", mec=colour, alpha=alpha, markersize=5.5)
        axis.plot(change.after, row, "o", color=colour, alpha=alpha, markersize=6)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.06)
