"""Candidates decided by threads and by processes, in whatever chunks: the same tables."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from handpose.interhand.reader import InterHandReader
from stages import ingest
from stages.ingestion import candidates, chunks
from stages.ingestion.chunks import photo_faults
from tests.stages.ingestion.test_fit_distance import fitted
from tests.stages.small_dataset import HEIGHT, WIDTH, Dataset, set_params

BAD = {2: "image_missing", 3: "image_black", 20: "image_size"}
"""Damaged photos of train, by number."""


@pytest.fixture
def damaged(dataset: Dataset, stand_in: Path) -> Dataset:
    """Photos that cannot be used, fits that are far or cannot be read, a hand of few joints."""
    fitted(dataset)
    fits = dataset.train["MANO_NeuralAnnot"]
    fits["0"]["5"]["right"]["trans"] = [0.0, 0.05, 0.0]
    fits["1"]["5"]["right"]["shape"] = [float("nan")] * 10
    dataset.train["data"]["annotations"][5]["joint_valid"] = [[0]] * 42
    dataset.write()
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for number, reason in BAD.items():
        photo = dataset.photo(number)
        photo.unlink()
        if reason != "image_missing":
            cv2.imwrite(str(photo), 0 * noise if reason == "image_black" else noise[:20])
    set_params(stand_in, max_fit_error_mm=15)
    return dataset


def tables() -> dict[str, bytes]:
    """What the stage wrote, but for the manifest, which has the time."""
    ingest.main()
    files = sorted(file for file in ingest.OUT.iterdir() if file.name != "manifest.json")
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("fewest", [0, 10**6], ids=["processes", "threads"])
def test_the_tables_are_the_same_whoever_reads_and_decides(
    damaged: Dataset, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    expected = tables()
    rejected = pq.read_table(ingest.OUT / "rejects.parquet").to_pylist()
    images = {str(damaged.photo(n).relative_to("dataset")): reason for n, reason in BAD.items()}
    found = {row["image"]: row["reason"] for row in rejected if row["reason"] in BAD.values()}
    assert found == images
    assert {"too_few_joints", "two_hands"} < {row["reason"] for row in rejected}
    faulty = pq.read_table(ingest.OUT / "contradictions.parquet")["reason"].to_pylist()
    assert {"fit_off_joints", "nan_in_mano"} == set(faulty)

    for module, name, value in (
        (chunks, "ROWS_PER_CHUNK", 3),
        (chunks, "FEWEST_FOR_PROCESSES", fewest),
        (chunks, "ROWS_PER_WORKER", 1),
        (chunks, "usable_cores", lambda: 2),
        (candidates, "FEWEST_BYTES_FOR_PROCESSES", fewest),
        (candidates, "usable_cores", lambda: 2),
    ):
        monkeypatch.setattr(module, name, value)
    assert tables() == expected


def test_a_fault_is_that_of_its_row(damaged: Dataset) -> None:
    reader = InterHandReader(Path("dataset"))
    rows = reader.read(reader.splits()[0]).usable
    numbers = rows.table["annotation_id"].to_pylist()
    faults = photo_faults(rows, Path("dataset"))
    assert {numbers[fault.row]: fault.reason for fault in faults} == BAD
