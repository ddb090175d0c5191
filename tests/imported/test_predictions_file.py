from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handpose.imported.predictions_file import (
    METADATA,
    SHAPES,
    PredictionsFile,
    writing,
)
from handpose.imported.statement import ImportedError, Statement
from tests.imported.test_statement import FILE, HEADER

STATEMENT = Statement.parse(FILE, HEADER)
N = 300
"""More than a batch."""


def points(columns: tuple[str, ...] = tuple(SHAPES)) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(N, *SHAPES[name])).astype(np.float32) for name in columns}


IMAGES = [f"images/test/{k}.jpg" for k in range(N)]
IS_LEFT = np.arange(N) % 3 == 0


def write(path: Path, columns: tuple[str, ...] = tuple(SHAPES)) -> Path:
    with writing(path, STATEMENT) as add:
        for part in (slice(0, 10), slice(10, N)):
            add(IMAGES[part], IS_LEFT[part], {n: p[part] for n, p in points(columns).items()})
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
@pytest.mark.parametrize("columns", [("joints",), ("joints", "joints_2d"), tuple(SHAPES)])
def test_what_was_written_is_read_bit_by_bit(
    tmp_path: Path, name: str, columns: tuple[str, ...]
) -> None:
    file = PredictionsFile.open(write(tmp_path / "new" / name, columns))
    assert (file.statement, file.columns) == (STATEMENT, columns)
    rows = list(file.rows())
    assert [image for row in rows for image in row.images] == IMAGES
    np.testing.assert_array_equal(np.concatenate([row.is_left for row in rows]), IS_LEFT)
    for column, expected in points(columns).items():
        found = np.concatenate([row.points[column] for row in rows])
        np.testing.assert_array_equal(found.astype(np.float32), expected)
    assert all(row.points == {} for row in file.rows(()))
    assert [row.first for row in rows] == sorted({row.first for row in rows})


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"), writing(tmp_path / "a.jsonl", STATEMENT):
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []


def as_parquet(path: Path, header: Any = HEADER, **columns: Any) -> Path:
    """Two rows, their columns replaced."""
    rows: dict[str, Any] = {
        "image": ["a.jpg", "b.jpg"],
        "side": ["left", "right"],
        "joints": [np.zeros(63).tolist()] * 2,
    }
    table = pa.table({k: v for k, v in {**rows, **columns}.items() if v is not None})
    about = {} if header is None else {METADATA: json.dumps(header)}
    pq.write_table(table.replace_schema_metadata(about), path)
    return path


def test_nested_and_flat_lists_are_the_same(tmp_path: Path) -> None:
    joints = np.arange(126.0).reshape(2, 21, 3)
    for name, column in (
        ("nested", joints.tolist()),
        ("flat", joints.reshape(2, 63).tolist()),
        ("whole", joints.reshape(2, 63).astype(int).tolist()),
    ):
        (rows,) = PredictionsFile.open(as_parquet(tmp_path / name, joints=column)).rows()
        np.testing.assert_array_equal(rows.points["joints"], joints)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"joints": None}, "has no joints; it has image, side"),
        ({"joints": [[0.0] * 60] * 2}, "a row has 60 numbers, expected 21 x 3"),
        ({"joints": [[0.0] * 60, [0.0] * 66]}, "rows 1 to 2 differ in length"),
        ({"joints": [[0.0] * 63, None]}, "rows 1 to 2 differ in length"),
        ({"joints": [["0"] * 63] * 2}, "they are list<.*string"),
        ({"joints": [0.0, 1.0]}, "a row has 1 numbers"),
        ({"joints": [[None] * 63] * 2}, "joints: they are"),
        ({"joints": [[0.0] * 63, [None, *[0.0] * 62]]}, "row 2 .b.jpg, right.: joints hold"),
        ({"vertices": [[0.0] * 2334, None]}, "vertices: rows 1 to 2 differ in length"),
        ({"side": ["left", "Right"]}, "row 2: image is 'b.jpg' and side is 'Right'"),
        ({"image": ["a.jpg", None]}, "row 2: image is None"),
    ],
)
def test_a_damaged_parquet_is_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = as_parquet(tmp_path / "theirs.parquet", **columns)
    with pytest.raises(ImportedError, match=f"theirs.parquet: .*{message}"):
        list(PredictionsFile.open(path).rows())


ROW: dict[str, Any] = {"image": "a.jpg", "side": "left", "joints": [[0.0, 0, 0]] * 21}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER], "has no image, no side, no joints; it has no rows"),
        ([ROW, ROW], "has no header of predictions"),
        ([HEADER, {"image": "a.jpg", "side": "left"}], "has no joints; it has image, side"),
        ([HEADER, ROW, {**ROW, "joints": [0] * 60}], "joints: line 3 has 60, expected 21 x 3"),
        ([HEADER, ROW, {"image": "b", "side": "left"}], "joints: line 3 has None"),
        ([HEADER, {**ROW, "joints": "many"}], "joints: line 2 holds other values"),
        ([HEADER, ROW, [1]], ":3: holds no object"),
        ([HEADER, ROW, {**ROW, "side": 0}], "line 3: image is 'a.jpg' and side is 0"),
        (
            [HEADER, {**ROW, "joints": [[float("nan")] * 3] * 21}],
            "row 1 .a.jpg, left.: joints hold",
        ),
    ],
)
def test_damaged_json_lines_are_refused(tmp_path: Path, lines: list[Any], message: str) -> None:
    path = tmp_path / "theirs.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    with pytest.raises(ImportedError, match=f"theirs.jsonl.*{message}"):
        list(PredictionsFile.open(path).rows())


def test_a_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    text = "".join(f"{json.dumps(line)}\n" for line in (HEADER, ROW, ROW))
    path.write_text(text[:-20], "utf-8")
    with pytest.raises(ImportedError, match=r"theirs.jsonl:3: is not JSON"):
        list(PredictionsFile.open(path).rows())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_place_of_a_syntax_error_is_reported(tmp_path: Path, number: int) -> None:
    path = tmp_path / "theirs.jsonl"
    lines = [json.dumps(line) for line in (HEADER, ROW, ROW)]
    lines[number - 1] = '{"image": "a.jpg", side: "left"}'
    path.write_text("\n".join(lines), "utf-8")
    fault = rf"jsonl:{number}: is not JSON \(Expecting property name .*, column 20\); expected"
    with pytest.raises(ImportedError, match=fault):
        list(PredictionsFile.open(path).rows())


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", joints=np.zeros(3))
    (tmp_path / "short.parquet").write_bytes(write(tmp_path / "a.parquet").read_bytes()[:999])
    as_parquet(tmp_path / "bare.parquet", header=None)
    for name, message in {
        "none.parquet": "not found; expected parquet, or JSON lines",
        ".": "is a folder",
        "a.npz": "expected parquet, or JSON lines",
        "short.parquet": "cannot be read",
        "bare.parquet": "has no header of predictions",
    }.items():
        with pytest.raises(ImportedError, match=message):
            PredictionsFile.open(tmp_path / name)
