"""`handpose evaluate benchmark hint`: 2D joints in photos of everyday videos."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.estimator import HandEstimator
from handpose.evaluation.pixel_share import SHARES, pixel_shares
from handpose.hint.hands import HANDS, UNITS, HintHand, read_subsets, sha256_of
from handpose.training.model_io import read_record
from stages.evaluation.report import WIDTH, aligned, format_estimate
from stages.evaluation.summary import to_json
from stages.running.artifacts import write_json
from stages.running.progress import Progress

SCHEMA = 1
"""Of the JSON file; it grows when a field goes, or means another thing."""

HANDS_AT_A_TIME = 32


def evaluate_hint(
    root: Path, model: Path, mano: Path, out: Path, device: str, write: Callable[[str], None]
) -> Path:
    """Score a model on HInt's test hands; returns the JSON file of the numbers.

    Raises:
        HandPoseError: the data set or the model is missing or damaged.
    """
    subsets, without = read_subsets(root)
    estimator = HandEstimator.load(model, mano=mano, device=device)
    weights = read_record(model).weights_sha256
    rows: list[tuple[str, ...]] = []
    content: dict[str, object] = {}
    for subset, hands in subsets.items():
        pixels = _predicted(estimator, hands, subset)
        truth = np.stack([hand.joints for hand in hands])
        side = np.array([hand.box[2:].max() for hand in hands])
        errors = np.linalg.norm(pixels - truth, axis=-1) / side[:, None]
        occluded = np.stack([hand.occluded for hand in hands])
        videos = np.array([hand.video for hand in hands])
        own = {}
        for name, joints in (
            ("all joints", np.ones_like(occluded)),
            ("visible", ~occluded),
            ("occluded", occluded),
        ):
            if joints.any():
                found = pixel_shares(errors, joints, videos)
                rows.append((f"{subset}, {name}", *(format_estimate(found[s], 3) for s in SHARES)))
                own[name] = {f"pck_{share:.2f}": to_json(found[share]) for share in SHARES}
        count = len(set(videos))
        content[subset] = {
            "hands": len(hands),
            "videos": count,
            "intervals_over": UNITS.to_json(count),
            "pck": own,
        }
    remarks = list(_remarks({name: len(hands) for name, hands in subsets.items()}, without))
    over = UNITS.explained()
    write(f"{model} on HInt, zero-shot; [low, high]: Student's 95 % interval over {over}.")
    write("")
    for line in aligned(
        ("2D joints within a share of the box", *(f"{s:.2f}" for s in SHARES)), rows
    ):
        write(line)
    write("")
    for remark in remarks:
        write(textwrap.fill(f"- {remark}", WIDTH, subsequent_indent="  "))
    target = out / "hint" / f"{model.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        target,
        {
            "schema": SCHEMA,
            "benchmark": "hint",
            "predictions": {"name": str(model), "sha256": weights},
            "data_sha256": sha256_of(subsets),
            "subsets": content,
            "remarks": remarks,
        },
    )
    write(f"wrote {target}")
    return target


def _predicted(
    estimator: HandEstimator, hands: Sequence[HintHand], subset: str
) -> NDArray[np.float64]:
    """2D joints (N, 21, 2) px of the photos; the side is given, as the data set gives it."""
    found = np.zeros((len(hands), 21, 2))
    progress = Progress(f"benchmark hint {subset}", len(hands), "hands")
    for left in (False, True):
        own = [k for k, hand in enumerate(hands) if hand.is_left == left]
        for start in range(0, len(own), HANDS_AT_A_TIME):
            some = own[start : start + HANDS_AT_A_TIME]
            estimates = estimator.batch(
                [hands[k].photo for k in some],
                [hands[k].box.tolist() for k in some],
                side="left" if left else "right",
            )
            found[some] = [one.joints_px for one in estimates]
            progress.step(len(some))
    return found


def _remarks(hands: dict[str, int], without: Sequence[str]) -> Iterator[str]:
    for subset in without:
        yield (
            f"{subset} has no photos and is left out: Ego4D's have a licence of their own; HInt's "
            "repository says how to get them."
        )
    for subset, count in hands.items():
        if count != HANDS[subset]:
            yield (
                f"{subset} holds {counted(count, 'hand')} of the official {HANDS[subset]:,}: its "
                "numbers are not comparable with published ones."
            )
    yield "The network sees 1.4 times the box; published rows of other models saw 2 times."
