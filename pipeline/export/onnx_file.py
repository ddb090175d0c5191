"""ONNX: written by torch's exporter, made smaller by ONNX Runtime's tools, run by ONNX Runtime.

torch has two exporters. This is the one that traces, in seconds; the newer one (dynamo) had not
captured the three passes of the released network after two minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from pipeline.export.hand_graph import HandGraph
from pipeline.export.interface import BATCH, KEY
from pipeline.export.parity import Arrays, Examples, Run

OPSET = 17
"""The oldest with GridSample and LayerNormalization, for the sake of older runtimes."""

NETS = (
    "/backbone/",
    "/project",
    "/transformer/",
    "/volume_head/",
    "/gesture_tokens/",
    "/heads/",
    "/view_heads/hidden/",
    "/mano_head/pose",
    "/mano_head/shape",
)
"""In the names of nodes: modules that lower precision is good enough for. What reads places off the
heatmaps, turns, and poses the hand stays in single precision."""

TRACED = 2
"""Pictures that the exporter sees; parity shows that any other number runs too."""


def write_onnx(
    graph: HandGraph,
    path: Path,
    description: dict[str, Any],
    calibration: Examples,
    precision: Literal["fp32", "fp16", "int8"],
) -> None:
    """Write the model, with its description as JSON in the metadata's `KEY`.

    Args:
        graph: the model.
        path: of the file.
        description: see `interface.py`.
        calibration: pictures from which the ranges of 8-bit activations are found.
        precision: of the layers of the networks; what reads places and poses off them is single.
    """
    model = _exported(graph, calibration)
    if precision == "fp16":
        model = _half(model)
    elif precision == "int8":
        model = _quantised(model, calibration)
    _declare_shapes(model, description)
    onnx.helper.set_model_props(model, {KEY: json.dumps(description)})
    onnx.save(model, str(path))


def run_onnx(path: Path, threads: int = 1) -> Run:
    """The file, loaded, on the CPU."""
    session = _session(path.read_bytes(), threads)
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run


def _session(model: bytes, threads: int = 1) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _exported(graph: HandGraph, examples: Examples) -> Any:
    """The model as ONNX, in single precision."""
    inputs = tuple(torch.from_numpy(examples.inputs[n][:TRACED]) for n in graph.inputs)
    with tempfile.TemporaryDirectory() as folder, _silent(), torch.no_grad():
        path = Path(folder) / "traced.onnx"
        torch.onnx.export(
            graph,
            inputs,
            path,
            input_names=graph.inputs,
            output_names=graph.names,
            dynamic_axes={name: {0: BATCH} for name in (*graph.inputs, *graph.names)},
            opset_version=OPSET,
            dynamo=False,
        )
        model = _simplified(path)
        if graph.side_input:  # it decodes twice, mostly the same
            _merge_constants(model)
            onnx.save(model, str(path))
            model = _simplified(path)
        return model


def _simplified(path: Path) -> Any:
    """The model of this file without copies and constant subgraphs, in ONNX's own operators."""
    simple = path.with_name("simple.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(simple)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(simple))
    own = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(own)
    return model


def _merge_constants(model: Any) -> None:
    """Keep one of equal constants: then equal nodes are seen to be equal, and are merged."""
    first: dict[Any, str] = {}
    instead = {}
    for array in model.graph.initializer:
        value = onnx.numpy_helper.to_array(array)
        instead[array.name] = first.setdefault(
            (array.data_type, value.shape, value.tobytes()), array.name
        )
    kept = [array for array in model.graph.initializer if instead[array.name] == array.name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = instead.get(name, name)


def _declare_shapes(model: Any, description: dict[str, Any]) -> None:
    """Inputs and outputs with the shapes that the description has; some are not inferred."""
    shapes = {port["name"]: port["shape"] for k in ("inputs", "outputs") for port in description[k]}
    for port in (*model.graph.input, *model.graph.output):
        dims = port.type.tensor_type.shape.dim
        del dims[:]
        for size in shapes[port.name]:
            dims.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})


def _half(model: Any) -> Any:
    """The networks in half precision; what reads places and poses off them stays in single."""
    kept = [node.name for node in model.graph.node if not _is_of_nets(node)]
    with _silent():
        return convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)


def _quantised(model: Any, calibration: Examples) -> Any:
    """Layers with 8-bit weights, one scale a channel, and 8-bit inputs and outputs."""
    weights = {array.name for array in model.graph.initializer}
    with tempfile.TemporaryDirectory() as folder, _silent():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, str(before))
        quantize_static(
            str(before),
            str(after),
            _OneByOne(calibration.inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            nodes_to_quantize=[n.name for n in model.graph.node if _is_layer(n, weights)],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        return onnx.load(str(after))


def _is_of_nets(node: Any) -> bool:
    return any(part in node.name for part in NETS)


def _is_layer(node: Any, weights: set[str]) -> bool:
    """Whether it multiplies by trained weights; attention multiplies tokens by tokens."""
    return _is_of_nets(node) and len(node.input) > 1 and node.input[1] in weights


class _OneByOne(CalibrationDataReader):  # type: ignore[misc]
    """Pictures as the calibration asks for them, until None."""

    def __init__(self, inputs: Arrays) -> None:
        count = len(inputs["image"])
        self._left = iter([{k: a[i : i + 1] for k, a in inputs.items()} for i in range(count)])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._left, None)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the exporter's notes, which are not for users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
