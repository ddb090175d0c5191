"""The command `handpose evaluate`: arguments, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Context, Option

from handpose.errors import HandPoseError
from stages.paths import IMPORTED


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    ctx: Context,
    predictions: Annotated[
        Path | None, Option(metavar="FILE", help="To score: .parquet or .jsonl.")
    ] = None,
    export_to: Annotated[
        Path | None, Option("--export", metavar="FILE", help="To write: this clone's predictions.")
    ] = None,
    split: Annotated[str, Option(help="Of the evaluation.")] = "test",
    partial: Annotated[bool, Option("--partial", help="Images may lack a prediction.")] = False,
    out: Annotated[Path, Option(metavar="FOLDER")] = IMPORTED,
    model: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="To export: a folder, or a checkpoint of HaMeR, WiLoR or AnyHand."
            " Default: the full model.",
        ),
    ] = None,
    native: Annotated[
        bool, Option("--native", help="Of a checkpoint: its own joints, without meshes.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option(help="Of the model.")] = "auto",
    benchmark: Annotated[
        str,
        Option(
            metavar="NAME",
            help="freihand, ho3d_v2, ...: score as that benchmark does (docs/benchmarks.md).",
        ),
    ] = "",
    submission: Annotated[
        Path | None,
        Option(metavar="FILE", help="To write, of --benchmark: as its evaluator reads it."),
    ] = None,
    shifted: Annotated[
        float | None,
        Option(metavar="SEVERITY", help="Both models on other cameras, light...; docs/shifted.md."),
    ] = None,
) -> None:
    """Score anyone's predictions beside this clone's models.

    Every protocol, paired over the same images, intervals over people. docs/imported.md describes
    the file. Give --predictions or --export, which writes such a file. With --benchmark, the model
    or a submission file is scored as FreiHAND, HO-3D or DexYCB score it. With --shifted, both
    models are scored on synthetic images unlike their training's.
    """
    from stages.params import load_params

    if shifted is not None:
        if predictions or export_to or partial or model or native or benchmark or submission:
            raise HandPoseError("with --shifted only --out and --device go")
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
        if export_to or partial:
            raise HandPoseError("--export and --partial do not go with --benchmark")
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
    if submission:
        raise HandPoseError("--submission goes with --benchmark NAME")
    if (predictions is None) == (export_to is None):
        raise HandPoseError(
            "give either --predictions FILE, to score, or --export FILE, to write; docs/imported.md"
        )

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
            raise HandPoseError("--native is of a checkpoint of HaMeR, WiLoR or AnyHand: --model")
        else:
            count = export(export_to, split, chosen, params, on)
        write(f"wrote {count:,} predictions of {chosen} into {export_to}")
