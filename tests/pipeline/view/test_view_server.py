"""What the page gets: rows by query, a row's hands and photo, and refusals."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from handpose.data.labels import Labels
from handpose.data.shards import Shards
from pipeline.__main__ import main
from pipeline.view.evaluated import ERROR, ORDERS, EvaluatedSamples, Query, ViewError
from pipeline.view.loopback import PortError
from pipeline.view.view_server import PAGE, served
from stages.evaluation.data import ORIGIN
from stages.evaluation.summary import RUNS
from tests.stages.conftest import set_params, shards_of, trainable
from tests.stages.made_up_samples import write_samples

__all__ = ["set_params", "shards_of", "trainable"]

FULL = RUNS[0]


def write_predictions() -> None:
    """The truth as the full model's prediction, but for errors by row; Stage 1 says class 0."""
    shards = Shards.open("data/shard")
    stored = pq.read_table("data/ingest/samples.parquet").to_pylist()
    samples = {row["sample_id"]: row for row in stored}
    labels = Labels.read(Path("data/labels/labels.parquet")).ids
    rows: list[dict[str, Any]] = []
    for split in [s for s in shards.index.splits if s not in ("train", "validation")]:
        for batch in shards.batches(split, batch=1, image_px=32, labels=labels):
            own = samples[int(batch.sample_id[0])]
            joints = np.reshape(own["joints_cam"], (21, 3))
            k = len(rows)
            row = {name: own[name] for name in ("sample_id", *ORIGIN, "has_mano")}
            known = own["sequence"] in labels
            row |= {"coarse": labels[own["sequence"]].coarse if known else -1, "stage_1_coarse": 0}
            row |= {"stage_1_probability": 1 - 0.01 * k}
            for run in RUNS:
                row |= {f"{run}_{ERROR}": 10.0 * (k % 5), f"{run}_pa_mpjpe_mm": float("nan")}
                row[f"{run}_joints"] = (joints - joints[0]).ravel().tolist()
            rows.append(row)
    Path("results").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), "results/predictions.parquet")


@pytest.fixture
def folder(trainable: Path, shards_of: Any) -> Path:
    """The current folder with shards, labels and predictions of 9 + 3 samples."""
    shards_of(train=12, validation=2, test=9, official_val=3)
    write_samples()
    write_predictions()
    return trainable


@pytest.fixture
def samples(folder: Path) -> EvaluatedSamples:
    return EvaluatedSamples.open()


def test_queries_list_what_they_name(samples: EvaluatedSamples) -> None:
    table = samples.table
    every = samples.listed(Query("test"))
    assert (every["total"], every["rows"]) == (9, list(range(9)))
    assert samples.listed(Query("official_val"))["rows"] == [9, 10, 11]
    assert samples.listed(Query("test", offset=7))["rows"] == [7, 8]
    for gesture in set(table["gesture"].to_pylist()):
        found = samples.listed(Query("test", gesture=gesture))["rows"]
        assert found == [k for k in range(9) if table["gesture"][k].as_py() == gesture]
    assert samples.listed(Query("test", least_mm=30))["rows"] == [3, 4, 8]
    wrong = samples.listed(Query("test", wrong_gesture=True))["rows"]
    assert wrong == [k for k in range(9) if table["coarse"][k].as_py() not in (0, -1)]
    assert samples.listed(Query("test", order="least sure"))["rows"] == list(range(8, -1, -1))
    errors = table[f"{FULL}_{ERROR}"].to_pylist()
    largest = samples.listed(Query("test", order="largest error"))["rows"]
    assert [errors[k] for k in largest] == sorted(errors[:9], reverse=True)
    with pytest.raises(ViewError, match="expected one of as stored"):
        samples.listed(Query("test", order="by chance"))


def test_a_row_shows_its_own_photo_and_hands(samples: EvaluatedSamples) -> None:
    for row, split, position in ((4, "test", 4), (10, "official_val", 1)):
        batch = samples.data.one(split, position)
        assert int(batch.sample_id[0]) == samples.table["sample_id"][row].as_py()
        photo = np.asarray(Image.open(BytesIO(samples.photo(row))))
        np.testing.assert_array_equal(photo, batch.image[0].permute(1, 2, 0).numpy())
        found = samples.described(row)
        assert found["image_px"] == len(photo)
        truth, drawn = found["hands"]["truth"], found["hands"][FULL]
        for joint in np.flatnonzero(batch.joint_valid[0].numpy()):
            assert drawn["joints_mm"][joint] == pytest.approx(truth["joints_mm"][joint], abs=0.02)
            assert drawn["uv"][joint] == pytest.approx(truth["uv"][joint], abs=0.02)
        assert truth["joints_mm"][0] == [0, 0, 0]
        assert found["pa_errors_mm"][FULL] is None
        json.dumps(found, allow_nan=False)
    with pytest.raises(ViewError, match="row 12: expected 0 to 11"):
        samples.photo(12)


