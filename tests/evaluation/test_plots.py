from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from handpose.evaluation import plots


def drawn(figure: Figure) -> Figure:
    """The figure after its layout is settled."""
    figure.savefig(io.BytesIO())
    return figure


def overlap(boxes: list[Bbox]) -> int:
    """Pairs of boxes that lie on each other by more than a pixel."""
    return sum(
        min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        for a, b in combinations(boxes, 2)
    )


def inside(figure: Figure, boxes: list[Bbox]) -> bool:
    width, height = figure.bbox.width, figure.bbox.height
    return all(
        b.x0 >= -1 and b.y0 >= -1 and b.x1 <= width + 1 and b.y1 <= height + 1 for b in boxes
    )


def line(count: int = 11) -> plots.Line:
    x = np.linspace(0, 50, count)
    return plots.Line(x, x / 50, x / 60, x / 45)


def test_54_class_names_are_legible_and_do_not_touch() -> None:
    names = [f"star_trek_thumb_out_{k}" for k in range(54)]
    blocks = ["right hands"] * 27 + ["left hands"] * 27
    matrix = np.eye(54, dtype=int)
    axis = drawn(plots.confusion_figure(matrix, names, blocks=blocks)).axes[0]
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        assert [label.get_text() for label in labels] == names
        assert overlap([label.get_window_extent() for label in labels]) == 0
        assert min(float(label.get_fontsize()) for label in labels) >= 7
    assert {text.get_text() for text in axis.texts} == {"right hands", "left hands"}


def test_confusions_are_fractions_of_the_actual_class() -> None:
    figure = plots.confusion_figure(np.array([[3, 1], [0, 0]]), ["a", "b"])
    shares = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(shares, np.array([[0.75, 0.25], [0, 0]]))


def test_the_legend_and_the_note_of_a_map_are_apart_and_inside() -> None:
    rng = np.random.default_rng(0)
    gestures = [f"star_trek_thumb_out_{k % 9}" for k in range(90)]
    hands = ["left", "right"] * 45
    figure = plots.map_figure(
        {"after": rng.normal(size=(90, 2)), "before": rng.normal(size=(90, 2))},
        gestures,
        sorted(set(gestures))[:8],
        hands,
        note="a rather long note that explains the triangles, and how neighbours are counted",
    )
    figure = drawn(figure)
    legend = figure.legends[0]
    note = figure._supxlabel  # type: ignore[attr-defined]
    boxes = [legend.get_window_extent(), note.get_window_extent()]
    boxes += [axis.get_tightbbox() for axis in figure.axes]
    assert overlap(boxes) == 0
    assert inside(figure, boxes)
    assert len(legend.get_texts()) == 9


def test_every_sample_of_a_map_is_drawn_once() -> None:
    rng = np.random.default_rng(0)
    gestures = [f"g{k % 5}" for k in range(50)]
    hands = ["left" if k % 3 else "right" for k in range(50)]
    figure = plots.map_figure({"map": rng.normal(size=(50, 2))}, gestures, ["g0", "g1"], hands)
    assert sum(np.shape(c.get_offsets())[0] for c in figure.axes[0].collections) == 50


def test_pck_lines_differ_in_more_than_colour() -> None:
    figure = plots.pck_figure({"a": dict.fromkeys("wxyz", line()), "b": {"w": line()}}, "note")
    dashes = {str(found.get_linestyle()) for found in figure.axes[0].lines}
    assert len(dashes) == 4


def test_an_interval_that_is_not_known_draws_no_band() -> None:
    x, y, _, _ = line()
    figure = drawn(plots.pck_figure({"a": {"w": plots.Line(x, y, y * np.nan, y * np.nan)}}))
    bands = figure.axes[0].collections
    assert all(np.size(path.vertices) == 0 for band in bands for path in band.get_paths())


@pytest.mark.parametrize("panels", [1, 5])
def test_training_curves_show_their_highest_point(panels: int) -> None:
    x = np.array([1.0, 2.0, 3.0])
    data = {f"p{k}": {"full": (x, 10 * x), "other": (x[:1], x[:1])} for k in range(panels)}
    figure = drawn(plots.training_figure(data))
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert len(shown) == panels
    assert all(axis.get_ylim()[1] > 30 and axis.get_ylim()[0] == 0 for axis in shown)
