"""What is refused before anything is looked at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.predict import request as requests
from pipeline.predict.hand_box import BoxError
from pipeline.predict.request import OutputError, PredictRequest, check_output
from pipeline.predict.sources import SourceList

NOTHING = SourceList([], [], [], [])


def test_intrinsics_are_a_camera() -> None:
    K = PredictRequest(Path("out"), intrinsics=(200, 210, 80, 60)).K
    assert K is not None and K.tolist() == [[200, 0, 80], [0, 210, 60], [0, 0, 1]]
    for bad in ((0.0, 1.0, 2.0, 3.0), (1.0, 1.0, float("nan"), 3.0)):
        with pytest.raises(BoxError, match="fx and fy must be above 0"):
            PredictRequest(Path("out"), intrinsics=bad)


def test_a_table_comes_before_the_box_of_all() -> None:
    request = PredictRequest(Path("out"), box=(1, 2, 3, 4), boxes={"a.png": (5, 6, 7, 8)})
    assert request.box_for(Path("x/a.png")) == ((5, 6, 7, 8), "file")
    assert request.box_for(Path("x/b.png")) == ((1, 2, 3, 4), "given")


def test_photos_are_not_replaced(tmp_path: Path) -> None:
    photos = SourceList([tmp_path / "a.png"], [], [], [])
    with pytest.raises(OutputError, match="input photos are in this folder"):
        check_output(PredictRequest(tmp_path), photos, None)
    check_output(PredictRequest(tmp_path / "out"), photos, None)


def test_meshes_of_mano_stay_where_nobody_passes_them_on(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("/results/\n", "utf-8")
    taken, ignored = (
        PredictRequest(Path(folder), meshes=True) for folder in ("mine", "results/predict")
    )
    licensed = tmp_path / "mano"  # not the stand-in
    with pytest.raises(OutputError, match="licensed MANO model may not be passed on, and git"):
        check_output(taken, NOTHING, licensed)
    check_output(ignored, NOTHING, licensed)
    check_output(taken, NOTHING, stand_in)
    check_output(taken, NOTHING, None)
    check_output(PredictRequest(Path("mine")), NOTHING, licensed)
    monkeypatch.setattr(requests, "stage_of", lambda _: "evaluate")
    with pytest.raises(OutputError, match="dvc push would send what stage evaluate writes"):
        check_output(ignored, NOTHING, licensed)