def test_the_choices_are_those_of_the_results(samples: EvaluatedSamples) -> None:
    found = samples.choices()
    assert found["splits"] == ["test", "official_val"]
    assert found["orders"] == list(ORDERS)
    assert len(found["joints"]) == len(found["parents"]) == 21


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def address(samples: EvaluatedSamples) -> Iterator[str]:
    with served(samples, 0) as address:
        yield address


def got(url: str, **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_the_page_and_its_parts_are_served(address: str, samples: EvaluatedSamples) -> None:
    assert got(address) == (200, "text/html; charset=utf-8", PAGE.read_bytes())
    second = Query("test", order="least sure", offset=2)
    third = Query("test", wrong_gesture=True, least_mm=5)
    for path, expected in (
        ("choices", samples.choices()),
        ("rows?split=test&order=least+sure&offset=2", samples.listed(second)),
        ("rows?split=test&wrong=1&least_mm=5", samples.listed(third)),
        ("row/3", samples.described(3)),
    ):
        status, kind, content = got(address + path)
        assert (status, kind) == (200, "application/json")
        assert json.loads(content) == expected
    assert got(address + "photo/3")[1:] == ("image/png", samples.photo(3))


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("row/99", 400, "expected 0 to 11"),
        ("row/x", 400, "expected a number"),
        ("row/-1", 400, "expected a number"),
        ("rows", 400, "names no split"),
        ("rows?split=test&order=x", 400, "expected one of"),
        ("rows?split=test&least_mm=many", 400, "expected numbers"),
        ("rows?split=test&least_mm=nan", 400, "expected 0 or more"),
        ("elsewhere", 404, "not found"),
        ("../params.yaml", 404, "not found"),
    ],
)
def test_what_is_not_there_is_refused(address: str, path: str, status: int, message: str) -> None:
    code, _, content = got(address + path)
    assert (code, message in content.decode()) == (status, True), content


def test_a_page_of_elsewhere_whose_name_leads_here_gets_nothing(address: str) -> None:
    assert got(address + "choices", Host="example.org")[0] == 403


def test_a_port_in_use_is_refused_with_another(address: str, samples: EvaluatedSamples) -> None:
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with (
        pytest.raises(PortError, match=rf"port {port} .*--port {port + 100}"),
        served(samples, port),
    ):
        pass


# --- refusals of the command ---------------------------------------------------------------------


def test_without_results_the_remedy_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dvc.yaml").write_text((Path(__file__).parents[3] / "dvc.yaml").read_text("utf-8"))
    (folder / "results" / "predictions.parquet").unlink()
    assert main(["view"]) == 2
    assert "`dvc repro` evaluates" in capsys.readouterr().err


def test_a_photo_of_another_sample_is_never_shown(folder: Path, shards_of: Any) -> None:
    """As many samples as before, in another order."""
    path = folder / "results" / "predictions.parquet"
    whole = pq.read_table(path)
    ids = whole["sample_id"].to_pylist()
    swapped = pa.array([ids[1], ids[0], *ids[2:]], whole["sample_id"].type)
    pq.write_table(whole.set_column(0, "sample_id", swapped), path)
    samples = EvaluatedSamples.open()
    with pytest.raises(ViewError, match=r"is of sample .* not of one run"):
        samples.described(0)
    with pytest.raises(ViewError, match="not of one run"):
        samples.photo(1)
    assert samples.photo(2)


def test_results_of_other_labels_are_refused(folder: Path) -> None:
    path = folder / "results" / "predictions.parquet"
    whole = pq.read_table(path)
    k = whole.column_names.index("coarse")
    pq.write_table(whole.set_column(k, "coarse", pa.array([40] * len(whole))), path)
    with pytest.raises(ViewError, match="the labels changed after this evaluation"):
        EvaluatedSamples.open()


def test_results_of_other_shards_or_of_older_code_are_refused(folder: Path) -> None:
    path = folder / "results" / "predictions.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole.filter(pc.not_equal(whole["split"], "official_val")), path)
    with pytest.raises(ViewError, match="not of one run"):
        EvaluatedSamples.open()
    pq.write_table(whole.drop_columns("stage_1_probability"), path)
    with pytest.raises(ViewError, match="written by older code"):
        EvaluatedSamples.open()
