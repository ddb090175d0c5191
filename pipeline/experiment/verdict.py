"""What the experiments come to, in five sentences made of their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from handpose.counted import counted
from pipeline.experiment.answers import format_p, outcome, progress
from pipeline.experiment.grid_results import PRIMARY, GridResults


class Claim(NamedTuple):
    """A change whose effect on the error a sentence states."""

    subject: str
    grid: str
    variant: str
    """whose difference from the grid's is stated"""


CLAIMS = (
    Claim(
        "The full model in place of eight epochs of Stage 2 without gestures, which take longer,",
        "claim",
        "full",
    ),
    Claim("The full model in place of six epochs, which take about as long,", "equal_time", "full"),
    Claim(
        "Leaving the gesture tokens, which joints attend to, out of the full model",
        "parts",
        "pretraining_only",
    ),
    Claim(
        "Stage 1's weights in place of random ones, tokens in both,",
        "paper_pair",
        "no_gesture_loss",
    ),
    Claim(
        "The full model in place of six epochs, where Stage 2 has three percent of the poses,",
        "fewer_poses_seeds",
        "three_percent_full",
    ),
)
"""The planned question first."""

WORDS = {
    "lower": "lowered the error",
    "higher": "raised the error",
    "inconclusive": "did not measurably change the error",
}


def verdict(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """A sentence for each of `CLAIMS`; of a grid that is not whole, what it still needs."""
    for claim in CLAIMS:
        results = grids.get(claim.grid)
        if results is None or results.missing or not results.known:
            yield f"{claim.subject.rstrip(',')}: open, {progress(claim.grid, results)}"
            continue
        found = results.differences(PRIMARY).get(claim.variant)
        if found is None:
            yield f"{claim.subject.rstrip(',')}: open, it needs two seeds and two people."
            continue
        p_value = results.p_values(PRIMARY)[claim.variant]
        seeds = counted(min(found.runs), "seed", "seeds")
        yield (
            f"{claim.subject} {WORDS[outcome(found, p_value)]}: {found.value:+.2f} mm "
            f"[{found.low:+.2f}, {found.high:+.2f}], {found.percent:+.1f} %, "
            f"p {format_p(p_value)}, {seeds}{_added(results)}."
        )


def _added(results: GridResults) -> str:
    return f"; added {results.grid.added}" if results.grid.added else ""
