"""Charts of an evaluation as matplotlib figures: arrays in, a figure out; no files, no state.

Colours are distinguishable with colour blindness (Okabe and Ito), and never the only difference:
lines also differ in dashes, points in markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6BB1",
    "#1B1B1B",
    "#B8A500",
    "#7F3C2E",
)
DASHES = ("-", "--", "-.", ":")
FAINT = "#D9D9D9"
DPI = 110


class Line(NamedTuple):
    """A curve with its interval over subjects; no band where limits are NaN."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def pck_figure(panels: Mapping[str, Mapping[str, Line]], note: str = "") -> Figure:
    """PCK by threshold: one panel per alignment, one line per model."""
    figure = Figure((5.2 * len(panels), 4.1), dpi=DPI, layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for k, (name, line) in enumerate(lines.items()):
            colour, dash = PALETTE[k % len(PALETTE)], DASHES[k % len(DASHES)]
            axis.plot(line.x, line.y, color=colour, linestyle=dash, linewidth=2, label=name)
            axis.fill_between(line.x, line.low, line.high, color=colour, alpha=0.13, linewidth=0)
        axis.set(xlim=(0, 50), ylim=(0, 1), xlabel="threshold, mm", title=title)
        _tidy(axis)
    axes[0].set_ylabel("fraction of joints within it")
    if filled := [axis for axis, lines in zip(axes, panels.values(), strict=True) if lines]:
        filled[-1].legend(frameon=False, loc="lower right", fontsize=9)
    _note(figure, note)
    return figure


def confusion_figure(
    matrix: NDArray[Any], names: Sequence[str], *, blocks: Sequence[str] = ()
) -> Figure:
    """Confusion matrix, actual class by row, as fractions of the row.

    Args:
        matrix: (C, C) counts.
        names: C names of the classes, in the matrix's order.
        blocks: group of each of the C classes, e.g. its hand, contiguous; groups are named and
            separated by lines.
    """
    count = len(names)
    rows = matrix.sum(1, keepdims=True)
    shares = matrix / np.maximum(rows, 1)  # (C, C)
    side = max(5.0, 2.6 + 0.17 * count)
    figure = Figure((side + 0.6, side), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    size = 7.5 if count > 30 else 9
    axis.set_xticks(range(count), names, rotation=90, fontsize=size)
    axis.set_yticks(range(count), names, fontsize=size)
    axis.set_xticks(np.arange(count - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(count - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="#EEF0F3", linewidth=0.5)
    axis.tick_params(which="both", length=0)
    axis.set(xlabel="predicted", ylabel="actual")
    for k in range(1, len(blocks)):
        if blocks[k] != blocks[k - 1]:
            axis.axhline(k - 0.5, color="#333333", linewidth=1.2)
            axis.axvline(k - 0.5, color="#333333", linewidth=1.2)
    for block in dict.fromkeys(blocks):
        middle = float(np.mean([k for k in range(count) if blocks[k] == block]))
        axis.text(middle, -1, block, ha="center", va="bottom", fontsize=10)
    bar = figure.colorbar(picture, ax=axis, shrink=0.5, pad=0.01)
    bar.set_label("fraction of the actual class")
    return figure


def map_figure(
    maps: Mapping[str, Floats],
    groups: Sequence[str],
    shown: Sequence[str],
    marks: Sequence[str],
    note: str = "",
) -> Figure:
    """2D embeddings of the same samples side by side, some groups coloured, the others grey.

    Args:
        maps: (N, 2) by title.
        groups: N names, the group of each sample.
        shown: the coloured groups.
        marks: N names with two or three distinct values, drawn as the marker.
        note: small print below the figure.
    """
    figure = Figure((5.1 * len(maps) + 1.6, 5.6), dpi=DPI, layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(maps)))
    group, mark = np.array(groups), np.array(marks)
    shapes = dict(zip(sorted(set(marks)), ("<", ">", "o"), strict=False))
    for axis, (title, points) in zip(axes, maps.items(), strict=True):
        rest = ~np.isin(group, shown)
        axis.scatter(*points[rest].T, s=10, color=FAINT, linewidth=0, label="other gestures")
        for k, name in enumerate(shown):
            for value, shape in shapes.items():
                chosen = (group == name) & (mark == value)
                label = name if value == next(iter(shapes)) else None
                axis.scatter(
                    *points[chosen].T,
                    s=30,
                    color=PALETTE[k % len(PALETTE)],
                    marker=shape,
                    linewidth=0.4,
                    edgecolor="white",
                    label=label,
                )
        axis.set_title(title, fontsize=11)
        axis.set(xticks=[], yticks=[])
        axis.set_box_aspect(1)
        for spine in axis.spines.values():
            spine.set_color(FAINT)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles[1:] + handles[:1],
        labels[1:] + labels[:1],
        loc="outside right center",
        frameon=False,
        fontsize=9,
        markerscale=1.4,
    )
    _note(figure, note)
    return figure


def training_figure(panels: Mapping[str, Mapping[str, tuple[Floats, Floats]]]) -> Figure:
    """Curves over epochs: one panel per quantity, one line per run; markers if points are few."""
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure((4.3 * columns, 3.3 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, lines) in zip(axes, panels.items(), strict=False):
        for k, (name, (x, y)) in enumerate(lines.items()):
            axis.plot(
                x,
                y,
                color=PALETTE[k % len(PALETTE)],
                linestyle=DASHES[k % len(DASHES)],
                marker="o" if len(x) <= 12 else None,
                markersize=4,
                linewidth=1.8,
                label=name,
            )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        top = max(float(np.max(y, initial=0)) for _, y in lines.values())
        axis.set_ylim(0, 1.08 * top or 1)
        axis.set_xlim(left=0)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.legend(frameon=False, fontsize=8.5)
        _tidy(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _tidy(axis: Axes) -> None:
    """A light grid and no box."""
    axis.grid(color="#E8E8E8", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _note(figure: Figure, note: str) -> None:
    """Small print below a figure."""
    if note:
        figure.supxlabel(note, fontsize=8, color="#555555")
