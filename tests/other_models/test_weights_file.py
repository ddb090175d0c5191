"""Nothing in a checkpoint runs, and what it holds besides tensors is harmless or refused."""

from __future__ import annotations

import io
import os
import pickle
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
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in entries.items():
            new.writestr(name, content if name.endswith("data.pkl") else data)
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


def test_a_program_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "program.pt", WEIGHTS)
    with zipfile.ZipFile(path, "a") as archive:  # by which torch.load knows a program
        archive.writestr("program/constants.pkl", b"")
    with pytest.raises(WeightsError, match=r"is a program \(TorchScript\)"):
        read_weights(path)
