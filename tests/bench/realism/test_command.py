"""The command, with a judge that repeats the joints it is given and sees right hands only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.realism import __main__ as command
from bench.realism import report
from bench.realism.judge import Judge, Reading
from bench.realism.scores import METRICS
from handpose.detection.palm_detector import Palm
from stages.params import Params
from stages.running.command import run_stage
from stages.sections.section import plain

ROOT = Path(__file__).parents[3]
FILES = ["--landmarks", "hand.tflite", "--palm", "palm.data"]


class Repeating(Judge):
    def read(self, photo: Any, uv: Any) -> Reading:
        return Reading(photo.mean() / 50, False, uv, np.concatenate([uv, uv[:, :1]], 1))

    def palms(self, photo: Any) -> list[Palm]:
        return []


@pytest.fixture
def clone(tmp_path: Path, tiny: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters and two files, in which the networks are not opened."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(plain(tiny)))
    for name in ("hand.tflite", "palm.data"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    unopened: Any = None
    monkeypatch.setattr(Judge, "load", lambda *_: Repeating(unopened, unopened))
    return tmp_path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_stage(lambda: command.main([*FILES, *arguments]), "bench.realism") == 2
    return capsys.readouterr().err


def test_renderings_are_compared(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = ["--change", "jpeg_quality=20", "--change", "jpeg_quality=20", "supersampling=2"]
    chosen = ["--people", "0", "1", "--frames", "20", "--image-px", "56", "48"]
    command.main([*FILES, *chosen, *changed])
    content = json.loads((clone / "work" / "realism.json").read_text())
    names = ["base", "jpeg_quality=20", "jpeg_quality=20 supersampling=2"]
    assert list(content["found"]) == names
    base, worse, _ = content["found"].values()
    assert base["synthesize"]["image_px"] == [56, 48]
    assert worse["synthesize"] == base["synthesize"] | {"jpeg_quality": 20}
    assert "against_base" not in base
    assert set(worse["against_base"]) == set(METRICS)
    assert worse["photos"]["image"] == base["photos"]["image"]
    assert worse["against_base"]["side"]["change"] == 0
    assert worse["against_base"]["logit"]["change"] != 0
    left = ["/01" in image for image in base["photos"]["image"]]
    assert base["all"]["side"]["value"] == pytest.approx(1 - np.mean(left), abs=1e-4)
    assert base["all"]["palm_found"]["value"] == 0
    printed = capsys.readouterr().out
    assert "jpeg_quality=20 against base, the same instants" in printed
    assert "This test is weak" in printed
    assert content["what"] == report.WHAT_IT_MEANS


def test_a_folder_is_judged_as_it_is(
    clone: Path, rendered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(rendered, clone / "data" / "synthetic")
    command.main([*FILES, "--people", "0", "1", "--out", "found.json"])
    content = json.loads((clone / "found.json").read_text())
    [(name, found)] = content["found"].items()
    assert name == "data/synthetic"
    assert len(found["photos"]["image"]) > 40
    assert {"all", "facing", "size", "colour", "gesture", "photos"} == set(found)
    assert found["facing"]["palm"]["side"]["people"] == 2
    assert "back as palm" in capsys.readouterr().out


def test_renderings_may_be_kept(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([*FILES, "--people", "0", "--frames", "4", "--keep", "kept"])
    assert len(list((clone / "kept" / "0").rglob("*.jpg"))) >= 4
    again = refused(["--people", "0", "--keep", "kept"], capsys)
    assert "--keep kept: is there already; remove it or name another folder" in again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder; --data names one"),
        (["--data", "data/synthetic", "--change", "creases=1"], "Leave out the one or the others"),
        (["--change", "frames=500"], "frames=500 changes which photos there are"),
        (["--change", "creasez=1"], "did you mean synthesize.creases?"),
        (["--set", "frames=0"], "--set frames=0 has 1 fault:"),
        (["--render", "--people", "99"], "plan no photos of people 99 in train"),
    ],
)
def test_refusals(
    clone: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    people = [] if "--people" in arguments else ["--people", "0", "1"]
    assert message in refused([*arguments, *people], capsys)
    assert not (clone / "work" / "realism.json").exists()


def test_without_the_files(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(clone)
    message = refused(["--landmarks", "gone.tflite", "--render"], capsys)
    assert "--landmarks gone.tflite: No such file" in message
    assert "npm package @mediapipe/hands" in message


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_numbers_of_photos(clone: Path, capsys: pytest.CaptureFixture[str], number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([*FILES, "--frames", number])
    assert ended.value.code == 2
    assert "--frames" in capsys.readouterr().err
