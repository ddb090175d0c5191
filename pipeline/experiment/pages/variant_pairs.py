"""The comparisons that all grids make, and p-values adjusted for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from handpose.evaluation.statistics import holm
from pipeline.experiment.grid_results import PRIMARY, GridResults


class VariantPair(NamedTuple):
    """Two variants, by what decides their difference; several grids may have the same one."""

    variant: str
    against: str
    seeds: tuple[int, ...]
    test_set: str
    margin_percent: float


def variant_pair(results: GridResults, variant: str) -> VariantPair:
    """Of a variant of a grid with what it is compared with there."""
    grid = results.grid
    seeds = tuple(sorted(grid.seeds))
    return VariantPair(variant, grid.against, seeds, grid.test_set, grid.margin_percent)


def unique_pairs(
    grids: Mapping[str, GridResults],
) -> Iterator[tuple[VariantPair, GridResults]]:
    """Each comparison of the grids that are complete once, with the first grid that has it."""
    found = set()
    for one in grids.values():
        if one.missing:
            continue
        for name in one.differences(PRIMARY):
            if (key := variant_pair(one, name)) not in found:
                found.add(key)
                yield key, one


def p_values_over_all(grids: Mapping[str, GridResults]) -> dict[VariantPair, float]:
    """Of the primary measure, adjusted for all comparisons together (Holm)."""
    found = {key: one.tested(PRIMARY)[key.variant].p_value for key, one in unique_pairs(grids)}
    return dict(zip(found, map(float, holm(np.array([*found.values()]))), strict=True))
