"""The record of inputs: the files that are read, and nothing that merely lies beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from handpose.hand.joint_definition import INTERHAND_REGRESSOR
from stages import inputs
from stages.paths import ANNOTATIONS_RECORD, HAND_RECORD
from stages.running.command import run_stage
from tests.hand.made_up_regressor import made_up_regressor
from tests.interhand.test_annotations import write
from tests.stray_files import leave_strays

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("IH"))
    write(Path("IH"), split="val")
    shutil.copytree(stand_in, "mano")
    set_params()


def set_params(regressor: str = "", form: str = "interhand") -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["data"] |= {"root": "IH", "format": form}
    raw["hand"] |= {"mano": "mano", "joint_regressor": regressor}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


def records() -> tuple[str, str]:
    inputs.main()
    return ANNOTATIONS_RECORD.read_text("utf-8"), HAND_RECORD.read_text("utf-8")


def test_every_file_that_is_read_is_in_it() -> None:
    annotations, hand = map(json.loads, records())
    assert len(annotations) == 8
    assert "InterHand2.6M_val_camera.json" in annotations
    assert list(hand) == ["MANO_RIGHT.npz"]
    np.save(Path("mano") / INTERHAND_REGRESSOR, made_up_regressor())
    set_params(INTERHAND_REGRESSOR)
    assert INTERHAND_REGRESSOR in json.loads(records()[1])


def test_other_files_change_nothing_and_those_that_are_read_do() -> None:
    before = records()
    leave_strays(Path("IH"))
    leave_strays(Path("mano"))
    (Path("IH") / "annotations" / "train" / "README.txt").write_text("mine")
    (Path("mano") / "MANO_LEFT.npz").unlink()
    assert records() == before
    file = Path("IH/annotations/val/InterHand2.6M_val_camera.json")
    file.write_text(file.read_text() + " ")
    annotations, hand = records()
    assert (annotations != before[0], hand == before[1]) == (True, True)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    set_params(form="folder")
    file = tmp_path / "IH" / "annotations" / "hands.jsonl"
    file.write_text("{}\n")
    assert list(json.loads(records()[0])) == ["hands.jsonl"]
    file.unlink()
    assert run_stage(inputs.main, "inputs") == 2


def test_what_is_missing_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    (Path("mano") / "MANO_RIGHT.npz").unlink()
    assert run_stage(inputs.main, "inputs") == 2
    assert "MANO_RIGHT.npz: not found. `handpose mano import" in capsys.readouterr().err
    shutil.rmtree("IH")
    assert run_stage(inputs.main, "inputs") == 2
    assert "inputs: not found: IH. data.root in params.yaml" in capsys.readouterr().err
