"""Latency of the released model by runtime: torch, TorchScript and ONNX Runtime, same crops.

    python -m bench.export [--threads 1] [--rounds 15]

Included: everything from a uint8 crop in memory to joints, side, gestures and confidence, both
passes and the mirror image. Not included: finding the hand, and cutting the crop from the photo.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch

from bench.measure import cpu, medians, table, wall
from handpose.estimator import released_folder
from pipeline.export.model_export import ExportRequest, Precision, load_graph
from pipeline.export.onnx_file import run_onnx, write_onnx
from pipeline.export.parity import Arrays, Examples, Run, outputs_of
from pipeline.export.torchscript_file import run_torchscript, write_torchscript

BATCHES = (1, 16)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
TORCH = "torch"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of each runtime")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    graph, about = load_graph(ExportRequest(Path("hand.onnx"), released_folder()))
    examples = Examples.of(graph)

    ways: dict[str, Run] = {TORCH: partial(outputs_of, graph)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hand.pt"
        write_torchscript(graph, path, about, examples)
        ways["TorchScript"] = run_torchscript(path, graph)
        for precision in PRECISIONS:
            path = Path(folder) / f"{precision}.onnx"
            write_onnx(graph, path, about, examples.calibration, precision)
            ways[f"ONNX Runtime, {precision}"] = run_onnx(path, threads=args.threads)
        clock, name = (cpu, "CPU") if args.threads == 1 else (wall, "wall")
        print(f"{name} time a picture, {args.threads} thread(s), median of {args.rounds} rounds")
        for batch in BATCHES:
            inputs = examples.rows(slice(batch)).inputs
            timed = {name: partial(_once, run, inputs) for name, run in ways.items()}
            for way in timed.values():
                way()  # warm
            print(f"\nbatch {batch}\n{table(medians(timed, args.rounds, clock), [TORCH], 'ms')}")


def _once(run: Run, inputs: Arrays) -> int:
    run(inputs)
    return len(inputs["image"])


if __name__ == "__main__":
    main()
