"""What the experiments come to, in five sentences made of their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from handpose.counted import counted
from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.experiment.pages.answers import MARKS, format_p, interval, progress


class Claim(NamedTuple):
    """A change whose effect on the error a sentence states."""

    subject: str
    grid: str
    variant: str
    """whose difference from the grid's is stated"""
    beside: Mapping[str, str] = MappingProxyType({})
    """other variants of the grid, whose differences are added, and how they are called"""


CLAIMS = (
    Claim(
        "The full model in place of six epochs of Stage 2 without gestures, which take a little "
        "longer,",
        "equal_time",
        "full",
    ),
    Claim(
        "Leaving the gesture tokens, which joints attend to, out of the full model",
        "parts",
        "pretraining_only",
    ),
    Claim(
        "Four epochs of Stage 1 on gestures, in addition to an equal Stage 2,",
        "warmup_equal_steps",
        "pretraining_only",
        {
            "instances_warmup": "on two views of each image, without labels",
            "pose_warmup": "on the joints",
        },
    ),
    Claim(
        "The full model in place of six epochs, where Stage 2 has three percent of the poses,",
        "fewer_poses_seeds",
        "three_percent_full",
    ),
    Claim(
        "Labels that mean nothing (gestures dealt out anew to the images) in place of gestures in "
        "Stage 1",
        "labels_stage_1",
        "stage_1_shuffled_images",
        {
            "stage_1_shuffled_sequences": "dealt out to whole sequences",
            "labelled_10": "gestures for a tenth of the images",
        },
    ),
)

WORDS = {
    "lower": "lowered the error",
    "higher": "raised the error",
    "inconclusive": "did not measurably change the error",
}


def verdict(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """A sentence for each of `CLAIMS`; of a grid that is not complete, what it still needs."""
    for claim in CLAIMS:
        results = grids.get(claim.grid)
        if results is None or results.missing or not results.known:
            yield f"{claim.subject.rstrip(',')}: open, {progress(claim.grid, results)}"
            continue
        differences = results.differences(PRIMARY)
        found = differences.get(claim.variant)
        if found is None:
            yield f"{claim.subject.rstrip(',')}: open, it needs two seeds and two people."
            continue
        p_values = results.p_values(PRIMARY)
        seeds = counted(min(found.runs), "seed", "seeds")
        others = "; ".join(
            f"{words} {interval(differences[name])} mm, p {format_p(p_values[name])}"
            for name, words in claim.beside.items()
            if name in differences
        )
        yield (
            f"{claim.subject} {WORDS[results.outcome(claim.variant)]}: {interval(found)} mm, "
            f"{found.percent:+.1f} %, p {format_p(p_values[claim.variant])}, {seeds}"
            f"{MARKS[results.grid.planned]}{f'; {others}' if others else ''}."
        )
