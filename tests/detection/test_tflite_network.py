"""Files that are not the networks' are refused with what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.realism.judge import Judge
from handpose.detection.tflite_network import Network, TfliteError, open_network

SHAPE = (1, 4, 4, 3)


class Interpreter:
    """As ai-edge-litert's: one input and two outputs, listed in another order than by name."""

    def __init__(self, *, model_content: bytes, num_threads: int) -> None:
        assert num_threads == 1
        if not model_content.endswith(b"end"):
            raise ValueError("The model is not a valid Flatbuffer buffer")
        assert model_content[4:8] == b"TFL3"

    def allocate_tensors(self) -> None:
        pass

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"name": "input_1", "index": 0, "shape": np.array(SHAPE)}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [
            {"name": "Identity_1", "index": 1, "shape": np.array([1, 1])},
            {"name": "Identity", "index": 2, "shape": np.array([1, 2])},
        ]

    def set_tensor(self, _: int, picture: Any) -> None:
        self.mean = picture.mean()

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> Any:
        return np.full((1, index), self.mean)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert", ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)


def opened(path: Path, content: bytes | None = b"0000TFL3 and so on, to the end") -> Network:
    if content is not None:
        path.write_bytes(content)
    return open_network(path, "--palm", "some.tflite", SHAPE, ((1, 2), (1, 1)))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("before", [b"", b"Left\nRight\n"])
def test_outputs_come_in_the_order_of_their_names(tmp_path: Path, before: bytes) -> None:
    network = opened(tmp_path / "net", before + b"0000TFL3 and so on, to the end")
    shapes = [output.shape for output in network(np.ones(SHAPE, np.float32))]
    assert shapes == [(1, 2), (1, 1)]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"--palm .*net: No such file .*expected some.tflite of the npm package @mediapipe"),
        (b"", r"holds no .tflite network \(0 bytes without the mark TFL3\); expected some.tflite"),
        (b"<html>", "holds no .tflite network .*docs/photos.md: how to get it"),
        (b"0000TFL3 cut", "cannot be loaded .*a part of the file is missing; expected some.tflite"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    with pytest.raises(TfliteError, match=message):
        opened(tmp_path / "net", content)


@pytest.mark.usefixtures("library")
def test_exchanged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(b"0000TFL3end")
    message = r"--landmarks .*net: is another network: .*\(1, 4, 4, 3\), .*hand_landmark_full"
    with pytest.raises(TfliteError, match=message):
        Judge.load(tmp_path / "net", tmp_path / "net")


def test_the_library_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(
        TfliteError, match=r"run by ai-edge-litert, which is not installed .*pip inst"
    ):
        opened(tmp_path / "net")
