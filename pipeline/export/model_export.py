"""`handpose export`: write a trained model as one file, and measure that it gives the same."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from handpose.confidence.confidence_io import load_confidence
from handpose.errors import HandPoseError
from handpose.files import atomic_file, write_durably
from handpose.hand.mano import FILE, Mano
from handpose.nets.pose_net import PoseNet
from handpose.predict import Predictor
from handpose.synthetic.stand_in import build
from handpose.training.trained_nets import (
    load_joint_definition,
    load_pose_net,
    read_pose_record,
)
from pipeline.export.hand_graph import HandGraph, Points
from pipeline.export.interface import description
from pipeline.export.parity import Examples, Parity, Run, measure
from pipeline.licence_guard import is_stand_in

Format = Literal["onnx", "torchscript"]
Precision = Literal["fp32", "fp16", "int8"]

PACKAGES = ("onnx", "onnxruntime")
"""Those of the extra `export`."""


class ExportError(HandPoseError):
    """What cannot be exported, or was not the same afterwards."""


@dataclass(frozen=True)
class ExportRequest:
    """What to write, and where."""

    out: Path
    model: Path
    format: Format = "onnx"
    precision: Precision = "fp32"
    output: Literal["joints", "mesh"] = "joints"
    mano: Path | None = None  # folder of the hand that the model was trained with

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            ExportError: it names what to do instead.
        """
        if self.out.is_dir():
            raise ExportError(f"{self.out}: is a folder; name a file in it, such as hand.onnx")
        if self.mano is not None and not (self.mano / FILE).is_file():
            raise ExportError(f"{self.mano / FILE}: not found; --mano is the folder that holds it")
        if self.format != "onnx" and self.precision != "fp32":
            raise ExportError(
                f"--precision {self.precision} is for --format onnx; {self.format} files are fp32"
            )
        if self.format == "onnx" and (missing := [p for p in PACKAGES if not _is_here(p)]):
            raise ExportError(
                f"--format onnx needs {', '.join(missing)}, not installed here: run `pip install "
                "-c constraints.txt -e '.[export]'` in the clone, or take --format torchscript"
            )

    @property
    def sidecar(self) -> Path:
        """Where the description goes."""
        return self.out.with_name(f"{self.out.name}.json")


def export(request: ExportRequest, write: Callable[[str], None]) -> Parity:
    """Write the file and its description, unless it differs from the network.

    Args:
        request: what to write.
        write: gets a line for people.

    Raises:
        ExportError: the model or its hand may not or cannot be exported, or a file in single
            precision differs from the network.
        CheckpointError: there is no Stage 2 model, or it is damaged.
        JointError: the joint regressor that it was trained with is not in `request.mano`.
    """
    graph, about = load_graph(request)
    examples = Examples.of(graph)
    with atomic_file(request.out) as partial:
        run = _write(request, graph, partial, about, examples)
        parity = measure(graph, run, examples.measured)
        for line in parity.lines():
            write(f"export: {line}")
        if request.precision == "fp32" and parity.wrong:
            raise ExportError(
                f"{request.out}: not written, since it would differ from the network: "
                f"{'; '.join(parity.wrong)}. Please report this with the model's model.json"
            )
    about["parity"] = parity.record()
    write_durably(request.sidecar, (json.dumps(about, indent=1) + "\n").encode())
    size = request.out.stat().st_size / 1e6
    write(f"wrote {request.out} ({size:.1f} MB), described by {request.sidecar}")
    return parity


def load_graph(request: ExportRequest) -> tuple[HandGraph, dict[str, Any]]:
    """The model as a graph, and its description; nothing of MANO is in either.

    Raises:
        ExportError: see `export`.
    """
    folder = request.model
    record = read_pose_record(folder)
    licensed = request.mano is not None and not is_stand_in(request.mano / FILE)
    if licensed and request.output == "mesh":
        raise ExportError(
            f"{request.mano}: is not the stand-in hand; MANO may not be passed on, so its mesh is "
            "in no exported file. Leave --output mesh out: the file then gives MANO's parameters, "
            "from which your own copy of MANO makes the mesh"
        )
    if record.joints["file"] and not licensed:
        raise ExportError(
            f"{folder}: was trained on the joints of {record.joints['file']}, which are MANO's: "
            "name the folder of MANO and of that file by --mano"
        )
    if record.pose_net.get("network", "gesture_guided") != "gesture_guided":
        raise ExportError(
            f"{folder}: pose_net.network is {record.pose_net['network']}, a baseline; only the "
            "project's own network, gesture_guided, is exported"
        )
    joints = load_joint_definition(folder, request.mano or "")
    stand_in = None if licensed else request.mano
    hand = Mano(build(), joints) if stand_in is None else Mano.load(stand_in, joints)
    net = load_pose_net(folder, hand)
    assert isinstance(net, PoseNet), "the record names it"
    points: Points = "none" if licensed else request.output
    head = None if licensed else load_confidence(folder, record)
    graph = HandGraph(Predictor(net, record, head), points)
    name = "none: the model's hand is MANO, which may not be passed on" if licensed else "stand-in"
    return graph, description(graph, record, hand=name, precision=request.precision)


def _write(
    request: ExportRequest, graph: HandGraph, path: Path, about: dict[str, Any], examples: Examples
) -> Run:
    """Write the file; returns how to run it."""
    if request.format == "torchscript":
        from pipeline.export.torchscript_file import run_torchscript, write_torchscript

        write_torchscript(graph, path, about, examples)
        return run_torchscript(path, graph)
    from pipeline.export.onnx_file import run_onnx, write_onnx

    write_onnx(graph, path, about, examples.calibration, request.precision)
    return run_onnx(path)


def _is_here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
