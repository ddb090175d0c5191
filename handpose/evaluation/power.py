"""How many seeds and people a comparison needs, before it is made.

For the interval of `handpose.evaluation.crossed`, given the variances that an earlier comparison
found. Those are estimates themselves: with three seeds of each recipe the true variance of a run is
between 0.36 and 8.3 times the estimate (95 %). So the answer is an order of magnitude.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from handpose.evaluation.crossed import Components, Part, half_width

POWER = 0.8
"""The chance of seeing a difference that is there, as is usual in planning."""

FEWEST = 2
MOST = 1024
"""Seeds or people that are considered."""

NODES = 20
"""Per part of the variance: the power is its mean over so many equally likely estimates of each."""


def power(components: Components, difference: float, *, seeds: int, people: int) -> float:
    """The chance that the 95 % interval leaves out 0 if this is the true difference.

    Within 0.02 of simulation. The variances that the interval will be made of are chi-squared and
    independent of the estimate, so this is an average over them.

    Args:
        components: of the same measure.
        difference: in the measure's unit; its sign does not matter.
        seeds: training runs of each recipe, two or more.
        people: two or more, the same for both.

    Raises:
        ValueError: fewer seeds or people.
    """
    if min(seeds, people) < FEWEST:
        raise ValueError(f"{seeds} seeds and {people} people: expected two or more of both")
    cell = components.cells / (seeds * people)
    true = components.people / people + 2 * components.seeds / seeds + 2 * cell
    if true == 0:
        return float(difference != 0)
    of_seeds = components.seeds / seeds + cell
    expected = [
        (components.people / people + 2 * cell, people - 1),
        *[(of_seeds, seeds - 1)] * 2,
    ]
    shares = (np.arange(NODES) + 0.5) / NODES
    drawn = np.meshgrid(
        *(special.chdtri(freedom, shares) * mean / freedom for mean, freedom in expected)
    )
    parts = [
        Part(variance, freedom) for variance, (_, freedom) in zip(drawn, expected, strict=True)
    ]
    half = half_width(parts)
    deviation = np.sqrt(true)
    seen = special.ndtr((difference - half) / deviation) + special.ndtr(
        (-difference - half) / deviation
    )
    return float(seen.mean())


def fewest_seeds(components: Components, difference: float, *, people: int) -> int | None:
    """Seeds of each recipe that see this difference with 80 % power; None if not even `MOST` do.

    Seeds do not replace people: with few people, too small a difference stays unseen.
    """
    return _fewest(lambda seeds: power(components, difference, seeds=seeds, people=people))


def fewest_people(components: Components, difference: float, *, seeds: int) -> int | None:
    """People that see this difference with 80 % power; None if not even `MOST` do."""
    return _fewest(lambda people: power(components, difference, seeds=seeds, people=people))


def _fewest(chance: Callable[[int], float]) -> int | None:
    """The first count with enough power: by doubling, then by halving the last step."""
    high = FEWEST
    while chance(high) < POWER:
        high *= 2
        if high > MOST:
            return None
    low = high // 2  # too few, or below the fewest
    while high - low > 1:
        middle = (low + high) // 2
        if middle >= FEWEST and chance(middle) >= POWER:
            high = middle
        else:
            low = middle
    return high
