"""TorchScript: written by tracing, run by libtorch or torch.jit alone."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.export.hand_graph import HandGraph
from pipeline.export.interface import KEY
from pipeline.export.parity import Arrays, Examples, Run

TRACED = 2
"""Pictures that the trace sees; parity shows that any other number runs too."""


def write_torchscript(
    graph: HandGraph, path: Path, description: dict[str, Any], examples: Examples
) -> None:
    """Write the model, with its description as extra file `KEY`.

    Raises:
        OSError: the file cannot be written.
    """
    inputs = tuple(torch.from_numpy(examples.inputs[n][:TRACED]) for n in graph.inputs)
    with torch.no_grad(), warnings.catch_warnings():
        # of sizes that are the same for every batch, and that torch.export is to replace it
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, inputs, check_trace=False)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)
        with tempfile.TemporaryDirectory() as folder:
            # torch's own error for a place that it cannot write to names neither it nor a reason;
            # and the records inside are named after the file, so a buffer would rename them
            saved = Path(folder) / path.name
            torch.jit.save(frozen, str(saved), _extra_files={KEY: json.dumps(description)})
            content = saved.read_bytes()
    path.write_bytes(_without_stack_traces(content))


def _without_stack_traces(content: bytes) -> bytes:
    """A file without what it knows of this machine: paths of the source files."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(made, "w") as after:
        for record in before.infolist():
            if not record.filename.endswith(".debug_pkl"):
                after.writestr(record, before.read(record))
    return made.getvalue()


def run_torchscript(path: Path, graph: HandGraph) -> Run:
    """The file, loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.load(str(path))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
        found = model(*(torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in graph.inputs))
        return {name: tensor.numpy() for name, tensor in zip(graph.names, found, strict=True)}

    return run
