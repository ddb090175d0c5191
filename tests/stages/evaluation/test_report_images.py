from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from handpose.evaluation.scores import Scores
from handpose.sample import UNLABELLED
from stages.evaluation import figures, report_images
from stages.evaluation.figures import Ranked
from stages.evaluation.summary import FULL
from tests.stages.evaluation.made_up_scores import CLASSES, LEFT, SUBJECTS, N

ORIGIN = {
    "subject": SUBJECTS,
    "sequence": np.array([f"0003_fake_gun/{k}" for k in range(N)]),
    "camera": np.full(N, "400026"),
    "frame": np.arange(N) + 700,
    "is_left": LEFT,
}


@pytest.fixture
def sheets(
    scores: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Sequence[Ranked]]]:
    """The samples on each sheet, by its file; the names that are returned are under ""."""

    def draw(canonical: bool = False, gestures: bool = True) -> dict[str, Any]:
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
        drawn[""] = report_images.draw_pictures(
            tmp_path, scores, ORIGIN, data, models, 3, gestures=gestures
        )
        return drawn

    return draw


def test_a_sheet_each_and_the_strip_of_one_of_each(sheets: Callable[..., Any]) -> None:
    drawn = sheets()
    assert drawn.pop("") == ["best", "median", "worst", "pairs"]
    assert list(drawn) == ["best.png", "median.png", "worst.png", "predictions.png", "pairs.png"]
    assert {len(drawn[f"{rank}.png"]) for rank in ("best", "median", "worst")} == {3}
    for rank in ("best", "worst"):
        assert drawn["predictions.png"][rank] == drawn[f"{rank}.png"][0]


def test_a_heading_says_whose_hand_it_is_and_where_it_is_from(
    sheets: Callable[..., Any], scores: Scores
) -> None:
    errors = scores.pose[FULL]["wrist_mpjpe_mm"]
    best = int(np.nanargmin(errors))
    side = "left" if LEFT[best] else "right"
    for canonical in (False, True):
        drawn = sheets(canonical=canonical)
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


def test_pairs_name_the_hand_unless_all_are_right_ones(sheets: Callable[..., Any]) -> None:
    assert sheets()["pairs.png"] == ["right fist", "right gun", "left fist", "left gun"]
    assert sheets(canonical=True)["pairs.png"] == CLASSES.coarse


def test_without_gestures_nothing_is_said_of_them(sheets: Callable[..., Any]) -> None:
    drawn = sheets(gestures=False)
    assert drawn[""] == ["best", "median", "worst"] and "pairs.png" not in drawn
    assert {one.predicted for one in drawn["worst.png"]} == {"no gesture"}


def test_scores_without_errors_have_no_sheet(sheets: Callable[..., Any], scores: Scores) -> None:
    scores.pose[FULL]["wrist_mpjpe_mm"][:] = np.nan
    assert list(sheets()) == ["pairs.png", ""]
