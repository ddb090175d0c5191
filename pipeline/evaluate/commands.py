"""The commands `handpose evaluate ...`: arguments, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Context, Option

from handpose.errors import HandPoseError
from stages.paths import IMPORTED, STAGE_2_MODELS

FULL_MODEL = next(iter(STAGE_2_MODELS.values()))

Split = Annotated[str, Option(help="Evaluated split.")]
Out = Annotated[Path, Option(metavar="FOLDER", help="Folder of the JSON file.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], Option(help="Where the model runs.")]


def add_to(evaluate: typer.Typer) -> None:
    """Add the commands to the group `evaluate`, in the order of its help."""
    for name, command in (
        ("file", file_),
        ("export", export_),
        ("benchmark", benchmark),
        ("shifted", shifted),
    ):
        evaluate.command(name)(command)


def file_(
    ctx: Context,
    path: Annotated[
        Path, Argument(metavar="FILE", help="Predictions of any model, .parquet or .jsonl.")
    ],
    split: Split = "test",
    partial: Annotated[
        bool, Option("--partial", help="Allow images without a prediction.")
    ] = False,
    out: Out = IMPORTED,
) -> None:
    """Score a file of predictions beside this clone's models.

    Every protocol, paired over the same images, intervals over people. docs/imported.md describes
    the file.
    """
    from pipeline.imported.evaluate_file import evaluate_file
    from stages.params import load_params

    evaluate_file(path, split, load_params(ctx.obj), partial=partial, out=out, write=_write)


def export_(
    ctx: Context,
    path: Annotated[Path, Argument(metavar="FILE", help="File to write, .parquet or .jsonl.")],
    split: Split = "test",
    model: Annotated[
        Path,
        Option(metavar="PATH", help="A folder, or a checkpoint of HaMeR, WiLoR or AnyHand."),
    ] = FULL_MODEL,
    native: Annotated[
        bool, Option("--native", help="A checkpoint's own joints, without meshes.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Write a model's predictions to a file that can be scored."""
    from handpose.training.device import prepare_device
    from pipeline.imported.export import export
    from pipeline.imported.published_export import export_published, is_checkpoint
    from stages.params import load_params

    params, on = load_params(ctx.obj), prepare_device(device, 0)
    if is_checkpoint(model):
        count = export_published(path, split, model, params, on, native=native, write=_write)
    elif native:
        raise HandPoseError(
            f"--native: {model} is a model of this repository; expected --model PATH of a "
            "checkpoint of HaMeR, WiLoR or AnyHand"
        )
    else:
        count = export(path, split, model, params, on)
    _write(f"wrote {count:,} predictions of {model} into {path}")


def benchmark(
    ctx: Context,
    name: Annotated[
        str, Argument(metavar="NAME", help="freihand, ho3d_v2, ... (docs/benchmarks.md).")
    ],
    predictions: Annotated[
        Path | None,
        Option(metavar="FILE", help="Score this submission file, and no model."),
    ] = None,
    submission: Annotated[
        Path | None, Option(metavar="FILE", help="Also write the submission file.")
    ] = None,
    model: Annotated[Path, Option(metavar="FOLDER", help="Model to score.")] = FULL_MODEL,
    out: Out = IMPORTED,
    device: Device = "auto",
) -> None:
    """Score a model or a submission file by a benchmark's rules.

    FreiHAND, HO-3D, DexYCB or HInt.
    """
    from handpose.training.device import prepare_device
    from pipeline.benchmark.evaluate_benchmark import BenchmarkRequest, evaluate_benchmark
    from stages.params import load_params

    request = BenchmarkRequest(name, predictions, submission, model, out, prepare_device(device, 0))
    evaluate_benchmark(request, load_params(ctx.obj), _write)


def shifted(
    ctx: Context,
    severity: Annotated[
        float, Argument(metavar="SEVERITY", help="Above 0, at most 1 (docs/shifted.md).")
    ],
    out: Out = IMPORTED,
    device: Device = "auto",
) -> None:
    """Score both models on a shifted test set.

    Other cameras, light, backdrops and people, by a severity up to 1. The images are synthetic,
    unlike those of the training, and are rendered once.
    """
    from handpose.training.device import prepare_device
    from pipeline.shifted.evaluate_shifted import evaluate_shifted
    from stages.params import load_params

    evaluate_shifted(
        severity, load_params(ctx.obj), out=out, device=prepare_device(device, 0), write=_write
    )


def _write(line: str) -> None:
    print(line, flush=True)
