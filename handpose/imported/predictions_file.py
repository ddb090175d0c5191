"""Files of predictions, one row per hand: parquet, or JSON lines below a header line.

Both hold the same columns: `image`, a path below the data set's root; `side`, left or right, of the
hand in the photo; `joints`, 21 x 3; and for all rows or none `vertices`, 778 x 3 in MANO's order,
and `joints_2d`, 21 x 2 in pixels of the photo, whose centres lie at whole numbers. `statement.py`
says what the numbers are.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.file_content import recognise
from handpose.files import atomic_file
from handpose.imported.statement import ImportedError, Statement

Floats: TypeAlias = NDArray[np.floating[Any]]

SHAPES = {"joints": (21, 3), "vertices": (778, 3), "joints_2d": (21, 2)}
"""Of one hand, by column; all but the first are optional."""

KEYS = ("image", "side")
SIDES = ("right", "left")

METADATA = b"handpose"
"""Key of the header among a parquet file's key-value metadata."""

PARQUET = b"PAR1"
SUFFIXES = (".parquet", ".jsonl")
AT_ONCE = 256
"""Rows of a batch."""

EXPECTED = "expected parquet, or JSON lines with a header line (docs/imported.md)"


@dataclass(frozen=True)
class PredictedRows:
    """B rows of a file, as they stand there: its unit, its order, its frame."""

    first: int  # number of the first row, from 1
    images: list[str]
    is_left: NDArray[np.bool_]  # (B,)
    points: Mapping[str, Floats]  # by column: (B, 21, 3), (B, 778, 3), (B, 21, 2)

    def name(self, k: int) -> str:
        """Row `k` of these, for a message."""
        return f"row {self.first + k} ({self.images[k]}, {SIDES[int(self.is_left[k])]})"


@dataclass(frozen=True)
class PredictionsFile:
    """A file whose header is read; its rows are read as often as wanted, some at a time."""

    path: Path
    statement: Statement
    columns: tuple[str, ...]  # of `SHAPES`, those that are there

    @classmethod
    def open(cls, path: Path) -> PredictionsFile:
        """Read the header.

        Raises:
            ImportedError: the file is missing or in no such format, a column is missing, or the
                header does not state all that is needed.
        """
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "not found"
            raise ImportedError(f"{path}: {what}; {EXPECTED}")
        header, names = _parquet_header(path) if _is_parquet(path) else _json_header(path)
        statement = Statement.parse(path, header)
        if missing := [name for name in (*KEYS, "joints") if name not in names]:
            raise ImportedError(
                f"{path}: has no {', no '.join(missing)}; it has {', '.join(names) or 'no rows'}"
            )
        return cls(path, statement, tuple(name for name in SHAPES if name in names))

    def rows(self, columns: Iterable[str] = SHAPES) -> Iterator[PredictedRows]:
        """All rows in batches, with those of these columns that are there.

        Raises:
            ImportedError: a row has no image or side, another number of values, or one that is not
                finite.
        """
        wanted = [name for name in columns if name in self.columns]
        read = _parquet_rows if _is_parquet(self.path) else _json_rows
        for rows in read(self.path, wanted):
            for name, values in rows.points.items():
                bad = np.flatnonzero(~np.isfinite(values).all((1, 2)))
                if len(bad):
                    raise ImportedError(
                        f"{self.path}: {rows.name(bad[0])}: {name} hold a value that is not a "
                        "finite number. Leave out hands that were not found, and give --partial"
                    )
            yield rows


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(PARQUET)) == PARQUET


# --- parquet -------------------------------------------------------------------------------------


def _parquet_header(path: Path) -> tuple[Any, list[str]]:
    try:
        schema = pq.read_schema(path)
        header = (schema.metadata or {}).get(METADATA)
        return (None if header is None else json.loads(header)), schema.names
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise ImportedError(f"{path}: cannot be read ({error}); {EXPECTED}") from None


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[PredictedRows]:
    first = 1
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(AT_ONCE, columns=[*KEYS, *columns]):
                images, sides = (batch.column(name).to_pylist() for name in KEYS)
                is_left = _sides(path, images, sides, first, "row")
                points = {name: _lists(path, batch.column(name), name, first) for name in columns}
                yield PredictedRows(first, images, is_left, points)
                first += len(images)
    except (pa.ArrowInvalid, OSError) as error:
        raise ImportedError(f"{path}: cannot be read ({error}); {EXPECTED}") from None


def _lists(path: Path, column: pa.Array, name: str, first: int) -> Floats:
    """Lists, nested or not, as (B, *shape)."""
    shape, rows, flat = SHAPES[name], len(column), column
    while pa.types.is_nested(flat.type) and not pa.types.is_struct(flat.type):
        lengths = pc.list_value_length(flat)
        if flat.null_count or pc.min(lengths) != pc.max(lengths):
            raise _wrong_size(path, name, f"rows {first} to {first + rows - 1} differ in length")
        flat = flat.flatten()
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise _wrong_size(path, name, f"they are {column.type}")
    if len(flat) != rows * math.prod(shape):
        raise _wrong_size(path, name, f"a row has {len(flat) / max(rows, 1):g} numbers")
    values: Floats = flat.to_numpy(zero_copy_only=False).astype(np.float64)
    return values.reshape(rows, *shape)


# --- JSON lines ----------------------------------------------------------------------------------


