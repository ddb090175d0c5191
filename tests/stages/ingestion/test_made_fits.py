"""Fits that are made of joints: where, how near, and for whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from handpose.hand.mano import Mano
from stages import ingest
from stages.paths import SAMPLES
from tests.stages.ingestion.test_fit_distance import fitted
from tests.stages.small_dataset import Dataset, set_params

TRAINED, TESTED = "0", "2"
"""Captures of a training and of a test person."""


def without_fits(dataset: Dataset, *captures: str) -> Mano:
    """Joints that are those of fits, and then no fits for these captures."""
    mano = fitted(dataset)
    for capture in captures:
        for frame in dataset.train["MANO_NeuralAnnot"][capture].values():
            frame.update(right=None, left=None)
    dataset.write()
    return mano


def counts() -> Any:
    return json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))["counts"]


def column(table: pa.Table, name: str, width: int) -> torch.Tensor:
    flat = table[name].combine_chunks().flatten().to_numpy()
    return torch.from_numpy(np.array(flat)).view(-1, width)


def test_a_training_hand_gets_a_fit_near_its_joints(dataset: Dataset, stand_in: Path) -> None:
    mano = without_fits(dataset, TRAINED)
    set_params(stand_in, fit_missing=True)
    ingest.main()
    samples = pq.read_table(SAMPLES)
    made = samples.filter(samples["fit_made"])
    own = samples.filter(pc.equal(samples["split"], "train"))
    assert len(made) == len(own) == counts()["made_fits"] == 12
    assert made["has_mano"].to_pylist() == [True] * 12
    left = torch.tensor(made["is_left"].to_pylist())
    assert left.any() and not left.all()
    posed = mano.hand(
        column(made, "global_orient", 3), column(made, "hand_pose", 45),
        column(made, "betas", 10), left,
    )  # fmt: skip
    joints = column(made, "joints_cam", 63).view(-1, 21, 3)
    about_wrist = joints - joints[:, :1]
    error = (posed.joints - about_wrist).norm(dim=-1)
    assert 1000 * error.mean() < 2


def test_what_is_evaluated_keeps_no_fit(dataset: Dataset, stand_in: Path) -> None:
    without_fits(dataset, TRAINED, TESTED)
    set_params(stand_in, fit_missing=True)
    ingest.main()
    samples = pq.read_table(SAMPLES)
    test = samples.filter(pc.equal(samples["split"], "test"))
    assert len(test) and not any(test["has_mano"].to_pylist())
    assert not any(test["fit_made"].to_pylist())


def test_a_hand_with_an_unknown_joint_gets_none(dataset: Dataset, stand_in: Path) -> None:
    without_fits(dataset, TRAINED)
    frames = dataset.train["joint_3d"][TRAINED]
    for frame in frames.values():
        frame["joint_valid"] = [[False], *frame["joint_valid"][1:]]  # of right hands
    dataset.write()
    set_params(stand_in, fit_missing=True)
    ingest.main()
    samples = pq.read_table(SAMPLES)
    made = samples.filter(samples["fit_made"])
    assert 0 < len(made) < 12 and all(made["is_left"].to_pylist())


def test_a_fit_far_from_the_joints_is_not_used(dataset: Dataset, stand_in: Path) -> None:
    without_fits(dataset, TRAINED)
    rng = np.random.default_rng(0)
    for frame in dataset.train["joint_3d"][TRAINED].values():
        frame["world_coord"] = rng.uniform(-60, 60, (42, 3)).tolist()  # no hand at all
    dataset.write()
    set_params(stand_in, fit_missing=True, max_fit_error_mm=5.0)
    ingest.main()
    assert counts()["made_fits"] == 0
    set_params(stand_in, fit_missing=True, max_fit_error_mm=0.0)
    ingest.main()
    assert counts()["made_fits"] == 12, "0: any is used"


def test_a_fit_that_is_there_stays(dataset: Dataset, stand_in: Path) -> None:
    fitted(dataset)
    dataset.write()
    set_params(stand_in, fit_missing=False)
    ingest.main()
    plain = pq.read_table(SAMPLES)
    set_params(stand_in, fit_missing=True)
    ingest.main()
    found = pq.read_table(SAMPLES)
    assert not any(found["fit_made"].to_pylist())
    assert found.drop_columns("fit_made").equals(plain)
    assert "fit_made" not in plain.column_names


@pytest.mark.parametrize("value", [False, True])
def test_the_log_says_how_many(
    dataset: Dataset, stand_in: Path, value: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    without_fits(dataset, TRAINED)
    set_params(stand_in, fit_missing=value)
    ingest.main()
    words = "12 training annotations without a MANO fit got one from its joints"
    assert (words in capsys.readouterr().out) is value
