"""Photos without annotations, read by a model and by a judge, both made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench import real_photos
from bench.real_photos import SIDE, UNITS, Pair, columns, picture, table
from bench.realism.judge import Judge, Reading
from handpose.estimator import HandEstimator
from stages.running.command import run_stage
from tests.pipeline.predict.conftest import a_hand, estimator, model

__all__ = ["estimator", "model"]

FILES = ["--landmarks", "hand.tflite", "--palm", "palm.data"]
PHOTO = np.full((60, 80, 3), 120, np.uint8)
UV = np.random.default_rng(0).uniform(10, 50, (21, 2))
SIZE = np.ptp(UV, axis=0).max()


def pair(shift: float = 0.0, *, is_left: bool = False, **changes: Any) -> Pair:
    """The model's joints lie this share of the hand beside the judge's; it says a right hand."""
    reading = Reading(5.0, is_left, UV, np.zeros((21, 3)))
    tile = np.full((SIDE, SIDE, 3), 120, np.uint8)
    return Pair(tile, reading, a_hand(UV + np.array([shift * SIZE, 0]), **changes))


def test_errors_are_by_the_size_of_the_hand() -> None:
    error, middle, pck, *_ = columns([pair(), pair(0.1), pair(0.3)]).values()
    assert error == pytest.approx([0, 10, 30])
    assert pck.tolist() == [1, 1, 0]
    low, high = UV.min(0), UV.max(0)
    expected = 100 * np.linalg.norm((low + high) / 2 - UV, axis=1).mean() / SIZE
    assert middle == pytest.approx([expected] * 3)


def test_the_side_is_compared_and_of_the_certain_ones_again() -> None:
    certain = {"side_probability": 0.95}
    found = columns([pair(), pair(is_left=True), pair(is_left=True, **certain)])
    *_, side, sure, side_if_sure, is_hand = found.values()
    assert side.tolist() == [1, 0, 0]
    assert sure.tolist() == [0, 0, 1]
    assert np.isnan(side_if_sure[:2]).all() and side_if_sure[2] == 0
    assert np.isnan(is_hand).all()  # a model without a confidence head
    lines = list(table([pair(), pair(0.1)]))
    assert len(lines) == 2 + len(UNITS) - 2  # neither of the two that nothing defines
    assert lines[2] == "| 2D error, % of the hand | 5.0 [0.0, 68.5] | 2 |"


@pytest.mark.parametrize(("count", "rows", "shown"), [(3, 1, 3), (9, 2, 8), (50, 4, 8)])
def test_the_picture_has_a_tile_for_each_photo(count: int, rows: int, shown: int) -> None:
    drawn = picture([pair()] * count)
    columns_shown = min(shown, real_photos.COLUMNS)
    assert drawn.shape == (rows * real_photos.SIDE, real_photos.COLUMNS * real_photos.SIDE, 3)
    assert drawn[:10, : columns_shown * real_photos.SIDE].max() < 255


class Finding(Judge):
    def find(self, photo: Any) -> Reading | None:
        return None if photo.mean() < 50 else Reading(5.0, True, UV, np.zeros((21, 3)))


@pytest.fixture
def folder(tmp_path: Path, estimator: HandEstimator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photos of a hand, one without, one that is none; networks are not opened."""
    monkeypatch.chdir(tmp_path)
    unopened: Any = None
    monkeypatch.setattr(Judge, "load", lambda *_: Finding(unopened, unopened))
    monkeypatch.setattr(HandEstimator, "released", lambda: estimator)
    (tmp_path / "photos" / "more").mkdir(parents=True)
    cv2.imwrite("photos/a.png", PHOTO)
    cv2.imwrite("photos/more/b.jpg", PHOTO)
    cv2.imwrite("photos/dark.png", PHOTO // 10)
    Path("photos/z.jpg").write_text("no photo")
    return tmp_path


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real_photos.main(["photos", *FILES])
    out = capsys.readouterr().out
    assert "photos/z.jpg is not a picture" in out
    assert "photos: 2 photos; left out, since the reference detector is not sure of a hand" in out
    assert "read: 2\n" in out
    assert "| 2D error, % of the hand |" in out
    drawn = cv2.imread("work/real_photos.jpg")
    assert drawn is not None and drawn.shape == (SIDE, real_photos.COLUMNS * SIDE, 3)
    assert drawn[:, :SIDE].min() < 60, "no skeleton on the grey photo"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "no photos there; expected files ending in .jpg,"),
        ("dark", "the reference detector is sure of no hand in any photo"),
    ],
)
def test_a_folder_without_hands_is_refused(
    name: str, why: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    (folder / "dark").mkdir()
    (folder / "photos" / "dark.png").rename(folder / "dark" / "a.png")
    assert run_stage(lambda: real_photos.main([name, *FILES]), "bench.real_photos") == 2
    assert f"{name}: {why}" in capsys.readouterr().err
