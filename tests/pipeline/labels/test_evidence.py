"""Evidence on labels: held against distances made by hand; nobody and nothing counts twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.labels.evidence import Confusions, EvidenceError, PoseSums
from stages.paths import LABELS, PREDICTIONS, SAMPLES
from tests.pipeline.labels.made_up_samples import different_poses, write_samples

A, B = ["0000_a"], ["0001_b"]


def sums(
    apart_mm: float, people: int, frames: int = 40, noise: float = 4.0, seed: int = 0
) -> PoseSums:
    """Two gestures that differ in x of every joint, with normal noise; people do not differ."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, noise, (people * 2 * frames, 21, 3))
    folder = np.tile(np.repeat(["0000_a", "0001_b"], frames), people)
    poses[folder == "0001_b", :, 0] += apart_mm
    person = np.repeat(np.arange(people), 2 * frames)
    return PoseSums.of(folder, person, poses.reshape(-1, 63))


def test_the_distance_is_that_of_the_means_and_the_ratio_takes_the_spread() -> None:
    found = sums(12.0, people=8).distance(A, B)
    assert found.apart_mm == pytest.approx(12, abs=0.3)
    assert found.spread_mm == pytest.approx(4 * np.sqrt(3), rel=0.02)
    assert found.ratio.value == pytest.approx(12 / (4 * np.sqrt(3)), rel=0.03)
    assert found.ratio.low < found.ratio.value < found.ratio.high
    assert (found.ratio.samples, found.ratio.subjects) == (2 * 8 * 40, 8)


def test_gestures_that_are_one_have_no_distance_however_few_the_people() -> None:
    squared = [sums(0.0, people, frames=2, seed=s) for people in (3, 6) for s in range(30)]
    values = np.array([one.distance(A, B).ratio.value for one in squared])
    assert np.median(values) < 0.15, "the mean of a length would be 0.6 or more"


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = 6 / (4 * np.sqrt(3))
    found = [sums(6.0, people=5, frames=4, seed=s).distance(A, B).ratio for s in range(200)]
    assert np.mean([one.low <= truth <= one.high for one in found]) == pytest.approx(0.95, abs=0.05)


def test_each_person_counts_once_and_only_who_made_both() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(0, 1, (2, 63)), rng.normal(50, 1, (200, 63))
    folder = np.array(["0000_a", "0001_b"] + ["0000_a"] * 100 + ["0001_b"] * 100)
    person = np.array([1] * 2 + [2] * 200)
    found = PoseSums.of(folder, person, np.concatenate([few, many]))
    assert found.by_person(A)[2].tolist() == [1, 100]
    mean = found.by_person(A)[0].mean(0)
    assert mean.mean() == pytest.approx(25, abs=1)
    alone = PoseSums.of(folder[:1], person[:1], few[:1])
    assert np.isnan(alone.distance(A, B).ratio.value)
    assert alone.distance(A, B).ratio.samples == 0


def test_one_or_two_people_give_a_value_without_an_interval() -> None:
    for people in (1, 2):
        ratio = sums(12.0, people).distance(A, B).ratio
        assert ratio.value == pytest.approx(12 / (4 * np.sqrt(3)), rel=0.1)
        assert np.isnan(ratio.low)
        assert np.isnan(ratio.high)


def test_samples_are_read_in_the_frame_of_the_palm_once_a_frame(tmp_path: Path) -> None:
    """Hands of all sizes, sides and turns, by two cameras; the ends of a sequence are not used."""
    first, second = different_poses(2)
    poses = {"0000_a": first, "0100_a": first, "0001_b": second}
    write_samples(tmp_path, poses, people=6, frames=8)
    found = PoseSums.read(tmp_path / SAMPLES)
    assert found.frames.tolist() == [[4] * 6] * 3
    same, other = (found.distance(A, side) for side in (["0100_a"], B))
    assert same.ratio.high < 0.5 < 2 < other.ratio.low
    assert same.apart_mm < 3 < 10 < other.apart_mm


def test_frames_with_an_unknown_joint_are_counted_and_left_out(tmp_path: Path) -> None:
    write_samples(tmp_path, {"0000_a": different_poses(1)[0]}, people=2, frames=4)
    table = pq.read_table(tmp_path / SAMPLES)
    valid = np.ones((len(table), 21), bool)
    valid[np.array(table["subject"]) == 0, 7] = False
    column = pa.FixedSizeListArray.from_arrays(pa.array(valid.ravel()), 21)
    at = table.schema.get_field_index("joint_valid")
    pq.write_table(table.set_column(at, "joint_valid", column), tmp_path / SAMPLES)
    found = PoseSums.read(tmp_path / SAMPLES)
    assert (found.people.tolist(), found.left_out) == ([1], 2)
    pq.write_table(
        table.set_column(
            at, "joint_valid", pa.FixedSizeListArray.from_arrays(pa.array(~valid.ravel()), 21)
        ),
        tmp_path / SAMPLES,
    )
    with pytest.raises(EvidenceError, match="no gesture has a sample whose 21 joints are all kno"):
        PoseSums.read(tmp_path / SAMPLES)


def test_without_samples_the_stage_that_writes_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="not found; run `dvc repro ingest` first"):
        PoseSums.read(tmp_path / SAMPLES)


def predictions(root: Path, rows: list[tuple[str, int, int]]) -> None:
    """predictions.parquet of (folder, subject, predicted id), and labels a=0, b=1, c=2."""
    names = ("a", "b", "c")
    folders = [f"000{k}_{name}" for k, name in enumerate(names)]
    ids = {name: range(3) for name in ("coarse_id", "fine_id", "twin_coarse_id", "twin_fine_id")}
    own = {"folder": folders, "hand": ["right"] * 3, "coarse": names, "fine": names}
    (root / LABELS).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(own | {k: list(v) for k, v in ids.items()}), root / LABELS)
    folder, subject, predicted = zip(*rows, strict=True)
    n = len(rows)
    columns = {"split": ["test"] * n, "kind": ["gesture"] * n, "sequence": folder}
    (root / PREDICTIONS).parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns | {"subject": subject, "stage_1_fine": predicted})
    pq.write_table(table, root / PREDICTIONS)


def test_confusion_is_the_share_taken_for_the_other(tmp_path: Path) -> None:
    assert Confusions.read(tmp_path / PREDICTIONS, tmp_path / LABELS) is None
    rows = [(folder, person, 0) for person in range(4) for folder in ("0000_a", "0001_b")]
    rows += [("0002_c", 1, 2), ("0002_c", 1, 0), ("ROM", 1, 0)]
    predictions(tmp_path, rows)
    found = Confusions.read(tmp_path / PREDICTIONS, tmp_path / LABELS)
    assert found is not None
    both = found.between(["0000_a"], ["0001_b"])
    assert (both.value, both.samples, both.subjects) == (0.5, 8, 4)
    assert found.between(["0001_b"], ["0000_a"]) == both
    assert found.between(["0002_c"], ["0001_b"]).value == 0
    assert np.isnan(found.between(["0000_a"], ["0000_a"]).value), "one class cannot be confused"
    assert np.isnan(found.between(["0000_a"], ["0009_x"]).value)
