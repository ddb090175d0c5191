"""The coloured hand: the right errors on the right side, as a chart and for the browser."""

from __future__ import annotations

import base64
import dataclasses
import json

import numpy as np
import pytest

from handpose.evaluation.scores import Scores
from handpose.hand.mano import Mano
from stages.evaluation.error_mesh import ErrorMesh
from stages.evaluation.summary import FULL, MODELS, RUNS, SCRATCH


@pytest.fixture
def mesh(scores: Scores, mano: Mano) -> ErrorMesh:
    found = ErrorMesh.of(scores, mano)
    assert found is not None
    return found


def test_fingers_point_up_and_the_views_are_each_others_mirror(mesh: ErrorMesh, mano: Mano) -> None:
    palm, back = mesh.seen(back=False), mesh.seen(back=True)
    np.testing.assert_allclose(palm * [-1, 1, -1], back, atol=1e-12)
    np.testing.assert_allclose(mesh.axes @ mesh.axes.T, np.eye(3), atol=1e-6)
    tips = np.argsort(palm[:, 1])[:20]  # down is positive
    assert np.linalg.norm(mesh.vertices[tips].mean(0)) > 0.05


def test_palm_and_back_show_other_triangles(mesh: ErrorMesh) -> None:
    """A triangle that faces one viewer is turned away from the other."""

    def area(back: bool) -> np.ndarray:
        a, b, c = mesh.seen(back)[mesh.faces][..., :2].transpose(1, 0, 2)
        return np.asarray((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])

    np.testing.assert_allclose(area(True), -area(False), atol=1e-12)


def test_the_browser_gets_the_same_numbers(mesh: ErrorMesh, scores: Scores) -> None:
    content = json.loads(mesh.for_browser())
    vertices = np.frombuffer(base64.b64decode(content["vertices"]), "<i2").reshape(-1, 3)
    np.testing.assert_allclose(vertices / 1e5, mesh.seen(back=False), atol=1e-5)
    faces = np.frombuffer(base64.b64decode(content["faces"]), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(faces, mesh.faces)
    for run in RUNS:
        errors = np.frombuffer(base64.b64decode(content["errors"][MODELS[run]]), "<u2")
        np.testing.assert_allclose(errors / 100, scores.vertex_errors_mm[run], atol=0.0051)
    low, high = content["range_mm"]
    every = np.concatenate([scores.vertex_errors_mm[run] for run in RUNS])
    assert (low, high) == pytest.approx((every.min(), every.max()), abs=0.01)


def test_the_chart_has_a_row_for_each_vertex(mesh: ErrorMesh, scores: Scores) -> None:
    chart = mesh.chart()
    assert len(chart.rows) == len(mesh.vertices)
    assert chart.rows[5][MODELS[FULL]] == pytest.approx(scores.vertex_errors_mm[FULL][5], abs=1e-4)
    assert [axis.get_title() for axis in chart.figure.axes[:4]] == [
        f"{MODELS[run]}\n{side}" for run in (FULL, SCRATCH) for side in ("palm", "back")
    ]


def test_without_a_fit_there_is_no_mesh(scores: Scores, mano: Mano) -> None:
    errors = dict.fromkeys(RUNS, np.full(778, np.nan))
    assert ErrorMesh.of(dataclasses.replace(scores, vertex_errors_mm=errors), mano) is None
