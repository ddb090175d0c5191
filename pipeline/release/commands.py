"""The commands `handpose release` and `handpose confidence`: arguments, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Context, Option

from stages.paths import STAGE_2_MODELS


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order of the help."""
    app.command("release")(release_)
    app.command("confidence")(confidence)


def release_(
    ctx: Context,
    allow_dirty: Annotated[
        bool, Option("--allow-dirty", help="Release with uncommitted changes; the card says so.")
    ] = False,
) -> None:
    """Train the model of params.yaml (profile wide), measure it on shifted sets, pack it.

    HandEstimator.released() loads these weights. If interrupted, run the same command again to
    resume.
    """
    from pipeline.release.release import release, require_committed, require_own, train
    from pipeline.release.training_start import TrainingStart
    from stages.params import load_params

    root, params = Path.cwd(), load_params(ctx.obj)
    require_own(root, params)
    start = TrainingStart.of(require_committed(root, allow_dirty=allow_dirty))
    train(root)  # for hours, in which its user may commit
    out = release(start, params, lambda line: print(line, flush=True))
    print(f"wrote {out.relative_to(Path.cwd())}; its card.md says how good it is; commit all of it")


def confidence(
    ctx: Context,
    model: Annotated[
        Path, Option(metavar="FOLDER", help="A Stage 2 model; its head is written into it.")
    ] = STAGE_2_MODELS["pretrained"],
    device: Annotated[Literal["auto", "cpu", "cuda"], Option()] = "auto",
) -> None:
    """Train a confidence head for a trained model.

    From the photos of data.root: 90 % regions of joints, and whether a box holds a hand.
    """
    from handpose.training.device import prepare_device
    from pipeline.confidence.confidence import train_confidence
    from stages.params import load_params

    params = load_params(ctx.obj)
    record = train_confidence(
        model,
        mano=params.hand.mano,
        photos=Path(params.data.root),
        device=str(prepare_device(device, 0)),
    )
    print(f"wrote {model / 'confidence.json'}: {record}")
