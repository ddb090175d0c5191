"""How well a model does on photos of real hands: `python -m bench.real_photos FOLDER`.

FOLDER holds photos of one hand each, of any size, without annotations. The joints
that the reference detector of `bench.realism` finds serve as the reference: it was trained on
photos of hands, the released model on none. A photo in which it is not sure of a hand is left out
and counted. The model gets the box of its joints. Printed are shares and errors with 95 % intervals
over photos, which are too narrow where a person is in several; a picture shows photos at equal
steps through the folder, the reference joints in black, the model's in colours.

The reference detector errs too, by about 5 % of the hand: errors below that say nothing, and where
the two disagree either may be wrong. docs/photos.md says how to get its two files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.realism.judge import Judge, Reading
from handpose.counted import counted
from handpose.data.crop import affine, square, warp
from handpose.data.photo import PhotoError, read_upright
from handpose.errors import HandPoseError
from handpose.estimator import CERTAIN, HandEstimate, HandEstimator
from handpose.evaluation import statistics
from handpose.evaluation.draw import Colour, draw_skeleton
from handpose.evaluation.statistics import LENGTH, SHARE
from pipeline.predict.overlay import COLOURS
from pipeline.predict.sources import PHOTOS
from stages.paths import WORK
from stages.running.command import run_stage
from stages.running.progress import Progress

PCK = 0.2
BATCH = 32
COLUMNS, ROWS, SIDE, AROUND = 8, 4, 160, 1.6
"""Of the picture: photos a row, rows, px of a photo, and its side by that of the hand."""
BLACK: Colour = (0, 0, 0)

UNITS = {
    "2D error, % of the hand": LENGTH,
    "of all joints in the middle of the box": LENGTH,
    "joints within 20 % of the hand": SHARE,
    "side as the reference's": SHARE,
    "certain of the side": SHARE,
    "side as the reference's, if certain": SHARE,
    "taken for a hand": SHARE,
}
"""Rows of the table and their bounds. The hand's size is the longer side of the joints' box."""


class NoHandsError(HandPoseError):
    """The folder has no photos, or none in which the reference detector is sure of a hand."""


class Pair(NamedTuple):
    """What the judge and the model see in a photo."""

    tile: NDArray[np.uint8]  # (SIDE, SIDE, 3) RGB around the hand, with both skeletons
    judge: Reading
    hand: HandEstimate


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and write the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.real_photos", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--landmarks", type=Path, required=True, help="hand_landmark_full.tflite")
    parser.add_argument(
        "--palm", type=Path, required=True, help="hands_solution_packed_assets.data, or the .tflite"
    )
    parser.add_argument("--model", type=Path, help="default: the released weights")
    parser.add_argument("--out", type=Path, default=WORK / "real_photos.jpg", help="the picture")
    options = parser.parse_args(argv)
    files = photos_in(options.folder)
    judge = Judge.load(options.landmarks, options.palm)
    estimator = (
        HandEstimator.released() if options.model is None else HandEstimator.load(options.model)
    )
    found = list(pairs(judge, estimator, files))
    if not found:
        raise NoHandsError(
            f"{options.folder}: the reference detector is sure of no hand in any photo"
        )
    left_out = len(files) - len(found)
    print(
        f"\n{options.folder}: {counted(len(found), 'photo')}; left out, since the reference "
        f"detector is not sure of a hand or the file cannot be read: {left_out}"
    )
    print("\n".join(table(found)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture(found)[..., ::-1])
    print(f"picture: {options.out}")


def photos_in(folder: Path) -> list[Path]:
    """The photos in a folder and all below it, by name.

    Raises:
        NoHandsError: there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS)
    if not files:
        raise NoHandsError(
            f"{folder}: no photos there; expected files ending in {', '.join(PHOTOS)}"
        )
    return files


