"""The command `handpose export`: arguments, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_)


def export_(
    out: Annotated[
        Path, Argument(metavar="FILE", help="Such as hand.onnx or hand.pt; a folder for web.")
    ],
    format_: Annotated[
        Literal["onnx", "torchscript", "web"],
        Option("--format", help="What will run it; web: a page, in any browser."),
    ],
    model: Annotated[
        Path | None,
        Option(
            metavar="FOLDER", help="Model folder. Default: the released one, else this clone's."
        ),
    ] = None,
    output: Annotated[
        Literal["joints", "mesh"], Option(help="joints, or the stand-in's mesh as well.")
    ] = "joints",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], Option(help="Precision of the layers; onnx and web.")
    ] = "fp32",
    runtime: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Archive from `npm pack onnxruntime-web`, or its unpacked folder; required by "
            "--format web.",
        ),
    ] = None,
    mano: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Folder with MANO_RIGHT.npz. Default: the stand-in hand."),
    ] = None,
) -> None:
    """Write a trained model as one file for other runtimes, or as a page for browsers.

    Checked against torch on pictures. FILE.json describes what goes in and out.
    """
    from pipeline.export.model_export import ExportRequest, export
    from pipeline.predict.request import default_model

    def write(line: str) -> None:
        print(line, flush=True)

    request = ExportRequest(
        out=out,
        model=model or default_model(write),
        format=format_,
        precision=precision,
        output=output,
        mano=mano,
        runtime=runtime,
    )
    export(request, write)
