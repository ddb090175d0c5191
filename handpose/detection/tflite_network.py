"""A network in a .tflite file, run by ai-edge-litert: the only module that imports it.

The library is an optional extra, and the files come from an npm package (docs/photos.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError

Network: TypeAlias = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]
"""A picture (1, side, side, 3), RGB in 0..1 -> the outputs in the order of their names."""

MARK = b"TFL3"
MARK_AT = 4
"""Where a .tflite file has this mark."""

PACKAGE = "@mediapipe/hands 0.4.1675469240"


class TfliteError(HandPoseError):
    """A network's file or the library that runs it is missing, or another one."""


def open_network(
    path: Path,
    option: str,
    name: str,
    inputs: tuple[int, ...],
    outputs: tuple[tuple[int, ...], ...],
) -> Network:
    """The network in this file, on one thread.

    Args:
        path: a .tflite file, or one that holds several; the first is taken.
        option: of the command line that gave the path, for messages.
        name: of the file in the npm package, for messages.
        inputs: shape of the one input.
        outputs: shapes of the outputs in the order of their names.

    Raises:
        TfliteError: the file is missing, no such network, or another one; or ai-edge-litert is
            missing.
    """
    expected = f"expected {name} of the npm package {PACKAGE} (docs/photos.md: how to get it)"
    content = _content(path, f"{option} {path}", expected)
    interpreter = _interpreter(content, f"{option} {path}", expected)
    takes = interpreter.get_input_details()
    gives = sorted(interpreter.get_output_details(), key=lambda output: str(output["name"]))
    found = [tuple(int(n) for n in one["shape"]) for one in [*takes, *gives]]
    if found != [inputs, *outputs]:
        raise TfliteError(
            f"{option} {path}: is another network: its input and outputs have the shapes "
            f"{found}, not {[inputs, *outputs]}; {expected}"
        )

    def run(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        interpreter.set_tensor(takes[0]["index"], picture)
        interpreter.invoke()
        return tuple(interpreter.get_tensor(output["index"]) for output in gives)

    return run


def _content(path: Path, where: str, expected: str) -> bytes:
    """The file from where the network begins."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TfliteError(f"{where}: {error.strerror}; {expected}") from None
    start = content.find(MARK) - MARK_AT
    if start < 0:
        raise TfliteError(
            f"{where}: holds no .tflite network ({len(content):,} bytes without the mark "
            f"{MARK.decode()}); {expected}"
        )
    return content[start:]


def _interpreter(content: bytes, where: str, expected: str) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise TfliteError(
            f"{where}: is run by ai-edge-litert, which is not installed ({error}); "
            "`pip install -c constraints.txt -e '.[palms]'` (docs/photos.md)"
        ) from None
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise TfliteError(
            f"{where}: the network cannot be loaded ({error}), perhaps since a part of the file is "
            f"missing; {expected}"
        ) from None
    return interpreter
