"""The command `handpose evaluate`: arguments, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Context, Option

from handpose.errors import HandPoseError
from stages.paths import IMPORTED

TAKES = {
    "shifted": ("out", "device"),
    "benchmark": ("predictions", "submission", "model", "out", "device"),
    "predictions": ("split", "partial", "out"),
    "export": ("split", "model", "native", "device"),
}
"""What the command does, the first whose option is given, and the options that it reads then."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    ctx: Context,
    predictions: Annotated[
        Path | None, Option(metavar="FILE", help="Score this file, .parquet or .jsonl.")
    ] = None,
    export_to: Annotated[
        Path | None,
        Option("--export", metavar="FILE", help="Write a model's predictions to this file."),
    ] = None,
    split: Annotated[str, Option(help="Evaluated split.")] = "test",
    partial: Annotated[
        bool, Option("--partial", help="Allow images without a prediction.")
    ] = False,
    out: Annotated[Path, Option(metavar="FOLDER", help="Folder of the JSON file.")] = IMPORTED,
    model: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="Model to export or to score: a folder, or a checkpoint of HaMeR, WiLoR or"
            " AnyHand. Default: the full model.",
        ),
    ] = None,
    native: Annotated[
        bool, Option("--native", help="Export a checkpoint's own joints, without meshes.")
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Option(help="Where the model runs.")
    ] = "auto",
    benchmark: Annotated[
        str,
        Option(
            metavar="NAME",
            help="Score as freihand, ho3d_v2, ... does (docs/benchmarks.md).",
        ),
    ] = "",
    submission: Annotated[
        Path | None,
        Option(metavar="FILE", help="Also write --benchmark's submission file."),
    ] = None,
    shifted: Annotated[
        float | None,
        Option(
            metavar="SEVERITY",
            help="Score both models under other cameras, light... (docs/shifted.md).",
        ),
    ] = None,
) -> None:
    """Score anyone's predictions beside this clone's models.

    Every protocol, paired over the same images, intervals over people. docs/imported.md describes
    the file. Give --predictions or --export, which writes such a file. With --benchmark, the model
    or a submission file is scored as FreiHAND, HO-3D or DexYCB score it. With --shifted, both
    models are scored on synthetic images unlike their training's.
    """
    from stages.params import load_params

    _refuse_others(ctx)
    if shifted is not None:
        from handpose.training.device import prepare_device
        from pipeline.shifted.evaluate_shifted import evaluate_shifted

        evaluate_shifted(
            shifted,
            load_params(ctx.obj),
            out=out,
            device=prepare_device(device, 0),
            write=lambda line: print(line, flush=True),
        )
        return
    if benchmark:
        from handpose.training.device import prepare_device
        from pipeline.benchmark.evaluate_benchmark import BenchmarkRequest, evaluate_benchmark
        from stages.paths import STAGE_2_MODELS

        evaluate_benchmark(
            BenchmarkRequest(
                benchmark,
                predictions,
                submission,
                model or next(iter(STAGE_2_MODELS.values())),
                out,
                prepare_device(device, 0),
            ),
            load_params(ctx.obj),
            lambda line: print(line, flush=True),
        )
        return

    def write(line: str) -> None:
        print(line, flush=True)

    if predictions:
        from pipeline.imported.evaluate_file import evaluate_file

        evaluate_file(
            predictions, split, load_params(ctx.obj), partial=partial, out=out, write=write
        )
    elif export_to:
        from handpose.training.device import prepare_device
        from pipeline.imported.export import export
        from pipeline.imported.published_export import export_published, is_checkpoint
        from stages.paths import STAGE_2_MODELS

        chosen = model or next(iter(STAGE_2_MODELS.values()))
        params, on = load_params(ctx.obj), prepare_device(device, 0)
        if is_checkpoint(chosen):
            count = export_published(
                export_to, split, chosen, params, on, native=native, write=write
            )
        elif native:
            raise HandPoseError(
                f"--native: {chosen} is a model of this repository; expected --model PATH of a "
                "checkpoint of HaMeR, WiLoR or AnyHand"
            )
        else:
            count = export(export_to, split, chosen, params, on)
        write(f"wrote {count:,} predictions of {chosen} into {export_to}")


def _refuse_others(ctx: Context) -> None:
    """Refuse options that would not be read.

    Raises:
        HandPoseError: it names them; or nothing is asked for.
    """
    given = []
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given.append(name.replace("export_to", "export"))
    asked = next((name for name in TAKES if name in given), None)
    if asked is None:
        raise HandPoseError(
            "expected --predictions FILE, to score it, --export FILE, to write one, --benchmark "
            "NAME or --shifted SEVERITY; docs/imported.md"
        )
    if others := [name for name in given if name not in (asked, *TAKES[asked])]:
        taken = ", --".join(TAKES[asked])
        raise HandPoseError(f"--{asked} does not read --{', --'.join(others)}; it takes --{taken}")
