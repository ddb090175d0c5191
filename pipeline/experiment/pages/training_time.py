"""How many epochs without gestures take as long as the full model, and are as good."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.experiment.grid_results import PRIMARY, GridResults, Row

CURVE = {
    "neither_fewer_steps": "equal_steps",
    "neither_equal_time": "equal_time",
    "neither": "claim",
}
"""Variants without gestures, from the fewest epochs on, and a grid of each."""

FULL = "equal_time", "full"
"""Grid and variant whose error is compared with the curve."""

SIDE_BY_SIDE = "equal_time_again", "full_shifted"
"""Grid and variant whose runs were trained beside those that they are compared with."""


def time_in_epochs(grids: Mapping[str, GridResults]) -> str:
    """Sentences; '' if a run is missing.

    Errors between those of the curve are on straight lines.
    """
    needed = {*CURVE.values(), FULL[0], SIDE_BY_SIDE[0]}
    if any(name not in grids or grids[name].missing for name in needed):
        return ""
    curve = sorted(
        (_epochs(row), _error(row))
        for row in (grids[grid].row(variant) for variant, grid in CURVE.items())
    )
    epochs, errors = (np.array(column) for column in zip(*curve, strict=True))
    timed = grids[SIDE_BY_SIDE[0]]
    without = timed.seconds(timed.grid.against)
    taken = [
        _epochs(timed.against) * seconds / without[seed]
        for seed, seconds in timed.seconds(SIDE_BY_SIDE[1]).items()
    ]
    mean, error = float(np.mean(taken)), _error(grids[FULL[0]].row(FULL[1]))
    known = ", ".join(f"{one:.2f} mm after {n:g}" for n, one in curve)
    text = (
        f"Trained side by side, the full model takes as long as {min(taken):.1f} to "
        f"{max(taken):.1f} epochs without gestures (`{timed.name}`, mean {mean:.1f}). On straight "
        f"lines between {known} epochs, "
    )
    at_mean = float(np.interp(mean, epochs, errors))
    text += f"{mean:.1f} epochs give {at_mean:.1f} mm, {error - at_mean:+.1f} mm for the full model"
    if not errors[-1] <= error <= errors[0]:
        return f"{text}."
    equal = np.interp(-error, -errors, epochs)
    return f"{text}, which is as good as {equal:.1f} epochs."


def _epochs(row: Row) -> float:
    """Of Stage 2, of a run without Stage 1."""
    return float(row.known[0]["settings"]["pose_scratch"]["epochs"])


def _error(row: Row) -> float:
    return float(row.table(PRIMARY, row.measured(PRIMARY)).mean())
