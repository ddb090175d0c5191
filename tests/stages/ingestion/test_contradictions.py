"""What contradicts itself is recorded with pixels that agree with the samples and the boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from handpose.hand.camera import project
from stages import ingest
from stages.ingestion import judgement
from stages.paths import CONTRADICTIONS, REJECTS, SAMPLES
from tests.stages.ingestion.test_fit_distance import fitted
from tests.stages.small_dataset import CAMERAS, Dataset, set_params

OFF_M = 0.042
NAN = float("nan")


def recorded(reason: str) -> list[dict[str, Any]]:
    rows = pq.read_table(CONTRADICTIONS).to_pylist()
    return [row for row in rows if row["reason"] == reason]


def test_a_far_fit_is_recorded_as_it_is_seen(
    dataset: Dataset, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(dataset)
    dataset.train["MANO_NeuralAnnot"]["0"]["5"]["right"]["trans"] = [0.0, OFF_M, 0.0]
    dataset.train["MANO_NeuralAnnot"]["1"]["5"]["right"]["shape"] = [NAN] * 10
    dataset.write()
    set_params(stand_in, max_fit_error_mm=15)
    ingest.main()
    far = [row for row in recorded("fit_off_joints") if row["source_split"] == "train"]
    samples = {
        (row["source_split"], row["annotation_id"]): row
        for row in pq.read_table(SAMPLES).to_pylist()
    }
    assert [row["camera"] for row in far] == list(CAMERAS)
    for row in far:
        assert row["detail"] == "42 mm from its joints"
        sample = samples["train", row["annotation_id"]]
        joints = np.array(sample["joints_cam"]).reshape(21, 3)
        K = np.array(sample["K"]).reshape(3, 3)
        np.testing.assert_allclose(
            np.reshape(row["joints"], (21, 2)), project(joints, K), atol=1e-2
        )
        np.testing.assert_allclose(
            np.reshape(row["fit"], (21, 2)), project(joints + np.array([0, OFF_M, 0]), K), atol=1e-2
        )
        assert row["box"] is None
    unreadable = recorded("nan_in_mano")
    assert len(unreadable) == 2
    assert all(row["joints"] is None and row["fit"] is None for row in unreadable)
    said = capsys.readouterr().out
    where = f"by camera: {CAMERAS[0]} (1), {CAMERAS[1]} (1); by session: 1 (2); by person: 4 (2)"
    assert f"2 samples keep no MANO fit: nan_in_mano, {where}" in said
    counts = json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))["counts"]
    for reason in ("fit_off_joints", "nan_in_mano"):
        assert counts[reason] == len(recorded(reason))


def test_a_camera_beside_the_hand_is_recorded_with_its_boxes(
    dataset: Dataset, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for hand in dataset.train["data"]["annotations"]:
        hand["bbox"] = [20, 10, 60, 60]
    dataset.train["camera"]["0"]["princpt"][CAMERAS[0]] = [500.0, 40.0]
    dataset.write()
    set_params(stand_in, validation_subjects=[4], min_joints_in_boxes=0.3)
    ingest.main()
    off = recorded("joints_outside_boxes")
    lost = [row for row in pq.read_table(REJECTS).to_pylist() if row["reason"] == off[0]["reason"]]
    assert sorted(row["annotation_id"] for row in off) == [row["annotation_id"] for row in lost]
    for row in off:
        assert (row["box"], row["fit"]) == ([20, 10, 60, 60], None)
        seen = np.reshape(row["joints"], (21, 2))
        assert (np.nanmin(seen, 0) > [400, -100]).all()
    said = capsys.readouterr().out
    where = f"by camera: {CAMERAS[0]} (6); by session: 0 (6); by person: 3 (6)"
    assert f"6 annotations lie beside the box, {where}" in said


def test_only_the_first_are_recorded_with_pixels(
    dataset: Dataset, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fits are of another split, all are far."""
    monkeypatch.setattr(judgement, "DRAWN", 5)
    monkeypatch.setattr(judgement, "ROWS_AT_A_TIME", 4)
    dataset.write()
    set_params(stand_in, max_fit_error_mm=1)
    ingest.main()
    for split, used in (("train", 36), ("val", 4)):
        own = [row for row in recorded("fit_off_joints") if row["source_split"] == split]
        assert len(own) == used
        drawn = [row["fit"] is not None for row in own]
        assert drawn == [True] * min(5, used) + [False] * (used - min(5, used))


def test_a_set_without_contradictions_has_an_empty_table(dataset: Dataset) -> None:
    ingest.main()
    assert len(pq.read_table(CONTRADICTIONS)) == 0
