from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from handpose.evaluation.scores import Scores
from handpose.sample import UNLABELLED
from stages.evaluation import figures, report_images
from stages.evaluation.summary import FULL
from tests.stages.evaluation.made_up_scores import CLASSES, LEFT, SUBJECTS, N

ORIGIN = {
    "subject": SUBJECTS,
    "sequence": np.array([f"0003_fake_gun/{k}" for k in range(N)]),
    "camera": np.full(N, "400026"),
    "frame": np.arange(N) + 700,
    "is_left": LEFT,
}

Sheets = Callable[..., tuple[list[str], dict[str, Any]]]


@pytest.fixture
def sheets(scores: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sheets:
    """Draws without files: the names that are returned, and what each file would show."""

    def draw(canonical: bool = False, gestures: bool = True) -> tuple[list[str], dict[str, Any]]:
        drawn: dict[str, Any] = {}
        for name in ("draw_sheet", "draw_predictions"):
            monkeypatch.setattr(
                figures, name, lambda out, chosen, *_: drawn.update({out.name: chosen})
            )
        monkeypatch.setattr(
            report_images, "draw_pairs", lambda out, *given: drawn.update({out.name: given[-1]})
        )

        def names(ids: np.ndarray) -> np.ndarray:
            known = [CLASSES.coarse[k] if k != UNLABELLED else "unlabelled" for k in ids]
            return np.array(known)

        data: Any = SimpleNamespace(canonical=canonical, classes=CLASSES, gesture_names=names)
        models: Any = SimpleNamespace(gesture=torch.nn.Linear(1, 1), pose={}, mano=None)
        returned = report_images.draw_pictures(
            tmp_path, scores, ORIGIN, data, models, 3, gestures=gestures
        )
        return returned, drawn

    return draw


def test_a_sheet_each_and_the_strip_of_one_of_each(sheets: Sheets) -> None:
    returned, drawn = sheets()
    assert returned == ["best", "median", "worst", "pairs"]
    assert list(drawn) == ["best.png", "median.png", "worst.png", "predictions.png", "pairs.png"]
    assert {len(drawn[f"{rank}.png"]) for rank in ("best", "median", "worst")} == {3}
    for rank in ("best", "worst"):
        assert drawn["predictions.png"][rank] == drawn[f"{rank}.png"][0]


def test_a_heading_says_whose_hand_it_is_and_where_it_is_from(
    sheets: Sheets, scores: Scores
) -> None:
    errors = scores.pose[FULL]["wrist_mpjpe_mm"]
    best = int(np.nanargmin(errors))
    side = "left" if LEFT[best] else "right"
    for canonical in (False, True):
        _, drawn = sheets(canonical=canonical)
        first = drawn["best.png"][0]
        mirrored = " (mirrored)" if canonical and side == "left" else ""
        assert first.position == best
        assert first.heading.split(", ")[1:] == [
            f"{side} hand{mirrored}",
            f"subject {SUBJECTS[best]}",
            f"0003_fake_gun/{best}",
            "camera 400026",
            f"frame {best + 700}",
        ]
        for one in (*drawn["best.png"], *drawn["median.png"], *drawn["worst.png"]):
            assert ("(mirrored)" in one.heading) == (canonical and bool(LEFT[one.position]))
            assert one.predicted.endswith((" (right)", " (left)")) != canonical


def test_pairs_name_the_hand_unless_all_are_right_ones(sheets: Sheets) -> None:
    _, drawn = sheets()
    assert drawn["pairs.png"] == ["right fist", "right gun", "left fist", "left gun"]
    _, mirrored = sheets(canonical=True)
    assert mirrored["pairs.png"] == CLASSES.coarse


def test_without_gestures_nothing_is_said_of_them(sheets: Sheets) -> None:
    returned, drawn = sheets(gestures=False)
    assert returned == ["best", "median", "worst"] and "pairs.png" not in drawn
    assert {one.predicted for one in drawn["worst.png"]} == {"no gesture"}


def test_scores_without_errors_have_no_sheet(sheets: Sheets, scores: Scores) -> None:
    scores.pose[FULL]["wrist_mpjpe_mm"][:] = np.nan
    returned, drawn = sheets()
    assert returned == ["pairs"] and list(drawn) == ["pairs.png"]