def pairs(judge: Judge, estimator: HandEstimator, files: Sequence[Path]) -> Iterator[Pair]:
    """The photos in which the judge is sure of a hand, with what the model sees in its box."""
    progress = Progress("real photos", len(files), "photos", every_s=10)
    waiting: list[tuple[NDArray[np.uint8], Reading]] = []
    for file in progress.over(files):
        try:
            photo = read_upright(file)
        except PhotoError as error:
            print(f"left out: {error.detail}")
            continue
        if (reading := judge.find(photo)) is not None:
            waiting.append((photo, reading))
        if len(waiting) == BATCH:
            yield from _seen(estimator, waiting)
            waiting = []
    yield from _seen(estimator, waiting)


def _seen(
    estimator: HandEstimator, waiting: Sequence[tuple[NDArray[np.uint8], Reading]]
) -> Iterator[Pair]:
    if not waiting:
        return
    photos = [photo for photo, _ in waiting]
    hands = estimator.batch(photos, [_box(reading) for _, reading in waiting])
    for (photo, reading), hand in zip(waiting, hands, strict=True):
        yield Pair(_tile(photo, reading, hand), reading, hand)  # photos may be large, and many


def _box(reading: Reading) -> tuple[float, float, float, float]:
    """x, y, w, h of the judge's joints, px from the photo's upper left corner."""
    (x, y), (w, h) = reading.uv.min(0) + 0.5, np.ptp(reading.uv, axis=0)
    return float(x), float(y), float(w), float(h)


def columns(found: Sequence[Pair]) -> dict[str, NDArray[np.floating[Any]]]:
    """(N,) of each key of `UNITS`, NaN where not defined."""
    errors, middle, pck, right, certain, is_hand = [], [], [], [], [], []
    for _, judge, hand in found:
        low, high = judge.uv.min(0), judge.uv.max(0)
        size = (high - low).max()
        distance = np.linalg.norm(hand.joints_px - judge.uv, axis=1) / size
        errors.append(distance.mean())
        middle.append((np.linalg.norm((low + high) / 2 - judge.uv, axis=1) / size).mean())
        pck.append((distance < PCK).mean())
        right.append((hand.side == "left") == judge.is_left)
        certain.append(hand.side_probability >= CERTAIN)
        says = hand.is_hand_probability
        is_hand.append(np.nan if says is None else says >= 0.5)
    hits, sure = np.array(right, float), np.array(certain)
    values = (
        100 * np.array(errors),
        100 * np.array(middle),
        np.array(pck),
        hits,
        sure.astype(float),
        np.where(sure, hits, np.nan),
        np.array(is_hand, float),
    )
    return dict(zip(UNITS, values, strict=True))


def table(found: Sequence[Pair]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield "| of photos of real hands | mean [95 % over photos] | n |"
    yield "|---|---|---|"
    each = np.arange(len(found))
    for name, values in columns(found).items():
        if np.isnan(values).all():
            continue
        mean = statistics.mean(values, each, bounds=UNITS[name])
        scale, unit = (100, " %") if UNITS[name] == SHARE else (1, "")
        value, low, high = (scale * x for x in (mean.value, mean.low, mean.high))
        yield f"| {name} | {value:.1f}{unit} [{low:.1f}, {high:.1f}] | {mean.samples} |"


def picture(found: Sequence[Pair]) -> NDArray[np.uint8]:
    """Photos at equal steps, RGB."""
    count = min(len(found), COLUMNS * ROWS)
    chosen = [found[k * len(found) // count] for k in range(count)]
    rows = -(-count // COLUMNS)
    canvas = np.full((rows * SIDE, COLUMNS * SIDE, 3), 255, np.uint8)
    for k, pair in enumerate(chosen):
        row, column = divmod(k, COLUMNS)
        canvas[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = pair.tile
    return canvas


def _tile(photo: NDArray[np.uint8], judge: Reading, hand: HandEstimate) -> NDArray[np.uint8]:
    """The part of a photo around its hand, with both skeletons."""
    A = affine(square(_box(judge), AROUND), SIDE)
    tile = warp(photo, A, SIDE)
    for uv, colour in ((judge.uv, BLACK), (hand.joints_px, COLOURS)):
        tile = draw_skeleton(tile, uv @ A[:2, :2].T + A[:2, 2], colour=colour, thick=1)
    return tile


if __name__ == "__main__":
    sys.exit(run_stage(main, "bench.real_photos"))