def _json_header(path: Path) -> tuple[Any, list[str]]:
    """The first line, and the keys of the second."""
    found: list[Any] = []
    try:
        with path.open(encoding="utf-8") as stream:
            lines = ((k, line) for k, line in enumerate(stream, 1) if line.strip())
            for number, line in islice(lines, 2):
                if found or line.lstrip().startswith(("{", "[")):
                    found.append(_parsed(path, number, line))
                else:  # of no JSON: what the file is says more than where it fails
                    found.append(json.loads(line))
    except ValueError as error:
        what = recognise(path)
        fault = f"{what}" if what is not None else f"cannot be read ({error})"
        raise ImportedError(f"{path}: {fault}; {EXPECTED}") from None
    header, row = (*found, None, None)[:2]
    return header, list(row) if isinstance(row, dict) else []


def _json_rows(path: Path, columns: list[str]) -> Iterator[PredictedRows]:
    first = 1
    with path.open(encoding="utf-8") as stream:
        lines = ((k, line) for k, line in enumerate(stream, 1) if line.strip())
        next(lines)  # the header
        while some := list(islice(lines, AT_ONCE)):
            rows = [_object(path, number, line) for number, line in some]
            images: list[Any] = [row.get("image") for row in rows]
            sides: list[Any] = [row.get("side") for row in rows]
            is_left = _sides(path, images, sides, some[0][0], "line")
            points = {
                name: np.stack(
                    [
                        _array(path, number, row, name)
                        for (number, _), row in zip(some, rows, strict=True)
                    ]
                )
                for name in columns
            }
            yield PredictedRows(first, images, is_left, points)
            first += len(rows)


def _parsed(path: Path, number: int, line: str) -> Any:
    """The value in a line.

    Raises:
        ImportedError: it is not JSON; the message says where.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        fault = f"{error.msg}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        fault = str(error)
    raise ImportedError(f"{path}:{number}: is not JSON ({fault}); {EXPECTED}")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    row = _parsed(path, number, line)
    if not isinstance(row, dict):
        raise ImportedError(f"{path}:{number}: holds no object, one hand a line")
    return row


def _array(path: Path, number: int, row: Mapping[str, Any], name: str) -> Floats:
    shape = SHAPES[name]
    try:
        values = np.array(row.get(name), np.float64)
    except (TypeError, ValueError):
        raise _wrong_size(path, name, f"line {number} holds other values") from None
    if values.size != math.prod(shape):
        raise _wrong_size(path, name, f"line {number} has {row.get(name) and values.size}")
    return values.reshape(shape)


# --- both ----------------------------------------------------------------------------------------


def _sides(
    path: Path, images: list[Any], sides: list[Any], first: int, unit: str
) -> NDArray[np.bool_]:
    for k, (image, side) in enumerate(zip(images, sides, strict=True)):
        if not isinstance(image, str) or side not in SIDES:
            raise ImportedError(
                f"{path}: {unit} {first + k}: image is {image!r} and side is {side!r}, expected a "
                "path below the data set's root, and left or right"
            )
    return np.array([side == "left" for side in sides], np.bool_)


def _wrong_size(path: Path, name: str, found: str) -> ImportedError:
    rows, size = SHAPES[name]
    return ImportedError(
        f"{path}: {name}: {found}, expected {rows} x {size} numbers in every row; a column that "
        "only some hands have must be left out"
    )


Write: TypeAlias = Callable[[list[str], NDArray[np.bool_], Mapping[str, Floats]], None]


@contextlib.contextmanager
def writing(path: Path, statement: Statement) -> Iterator[Write]:
    """A function that adds rows to a new file: images, is_left (B,), points by column of `SHAPES`.

    The file appears when the context ends without an exception. Its name determines the format.
    Numbers are float32, in JSON as decimals that read back as the same float32.

    Raises:
        ImportedError: the name ends in neither .parquet nor .jsonl.
    """
    if path.suffix not in SUFFIXES:
        raise ImportedError(f"{path}: its name must end in {' or '.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_all = _parquet_writer if path.suffix == ".parquet" else _json_writer
    with atomic_file(path) as partial, write_all(partial, json.dumps(statement.to_json())) as write:
        yield write


@contextlib.contextmanager
def _parquet_writer(path: Path, header: str) -> Iterator[Write]:
    with contextlib.ExitStack() as stack:
        writers: list[pq.ParquetWriter] = []

        def write(
            images: list[str], is_left: NDArray[np.bool_], points: Mapping[str, Floats]
        ) -> None:
            columns: dict[str, Any] = {"image": images, "side": np.where(is_left, *SIDES[::-1])}
            for name, values in points.items():
                flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
                columns[name] = pa.FixedSizeListArray.from_arrays(flat, math.prod(SHAPES[name]))
            table = pa.table(columns).replace_schema_metadata({METADATA: header})
            if not writers:
                options = {"compression": "zstd", "use_dictionary": list(KEYS)}
                writers.append(pq.ParquetWriter(path, table.schema, **options))
                stack.enter_context(writers[0])
            writers[0].write_table(table)

        yield write


@contextlib.contextmanager
def _json_writer(path: Path, header: str) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(header + "\n")

        def write(
            images: list[str], is_left: NDArray[np.bool_], points: Mapping[str, Floats]
        ) -> None:
            for k, image in enumerate(images):
                row: dict[str, Any] = {"image": image, "side": SIDES[int(is_left[k])]}
                row |= {name: _decimals(values[k]) for name, values in points.items()}
                stream.write(json.dumps(row) + "\n")

        yield write


def _decimals(values: Floats) -> list[list[float]]:
    """The shortest decimals that read back as the same float32."""
    return [[float(str(value)) for value in row] for row in values.astype(np.float32)]
