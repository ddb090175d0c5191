"""The command `handpose fit`: arguments, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fit")(fit)


def fit(
    source: Annotated[
        Path,
        Argument(metavar="SRC", help=".npy, .npz or .json: (N,21,3), (N,778,3) or (N,21,2)."),
    ],
    out: Annotated[Path, Option(metavar="FOLDER")] = Path("results/fit"),
    order: Annotated[
        Literal["handpose", "mano", "interhand", "mediapipe", "openpose", "freihand"],
        Option(help="Whose order the 21 joints are in."),
    ] = "handpose",
    unit: Annotated[Literal["m", "mm"], Option(help="Of points in 3D.")] = "m",
    side: Annotated[
        Literal["left", "right"] | None,
        Option(help="Side of every hand. Default: the file's is_left, else right."),
    ] = None,
    intrinsics: Annotated[
        str | None,
        Option(metavar="fx,fy,cx,cy", help="Camera of 2D joints, px. Default: the file's K."),
    ] = None,
    track: Annotated[bool, Option("--track", help="One person: one shape for all.")] = False,
    mano: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Folder with MANO_RIGHT.npz. Default: the stand-in hand."),
    ] = None,
    noise: Annotated[
        float,
        Option(min=0.05, max=100, metavar="MM", help="Standard deviation of a coordinate, mm."),
    ] = 0.5,
    npz: Annotated[bool, Option("--npz", help="Write fits.npz instead of fits.json.")] = False,
) -> None:
    """Fit the hand model to joints or meshes.

    Writes parameters, residuals, and what the points do not determine.
    """
    from pipeline.fit_hands.fit_hands import FitRequest, fit_hands
    from pipeline.fit_hands.points_file import HandPoints
    from pipeline.predict.hand_box import parse_numbers
    from pipeline.predict.request import PredictRequest

    given = None
    if intrinsics is not None:  # an empty one is refused
        given = parse_numbers(intrinsics, "--intrinsics", "fx,fy,cx,cy")
    K = PredictRequest(out=out, intrinsics=given).K
    fit_hands(
        source,
        HandPoints.read(source, unit=unit, side=side, K=K),
        FitRequest(out, order, track, noise, "npz" if npz else "json", mano),
        lambda line: print(line, flush=True),
    )
