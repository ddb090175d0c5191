"""Nothing in a checkpoint runs, and what it holds besides tensors is harmless or refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handpose.other_models.weights_file import (
    EmptyRecord,
    WeightsError,
    WeightsUnpickler,
    read_weights,
)
from tests.other_models.conftest import write_checkpoint


class Hostile:
    """Runs a function of the reader's process when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


WEIGHTS = {"mano_head.decpose.weight": np.eye(3)}


def with_pickle(path: Path, content: bytes) -> Path:
    """The file with another pickle in the place of its own."""
    return with_record(path, "data.pkl", content)


def with_record(path: Path, record: str, content: bytes) -> Path:
    """The file with another content of one record."""
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in entries.items():
            new.writestr(name, content if name.endswith(f"/{record}") else data)
    return path


# --- honest files --------------------------------------------------------------------------------


def test_tensors_are_read_beside_options_of_libraries_that_are_not_here(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WEIGHTS)
    with pytest.raises(pickle.UnpicklingError, match="yacs"):  # why torch's own way will not do
        torch.load(path, weights_only=True)
    assert read_weights(path).keys() == WEIGHTS.keys()
    assert (read_weights(path)["mano_head.decpose.weight"] == torch.eye(3)).all()


def test_parameters_and_types_of_torch_are_read(tmp_path: Path) -> None:
    own = torch.nn.Parameter(torch.arange(3.0))
    beside = {"dtype": torch.float16, "size": torch.ones(2).shape, "on": torch.device("cpu")}
    torch.save({"state_dict": {"w": own}, "beside": beside}, tmp_path / "a.ckpt")
    assert (read_weights(tmp_path / "a.ckpt")["w"] == own).all()


# --- hostile ones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "posix.system"),
        (eval, "__builtin__.eval"),
        (getattr, "__builtin__.getattr"),
        (torch.load, "torch.serialization.load"),
        (torch.storage._load_from_bytes, "torch.storage._load_from_bytes"),
        (io.open, "__builtin__.open|io.open|_io.open"),
    ],
)
@pytest.mark.parametrize("where", ["state_dict", "hyper_parameters", "callbacks"])
def test_a_hostile_pickle_is_refused_by_name_and_nothing_of_it_runs(
    tmp_path: Path, function: Any, name: str, where: str
) -> None:
    trace = tmp_path / "trace"
    argument = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    if function is io.open:
        argument = str(trace)
    words = (argument, "w") if function is io.open else (argument,)
    hostile = {"cfg": Hostile(function, *words)}
    path = write_checkpoint(tmp_path / "hostile.ckpt", WEIGHTS, **{where: hostile})
    with pytest.raises(WeightsError, match=rf"hostile.ckpt: needs ({name}), which no weights do"):
        read_weights(path)
    assert not trace.exists()


def test_a_library_among_the_inert_ones_is_neither_imported_nor_called(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    argument = repr(f"open({str(trace)!r}, 'w')").encode()
    hostile = b"cnumpy.testing\nrundocs\n(S" + argument + b"\ntR."  # would run a file
    assert isinstance(WeightsUnpickler(io.BytesIO(hostile)).load(), EmptyRecord)
    made = b"cyacs.config\nCfgNode\n(I1\nI2\ntR}X\x01\x00\x00\x00aK\x01sb."
    options = WeightsUnpickler(io.BytesIO(made)).load()
    assert isinstance(options, EmptyRecord) and not hasattr(options, "a")
    assert not trace.exists()


def test_a_file_cannot_change_the_functions_that_make_its_tensors() -> None:
    before = torch._utils._rebuild_tensor_v2.__dict__.copy()
    build = b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."
    WeightsUnpickler(io.BytesIO(build)).load()
    assert torch._utils._rebuild_tensor_v2.__dict__ == before


def test_something_else_than_tensors_among_the_weights_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WEIGHTS, state_dict={"w": Path("/data")})
    with pytest.raises(WeightsError, match="'w' in its state_dict is EmptyRecord, not a tensor"):
        read_weights(path)
    contents: list[Any] = [[1, 2], {"state_dict": {}}, {"state_dict": Path("/data")}]
    for content in contents:
        torch.save(content, path)
        with pytest.raises(WeightsError, match="holds no state_dict"):
            read_weights(path)


# --- damaged and other files ---------------------------------------------------------------------


