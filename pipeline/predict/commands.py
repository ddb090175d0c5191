"""The command `handpose predict`: arguments, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict")(predict_)


def predict_(
    sources: Annotated[
        list[str],
        Argument(metavar="SRC...", help="Photos, a folder, a 'pattern*.jpg', a video, camera:0."),
    ],
    model: Annotated[
        Path | None,
        Option(
            metavar="FOLDER", help="Model folder. Default: the released one, else this clone's."
        ),
    ] = None,
    mano: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Folder with MANO_RIGHT.npz. Default: the stand-in hand."),
    ] = None,
    bbox: Annotated[
        str | None,
        Option(metavar="x,y,w,h", help="Box around the hand, the same in every photo, px."),
    ] = None,
    boxes: Annotated[
        Path | None, Option(metavar="FILE", help="Boxes by photo, a CSV: file,x,y,w,h (px).")
    ] = None,
    palms: Annotated[
        Path | None, Option(metavar="FILE", help="A palm detector (docs/photos.md).")
    ] = None,
    side: Annotated[
        Literal["left", "right", "auto"],
        Option(help="Side of every hand; auto: the model predicts it."),
    ] = "auto",
    intrinsics: Annotated[
        str | None,
        Option(metavar="fx,fy,cx,cy", help="Camera of every photo, px. Default: unknown."),
    ] = None,
    out: Annotated[
        Path, Option(metavar="FOLDER", help="Folder for overlays, videos and predictions.json.")
    ] = Path("results/predict"),
    batch: Annotated[int, Option(min=1, help="Photos at once.")] = 16,
    obj: Annotated[
        bool, Option("--obj", help="Also write each hand's mesh, NAME_hand.obj.")
    ] = False,
    smooth: Annotated[
        bool, Option("--smooth", help="In videos, average joints over five frames.")
    ] = False,
    seconds: Annotated[float, Option(min=0.1, help="Seconds recorded from a camera.")] = 10.0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Option(help="Where the model runs.")
    ] = "auto",
) -> int:
    """Find the hand in photos and videos.

    One large hand in each, or with --palms every hand of a photo: draws it, and writes
    predictions.json. Exit code 2 if any file failed.
    """
    from handpose.detection.palm_detector import PalmDetector
    from handpose.estimator import HandEstimator
    from handpose.training.device import prepare_device
    from pipeline.predict.hand_box import parse_numbers, read_boxes
    from pipeline.predict.predict import predict
    from pipeline.predict.request import PredictRequest, default_model
    from pipeline.predict.sources import SourceList

    def write(line: str) -> None:
        print(line, flush=True)

    table = None if boxes is None else read_boxes(boxes)
    request = PredictRequest(
        out=out,
        box=None if bbox is None else parse_numbers(bbox, "--bbox", "x,y,w,h"),
        boxes={} if table is None else table.boxes,
        side=None if side == "auto" else side,
        intrinsics=None
        if intrinsics is None
        else parse_numbers(intrinsics, "--intrinsics", "fx,fy,cx,cy"),
        batch=batch,
        meshes=obj,
        smooth=smooth,
        seconds=seconds,
    )
    found = SourceList.find(sources)
    if table is not None and (remark := table.remark(found)):
        write(remark)
    detector = PalmDetector.load(palms) if palms else None
    folder = model or default_model(write)
    where = str(prepare_device(device, 0))
    estimator = (
        HandEstimator.load(folder, mano=mano, device=where)
        if model or (folder / "model.json").is_file()
        else HandEstimator.released(where)
    )
    return predict(estimator, found, request, model=folder, mano=mano, palms=detector, write=write)
