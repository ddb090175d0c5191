"""Each data set's joints, wherever a hand is posed."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from handpose.hand.joint_definition import INTERHAND_REGRESSOR, JointError
from handpose.imported.submission import FORMATS
from stages.code_digest import SourceTree
from stages.hand_model import (
    BENCHMARK_TIPS,
    TIPS,
    joint_definition,
    load_hand_model,
)
from stages.ingestion.formats import BENCHMARKS, READERS
from stages.params import DataParams, HandParams
from stages.paths import HAND_RECORD
from stages.sections.dataset import Benchmark
from tests.hand.made_up_regressor import made_up_regressor

ROOT = Path(__file__).parents[2]


def test_every_format_has_its_fingertips(stand_in: Path) -> None:
    assert set(TIPS) == set(READERS)
    hand = HandParams(mano=str(stand_in))
    for name, tips in (("interhand", "interhand"), ("folder", "smplx")):
        mano = load_hand_model(hand, DataParams.model_validate({"format": name}))
        assert mano.joint_definition.record() == {"tips": tips, "file": "", "sha256": ""}


def test_every_benchmark_has_its_fingertips_its_reader_and_its_file(stand_in: Path) -> None:
    assert set(BENCHMARK_TIPS) == set(BENCHMARKS) == set(FORMATS)
    assert {*BENCHMARKS, "hint"} == set(get_args(Benchmark)), "HInt has no 3D joints"
    hand, data = HandParams(mano=str(stand_in)), DataParams()
    found = {name: load_hand_model(hand, data, name) for name in ("test", "ho3d_v2")}
    assert {k: m.joint_definition.tips for k, m in found.items()} == {
        "test": "interhand",
        "ho3d_v2": "ho3d",
    }


def test_the_regressor_is_read_beside_the_hand_model(stand_in: Path, tmp_path: Path) -> None:
    hand = HandParams(mano=str(tmp_path), joint_regressor=INTERHAND_REGRESSOR)
    with pytest.raises(JointError, match=f"{tmp_path}/{INTERHAND_REGRESSOR}: not found"):
        joint_definition(hand, DataParams())
    shutil.copy(stand_in / "MANO_RIGHT.npz", tmp_path)
    np.save(tmp_path / INTERHAND_REGRESSOR, made_up_regressor())
    mano = load_hand_model(hand, DataParams())
    assert mano.joint_definition.file == INTERHAND_REGRESSOR


def test_no_stage_and_no_command_loads_a_hand_without_its_joints() -> None:
    loads = [
        str(path.relative_to(ROOT))
        for package in ("stages", "pipeline")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "Mano.load"
    ]
    assert sorted(loads) == [
        "pipeline/export/model_export.py",  # the joints are those of the model's record
        "pipeline/fit_hands/fit_hands.py",  # the joints are those of the order that a user names
        "pipeline/mano_import/mano_import.py",
        "stages/hand_model.py",
    ]


def test_a_stage_that_poses_hands_runs_again_when_the_joints_change() -> None:
    """The regressor's digest is in the record of inputs; the rest are two keys."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    sources = SourceTree(ROOT)
    posing = []
    for name, stage in stages.items():
        entry_point = Path("stages", str(stage["cmd"]).split()[3] + ".py")
        if Path("stages/hand_model.py") in sources.closure(entry_point):
            posing.append(name)
            assert "hand" in stage["params"]
            assert {"data", "data.format"} & set(stage["params"])
            hand = "${hand.mano}" if name == "inputs" else str(HAND_RECORD)
            assert name == "synthesize" or hand in stage["deps"]
    assert posing == ["synthesize", "inputs", "ingest", "pose", "pose_scratch", "evaluate"]