def test_damaged_and_other_files_are_told_apart(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WEIGHTS)
    whole = path.read_bytes()

    def refused(content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            read_weights(path)

    refused(whole[: len(whole) // 2], "whose end is missing")
    refused(b"", "is empty")
    refused(b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer")
    refused(b"<!doctype html><html></html>", "is a web page")
    refused(pickle.dumps({"state_dict": {}}), "is a pickle, or a file of PyTorch before 1.6")
    path.write_bytes(whole)
    with_pickle(path, b"\x80\x02]q\x00(K")
    with pytest.raises(WeightsError, match=r"cannot be read .*; get the file again"):
        read_weights(path)


def test_tensors_that_share_memory_share_it_when_read(tmp_path: Path) -> None:
    whole = torch.arange(12, dtype=torch.float16).reshape(3, 4)
    torch.save({"state_dict": {"whole": whole, "part": whole.T[1:]}}, tmp_path / "a.ckpt")
    before = (tmp_path / "a.ckpt").read_bytes()
    read = read_weights(tmp_path / "a.ckpt")
    assert (read["part"] == whole.T[1:]).all() and read["part"].dtype == torch.float16
    read["whole"][0, 1] = 99
    assert read["part"][0, 0] == 99
    assert (tmp_path / "a.ckpt").read_bytes() == before, "a change stays in this process"


@pytest.mark.parametrize(
    ("kind", "key", "count", "message"),
    [
        (b"ctorch\nFloatStorage\n", b"0", 1000, "expected 4,000"),
        (b"ctorch\nFloatStorage\n", b"0", -1, "expected -4"),
        (b"ctorch\nFloatStorage\n", b"9", 1, "data/9 is missing"),
        (b"I1\n", b"0", 1, "found the tensor"),
    ],
)
def test_memory_that_the_file_does_not_have_is_not_read(
    tmp_path: Path, kind: bytes, key: bytes, count: int, message: str
) -> None:
    described = b"(Vstorage\n" + kind + b"V" + key + b"\nVcpu\nI%d\ntQ." % count
    path = with_pickle(write_checkpoint(tmp_path / "a.ckpt", WEIGHTS), described)
    with pytest.raises(WeightsError, match=message):
        read_weights(path)


# --- programs ------------------------------------------------------------------------------------


class Program(torch.nn.Module):
    """Writes a file into the current folder when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(2))

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return (self.w, True)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        torch.save(state[0], "trace")
        self.w = state[0]  # type: ignore[assignment]
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a program, in the current folder, and no trace of it there."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "program.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Program()).save(str(path))  # type: ignore[no-untyped-call]
    Path("trace").unlink(missing_ok=True)
    return path


def second_table(path: Path, old: bytes, new: bytes) -> None:
    """Give a zip another table of contents, with one name changed, behind its own.

    PyTorch's reader begins at the offset that the end of the file states, Python's zipfile as far
    before the end as the table is long.
    """
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer := io.BytesIO(), "w") as plain:
        for name in archive.namelist():
            plain.writestr(zipfile.ZipInfo(name), archive.read(name))
    whole = buffer.getvalue()
    end = whole.rfind(b"PK\5\6")
    size, start = struct.unpack("<LL", whole[end + 12 : end + 20])
    table = whole[start : start + size]
    assert table.count(old) == 1 and len(old) == len(new)
    path.write_bytes(whole[:end] + table.replace(old, new) + whole[end:])


def test_a_program_is_refused_and_not_run(program: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a program \(TorchScript\)"):
        read_weights(program)
    assert not Path("trace").exists()


def test_a_program_that_zipfile_does_not_see_is_refused_and_not_run(program: Path) -> None:
    second_table(program, b"program/constants.pkl", b"program/constantz.pkl")
    with zipfile.ZipFile(program) as archive:
        assert "program/constants.pkl" not in archive.namelist()
    with pytest.raises(WeightsError, match=r"is a program \(TorchScript\)"):
        read_weights(program)
    assert not Path("trace").exists()


def test_two_tables_of_contents_and_compressed_records_are_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WEIGHTS)
    assert read_weights(path)
    with zipfile.ZipFile(path) as archive:
        first = next(name for name in archive.namelist() if name.endswith("/data/0"))
        entries = {name: archive.read(name) for name in archive.namelist()}
    second_table(path, first.encode(), first[:-1].encode() + b"x")
    with pytest.raises(WeightsError, match="has two tables of contents that differ"):
        read_weights(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(WeightsError, match="is compressed inside"):
        read_weights(path)


def test_numbers_in_another_byte_order_are_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WEIGHTS)
    other = b"big" if sys.byteorder == "little" else b"little"
    with_record(path, "byteorder", other)
    with pytest.raises(WeightsError, match="byte order"):
        read_weights(path)
