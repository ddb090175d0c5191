"""How well `handpose predict --palms` does: `python -m bench.palms --palms FILE DATA`.

DATA is a folder in InterHand2.6M's layout with hands of every size and rotation, such as
`python -m bench.realism --keep` renders. Each hand is looked at in the true box of its joints, in
the box that the model finds by itself, and in that of the palm detector. Prints how often a hand
was found, and the 2D error in percent of the longer side of the joints' box.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.realism.frames import Frame, Wanted, frames_of
from handpose.data.photo import read_photo
from handpose.detection.palm_detector import Palm, PalmDetector
from handpose.estimator import HandEstimate, HandEstimator
from pipeline.predict.hand_box import BoxedHand, from_palms, refine

MISSED_PERCENT = 30.0
"""A hand with a larger error was looked for in the wrong place."""


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--palms", type=Path, required=True)
    parser.add_argument("--split", default="train")
    options = parser.parse_args(argv)
    detector, estimator = PalmDetector.load(options.palms), HandEstimator.released()
    frames, _ = frames_of(options.data, Wanted(options.split, None, 10**6, free=False))
    errors: dict[str, list[float]] = {}
    shapes: list[tuple[float, float]] = []
    for frame in frames:
        for how, error in looks(frame, detector, estimator):
            errors.setdefault(how, []).append(error)
        if palms := detector.palms(read_photo(frame.photo)):
            shapes.append(shape(frame, palms[0]))
    print(f"{len(frames)} photos; released weights\n")
    print("| box | hands found | mean 2D error, % | median | missed, % of those found |")
    print("|---|---|---|---|---|")
    for how, values in errors.items():
        known = np.array([value for value in values if not np.isnan(value)])
        missed = 100 * (known > MISSED_PERCENT).mean()
        print(
            f"| {how} | {len(known)} | {known.mean():.1f} | {np.median(known):.1f} | {missed:.1f} |"
        )
    raised, enlarged = np.median(np.array(shapes), 0)
    print(f"\nMedians of what the detector's RAISED and ENLARGED stand for: {raised:.2f}, ", end="")
    print(f"{enlarged:.2f}")


def looks(
    frame: Frame, detector: PalmDetector, estimator: HandEstimator
) -> Iterator[tuple[str, float]]:
    """How the box was found, and the error in it; NaN: no hand was found."""
    photo = read_photo(frame.photo)
    low, high = frame.uv.min(0), frame.uv.max(0)
    true = estimator(photo, (*(low + 0.5).tolist(), *(high - low).tolist()))
    yield "true", error_percent(frame, true)
    (found,) = refine(estimator.batch, [photo])
    yield "by the model's own joints", _error(frame, found)
    ((first, *_),) = from_palms(detector, estimator.batch, [photo])
    yield "by the palm detector", _error(frame, first)


def error_percent(frame: Frame, hand: HandEstimate) -> float:
    """Mean distance of the joints in the photo, by the longer side of their true box."""
    side = np.ptp(frame.uv, axis=0).max()
    return float(100 * np.linalg.norm(hand.joints_px - frame.uv, axis=1).mean() / side)


def _error(frame: Frame, found: BoxedHand) -> float:
    return float("nan") if found.hand is None else error_percent(frame, found.hand)


def shape(frame: Frame, palm: Palm) -> tuple[float, float]:
    """What `RAISED` and `ENLARGED` stand for, of one hand.

    Where the middle of the joints' box lies from the palm's towards the fingers, and its longer
    side, both in longer sides of the palm's box.
    """
    low, high = palm.box.reshape(2, 2)
    palm_side = (high - low).max()
    ahead = palm.ahead
    middle = (frame.uv.min(0) + frame.uv.max(0) - low - high) / 2
    return float(middle @ ahead / palm_side), float(np.ptp(frame.uv, axis=0).max() / palm_side)


if __name__ == "__main__":
    main()
