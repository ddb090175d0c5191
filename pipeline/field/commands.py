"""The command `handpose field`: arguments, and what it prints."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from typer import Context, Option


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("field")(field)


def field(
    ctx: Context,
    split: Annotated[str, Option(help="Evaluated split.")] = "test",
    rounds: Annotated[int, Option(min=0, help="Timed calls of each model; 0: none.")] = 15,
    threads: Annotated[int, Option(min=0, help="CPU threads while timing; 0: one a core.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option(help="Device for timing.")] = "auto",
) -> None:
    """Write the table of the paper's and the field's models.

    What ran here, what was imported, what is missing and how to get it; latency of what is here.
    """
    from handpose.training.device import prepare_device
    from pipeline.field.field_table import write_field
    from stages.params import load_params

    write_field(
        load_params(ctx.obj),
        split=split,
        device=prepare_device(device, threads),
        rounds=rounds,
        write=lambda line: print(line, flush=True),
    )
