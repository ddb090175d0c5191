"""MANO is in no object of DVC's cache, so it can be on no remote: a whole run, and a scan."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.end_to_end

WINDOW = 6
"""Numbers in a row that nothing but a copy of the array repeats."""

SMALL = 1e-6
"""What is smaller may be zero in single precision, and zeros are everywhere."""


class Run(Protocol):
    def __call__(self, folder: Path, *command: str, expect: int = 0) -> str: ...


def somebodys_hand(stand_in: Path, folder: Path) -> dict[str, NDArray[Any]]:
    """A hand that is not ours: like the stand-in, every number a little different."""
    rng = np.random.default_rng(7)
    with np.load(stand_in / "MANO_RIGHT.npz") as arrays:
        hand = {name: arrays[name] for name in arrays.files if name != "model_name"}
    for name in ("v_template", "shapedirs", "posedirs"):
        hand[name] = hand[name] * (1 + 0.01 * rng.standard_normal(hand[name].shape))
    folder.mkdir()
    np.savez(folder / "MANO_RIGHT.npz", **hand)
    return hand


def windows(array: NDArray[Any], width: int) -> Iterator[bytes]:
    """A few stretches of the array's bytes, in both precisions."""
    flat = np.ascontiguousarray(array).ravel()
    output = np.abs(flat) > SMALL
    full = [i for i in range(0, flat.size - width, 97) if output[i : i + width].all()]
    for start in full[:: max(1, len(full) // 20)]:
        for kind in (np.float32, np.float64):
            yield flat[start : start + width].astype(kind).tobytes()


def fingerprints(hand: dict[str, NDArray[Any]]) -> list[bytes]:
    names = ("v_template", "shapedirs", "posedirs")
    return [
        window
        for name in names
        for array in (hand[name], np.moveaxis(hand[name], 0, -1))  # rows or columns first
        for window in windows(array, WINDOW)
    ]


def contents(path: Path) -> Iterator[bytes]:
    """What is in a file: its bytes, and of a compressed table its columns."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"PAR1"):
        for column in pq.read_table(io.BytesIO(data)).columns:
            for kind in (np.float32, np.float64):
                yield b"".join(
                    np.asarray(value, kind).ravel().tobytes()
                    for value in column.to_pylist()
                    if _is_numbers(value)
                )


def _is_numbers(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, float)


def holds(path: Path, marks: list[bytes]) -> bool:
    return any(mark in content for content in contents(path) for mark in marks)


def test_the_scan_finds_a_hand_wherever_it_hides(tmp_path: Path, tiny_run: Path) -> None:
    import pyarrow as pa
    from safetensors.numpy import save_file

    hand = somebodys_hand(tiny_run / "data" / "stand_in", tmp_path / "mano")
    marks = fingerprints(hand)
    assert len(marks) > 100
    assert holds(tmp_path / "mano" / "MANO_RIGHT.npz", marks)
    assert not holds(tiny_run / "data" / "stand_in" / "MANO_RIGHT.npz", marks)
    single = hand["posedirs"].astype(np.float32)
    save_file({"net.mano.posedirs": single}, tmp_path / "model.safetensors")
    assert holds(tmp_path / "model.safetensors", marks)
    template = pa.table({"vertex": hand["v_template"].astype(np.float32).tolist()})
    pq.write_table(template, tmp_path / "table.parquet", compression="zstd")
    assert holds(tmp_path / "table.parquet", marks)


def test_nothing_of_a_hand_from_elsewhere_is_in_the_cache_or_on_a_remote(
    tiny_copy: Path, tmp_path: Path, run: Run
) -> None:
    hand = somebodys_hand(tiny_copy / "data" / "stand_in", tmp_path / "mano")
    marks = fingerprints(hand)
    params = tiny_copy / "params.yaml"
    text = params.read_text("utf-8")
    changed = text.replace("mano: data/stand_in", f"mano: {tmp_path / 'mano'}", 1)
    assert changed != text
    params.write_text(changed, "utf-8")
    run(tiny_copy, "dvc", "repro")
    store = tmp_path / "store"
    store.mkdir()
    run(tiny_copy, "handpose", "remote", "add", "store", str(store), "--default")
    run(tiny_copy, "dvc", "push")
    for folder in (tiny_copy / ".dvc" / "cache", store):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) > 100
        assert [path for path in files if holds(path, marks)] == []
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=tiny_copy,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not any(holds(tiny_copy / file, marks) for file in listed.stdout.splitlines())
    assert "MANO, 778 vertices" in run(tiny_copy, "handpose", "doctor")
