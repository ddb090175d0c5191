from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.evaluation.figures import length_of, ranked, training_chart


def test_ranks_are_by_error_and_leave_out_what_has_none() -> None:
    errors = np.array([5.0, np.nan, 1.0, 9.0, 3.0, np.nan, 7.0])
    assert ranked(errors, 2) == {"best": [2, 4], "median": [4, 0], "worst": [3, 6]}


def test_fewer_samples_than_pictures_are_shown_once_each() -> None:
    assert ranked(np.array([2.0, 1.0]), 4) == {"best": [1, 0], "median": [1, 0], "worst": [0, 1]}
    assert ranked(np.array([np.nan]), 4) == {"best": [], "median": [], "worst": []}


def test_training_curves_run_over_epochs_and_skip_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(
        "step,epoch,lr,loss,validation_coarse_accuracy,validation_fine_accuracy,"
        "validation_mpjpe_mm,validation_pa_annotated_mpjpe_mm\n"
        "5,1,1,4,,,,\n10,1,1,3,0.1,0.1,60,20\n15,2,1,2,,,,\n20,2,1,1,0.2,0.1,50,15\n"
    )
    assert length_of(path) == (20, 2)
    figure = training_chart({"pretrain": path, "pretrained": path, "scratch": path})
    lines = {axis.get_title(): axis.lines for axis in figure.axes if axis.get_visible()}
    np.testing.assert_array_equal(
        lines["Stage 1: training loss"][0].get_xdata(), [0.5, 1.0, 1.5, 2.0]
    )
    full, scratch = lines["Stage 2: validation MPJPE, wrist-relative, mm"]
    np.testing.assert_array_equal(full.get_xdata(), [1, 2])
    np.testing.assert_array_equal(scratch.get_ydata(), [60, 50])


@pytest.mark.parametrize(
    ("column", "title"),
    [
        ("instance_accuracy", "Stage 1: validation accuracy"),
        ("mpjpe_mm", "Stage 1: validation MPJPE, wrist-relative, mm"),
    ],
)
def test_stage_1_shows_what_its_objective_measures(tmp_path: Path, column: str, title: str) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text(f"step,epoch,lr,loss,validation_{column}\n5,1,1,4,0.5\n10,2,1,3,0.7\n")
    second.write_text(
        "step,epoch,lr,loss,validation_mpjpe_mm,validation_pa_annotated_mpjpe_mm\n5,1,1,4,60,20\n"
    )
    figure = training_chart({"pretrain": first, "pretrained": second, "scratch": second})
    lines = {axis.get_title(): axis.lines for axis in figure.axes if axis.get_visible()}
    assert [name for name in lines if "Stage 1: validation" in name] == [title]
    (line,) = lines[title]
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 0.7])
