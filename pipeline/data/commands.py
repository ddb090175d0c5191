"""The commands `handpose data ...`: arguments, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Context, Option


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order of the help."""
    app.command("verify")(verify)
    app.command("inspect")(inspect_)
    app.command("rejects")(rejects_)
    app.command("faults")(faults)
    app.command("exclude")(exclude)


def verify(
    ctx: Context,
    root: Annotated[
        Path | None, Argument(metavar="ROOT", help="Default: data.root of params.yaml.")
    ] = None,
    sample: Annotated[
        int, Option(min=0, metavar="N", help="Photos opened of every camera folder.")
    ] = 1,
    every: Annotated[bool, Option("--all", help="Open every photo.")] = False,
) -> int:
    """Check a download: what is missing, damaged, or not of one version.

    One line a finding: ok, note, or FAIL with the remedy. Exit code 2 on a FAIL.
    """
    from pipeline.data.verify import check
    from stages.params import load_params

    each = None if every else sample
    return check(
        load_params(ctx.obj), root, each=each, write_line=lambda line: print(line, flush=True)
    )


def inspect_(
    ctx: Context,
    split: str = "train",
    batch: Annotated[int, Option(min=1)] = 64,
    out: Path = Path("work/inspect.png"),
    stage: Annotated[
        Literal["pretrain", "pose"], Option(help="Stage whose augmentation is shown.")
    ] = "pose",
    augmented: Annotated[bool, Option(help="Show training images augmented.")] = True,
) -> None:
    """Draw what the loader feeds the network."""
    from pipeline.data.inspect import inspect
    from stages.params import load_params

    lines = inspect(
        load_params(ctx.obj), stage=stage, split=split, batch=batch, augmented=augmented, out=out
    )
    print("\n".join(lines))


def rejects_(ctx: Context, out: Path = Path("work/rejects.png")) -> None:
    """Draw one of each kind of unused annotation."""
    from pipeline.data.rejects import rejects
    from stages.params import load_params

    print("\n".join(rejects(load_params(ctx.obj), out)))


def faults(
    ctx: Context,
    out: Annotated[Path, Option(metavar="FILE.html")] = Path("work/faults.html"),
    photos: Annotated[
        int, Option(min=0, metavar="N", help="Largest number of photos to open.")
    ] = 20_000,
    top: Annotated[int, Option(min=1, metavar="N", help="Pictures of each kind.")] = 24,
) -> None:
    """Rank annotations that may be wrong, with pictures."""
    from pipeline.faults.find_faults import find_faults
    from stages.params import load_params

    print("\n".join(find_faults(load_params(ctx.obj), out=out, photos=photos, top=top)))


def exclude(
    ctx: Context,
    choices: Annotated[
        list[str], Argument(metavar="KIND[:RANKS]...", help="Such as dark_photo second_hand:1-12.")
    ],
    all_splits: Annotated[
        bool, Option("--all-splits", help="Exclude validation and test people's too.")
    ] = False,
) -> None:
    """Leave out what data faults proposes, or its first ranks."""
    from pipeline.faults.accept import accept
    from pipeline.faults.find_faults import RANKING
    from stages.params import load_params

    exclusions = Path(load_params(ctx.obj).ingest.exclusions)
    print("\n".join(accept(RANKING, exclusions, choices, all_splits=all_splits)))
