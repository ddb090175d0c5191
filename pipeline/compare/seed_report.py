"""`handpose compare A B` of sets of runs: the difference over seeds and people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.evaluation.crossed import ENOUGH_RUNS, CrossedDifference, crossed_difference
from handpose.evaluation.power import MOST, POWER, fewest_people, fewest_seeds
from handpose.evaluation.statistics import CONFIDENCE, holm
from pipeline.compare.compare import aligned, protocols
from pipeline.compare.paired import (
    ACCURACIES,
    ERRORS,
    FIRST,
    SCRATCH,
    Measure,
    columns_of_test,
    identities,
    values_of,
)
from pipeline.compare.seed_sets import CROPS, Seeds, SeedSet, SeedSetError, check_same_data
from pipeline.compare.snapshot import Snapshot
from stages.paths import LABELS

SEEDED_BY: Mapping[Sequence[Measure], tuple[str, ...]] = {
    ACCURACIES: ("pretrain",),
    ERRORS: ("pretrain", "pose"),
    SCRATCH: ("pose",),
}
"""The sections of params.yaml whose seeds a measure depends on."""

SMALL_MM = 0.1
SHARE = 0.05
"""Differences whose power is reported: one the size of the paper's, and a share of A."""

MISSING = "missing"


class SharedImages(NamedTuple):
    """The test images that all runs scored."""

    columns: Sequence[Sequence[Mapping[str, NDArray[Any]]]]  # by side, then run; rows in one order
    only: tuple[int, int]  # images that all runs of A have and not all of B, and the reverse
    people: tuple[list[str], list[str]]  # likewise, who has no image on the other side


@dataclass(frozen=True)
class MeasuredDifference:
    """A measure on both sides, and its difference."""

    measure: Measure
    images: int
    left_out: list[str]  # people without a number of this measure
    runs: tuple[NDArray[np.float64], NDArray[np.float64]]  # per side, each run's mean over people
    found: CrossedDifference


def compare_sets(root: Path, first: str, second: str) -> list[str]:
    """The difference from A to B, as lines of text.

    Args:
        root: the repository.
        first: the runs of A, as `SeedSet.read` takes them.
        second: of B.

    Raises:
        HandPoseError: a run has no results, the runs do not belong together, both sides have one
            run, or fewer than two people are left.
    """
    sets = (SeedSet.read(root, "A", first), SeedSet.read(root, "B", second))
    check_same_data(sets)
    if max(len(one.runs) for one in sets) < 2:
        raise SeedSetError(
            "A and B have one run with results each, so it is unknown how seeds differ. Name more "
            "runs, or compare the two with `handpose compare "
            f"{' '.join(run.name for one in sets for run in one.runs.values())}`"
        )
    images = shared_images([[*one.runs.values()] for one in sets])
    measured = [
        difference(images, measure)
        for measures, seeded_by in SEEDED_BY.items()
        if all(one.varies(seeded_by) for one in sets)
        for measure in measures
    ]
    primary = next(one for one in measured if one.measure == FIRST)
    return [
        *_head(sets, images),
        "",
        *_runs(sets, primary),
        "",
        *_differences(measured),
        "",
        *protocols(None),
        "",
        *_sizes(measured),
        "",
        *_needed(measured),
        "",
        *_left_out(measured),
        *_limits(sets, primary.found),
    ]


# --- tables of seeds and people ------------------------------------------------------------------


def shared_images(sides: Sequence[Sequence[Snapshot]]) -> SharedImages:
    """Match the test images of all runs.

    Raises:
        SeedSetError: no two people have an image in all runs.
    """
    columns = [[columns_of_test(run.predictions) for run in side] for side in sides]
    rows = [[{key: k for k, key in enumerate(identities(c))} for c in side] for side in columns]
    have = [set[Any].intersection(*map(set, side)) for side in rows]
    shared = sorted(have[0] & have[1])
    people = [{key[0] for key in keys} for keys in have]
    if len({key[0] for key in shared}) < 2:
        raise SeedSetError(
            f"all runs share {counted(len(shared), 'test image')} of "
            f"{counted(len({key[0] for key in shared}), 'person', 'people')}; an interval for "
            "other people takes two people or more"
        )
    return SharedImages(
        [
            [
                {name: values[[row[key] for key in shared]] for name, values in c.items()}
                for c, row in zip(*side, strict=True)
            ]
            for side in zip(columns, rows, strict=True)
        ],
        (len(have[0] - have[1]), len(have[1] - have[0])),
        (_names(people[0] - people[1]), _names(people[1] - people[0])),
    )


def _names(people: set[Any]) -> list[str]:
    return [str(person) for person in sorted(people)]


def difference(images: SharedImages, measure: Measure) -> MeasuredDifference:
    """The crossed difference of a measure, on the images that have it in all runs.

    Raises:
        SeedSetError: fewer than two people have one.
    """
    values = [np.stack([values_of(run, measure) for run in side]) for side in images.columns]
    scored = np.isfinite(np.concatenate(values)).all(0)  # (N,)
    subjects = images.columns[0][0]["subject"]
    people, person = np.unique(subjects[scored], return_inverse=True)
    if len(people) < 2:
        raise SeedSetError(
            f"{measure.name}: {counted(len(people), 'person has', 'people have')} a number in all "
            "runs; an interval for other people takes two or more"
        )
    counts = np.bincount(person)
    tables = [  # (runs, people) each
        np.stack([np.bincount(person, run[scored]) / counts for run in side]) for side in values
    ]
    return MeasuredDifference(
        measure,
        images=int(scored.sum()),
        left_out=_names(set(subjects.tolist()) - set(people.tolist())),
        runs=(tables[0].mean(1), tables[1].mean(1)),
        found=crossed_difference(*tables),
    )


# --- lines ---------------------------------------------------------------------------------------


def _head(sets: Sequence[SeedSet], images: SharedImages) -> Iterator[str]:
    """What is compared, and what is not."""
    sides = " to ".join(f"{one.letter} ({counted(len(one.runs), 'run')})" for one in sets)
    rows = images.columns[0][0]["subject"]
    people = counted(len(np.unique(rows)), "person", "people")
    yield f"From {sides}, on {len(rows):,} test images of {people} that all runs have."
    if any(images.only):
        yield (
            f"{images.only[0]:,} images are only in A and {images.only[1]:,} only in B; these are "
            "left out."
        )
    for one, names in zip(sets, images.people, strict=True):
        if names:
            yield f"Only {one.letter} has images of {', '.join(names)}: left out, as if not tested."
    for one in sets:
        stages = one.other_code()
        if stages:
            yield f"Careful: the code of {', '.join(stages)} differs between runs of {one.letter}."
        for section in Seeds._fields:
            if not one.varies((section,)):
                yield (
                    f"Careful: runs of {one.letter} share {section}.seed; what another one would "
                    "change is not in the interval."
                )
    first, second = (next(iter(one.runs.values())) for one in sets)
    if not first.same(second, LABELS):
        yield (
            "Careful: A and B have different labels, so their accuracies are of different classes."
        )
    if not first.same(second, CROPS):
        yield "Careful: A and B have different crops of the samples."
    yield from _measures_left_out(sets)


def _measures_left_out(sets: Sequence[SeedSet]) -> Iterator[str]:
    for measures, sections in SEEDED_BY.items():
        same = [one.letter for one in sets if not one.varies(sections)]
        if same:
            names = " and ".join(measure.name for measure in measures)
            yield f"Left out: {names}; runs of {' and '.join(same)} share that model's seed."


def _runs(sets: Sequence[SeedSet], primary: MeasuredDifference) -> Iterator[str]:
    """Each run's own number, and the seeds that a side does not have."""
    cells: list[dict[Seeds, str]] = []
    unknown: list[str] = []
    for one, means in zip(sets, primary.runs, strict=True):
        runs = zip(one.runs.items(), means, strict=True)
        found = {
            seeds: f"{_number(mean, primary.measure)}  {run.name}" for (seeds, run), mean in runs
        }
        for lost in one.missing:
            if lost.seeds is not None and lost.seeds not in found:
                found[lost.seeds] = f"{MISSING}  {lost.name}"
            else:
                unknown.append(f"{one.letter}: {lost.name} is {MISSING}.")
        cells.append(found)
    seeds = sorted({*cells[0], *cells[1]})
    heads = ("seed", *(f"{one.letter}: {FIRST.name}, people's mean" for one in sets))
    rows = [(str(seed), *(side.get(seed, MISSING) for side in cells)) for seed in seeds]
    yield from aligned(heads, rows, left=True)
    yield from unknown
    for one in sets:
        for lost in one.missing:
            yield f"{lost.name} of {one.letter}: {lost.why}"
    if unknown or any(len(one.runs) < len(seeds) for one in sets):
        yield "Nothing stands in for a missing run: each side is the mean of the runs that it has."


def _differences(measured: Sequence[MeasuredDifference]) -> Iterator[str]:
    """A row and a verdict per measure."""
    adjusted = adjusted_p_values(measured)
    rows = []
    for one, p in zip(measured, adjusted, strict=True):
        e, measure = one.found, one.measure
        verdict = e.verdict if p < 1 - CONFIDENCE else "inconclusive"
        rows.append(
            (
                f"{measure.name}{' (primary)' * (measure == FIRST)}",
                f"{one.images:,}",
                str(e.people),
                _number(e.first, measure),
                _number(e.second, measure),
                _number(e.value, measure, "+"),
                f"[{_number(e.low, measure, '+')}, {_number(e.high, measure, '+')}]",
                f"{e.p_value:.2g}",
                "-" if measure == FIRST else f"{p:.2g}",
                verdict,
            )
        )
    heads = ("All test images", "images", "people", "A", "B", "change", "95 % interval")
    yield from aligned((*heads, "p", "p (Holm)", "verdict"), rows)


def adjusted_p_values(measured: Sequence[MeasuredDifference]) -> list[float]:
    """The primary's own p-value; the others' Holm-adjusted among themselves."""
    others = [k for k, one in enumerate(measured) if one.measure != FIRST]
    found = [one.found.p_value for one in measured]
    for k, p in zip(others, holm(np.array([found[k] for k in others])), strict=True):
        found[k] = float(p)
    return found


def _sizes(measured: Sequence[MeasuredDifference]) -> Iterator[str]:
    """How large the change is, and what varies."""
    heads = ("Size, and standard deviations", "of A", "of people's SD")
    spread = ("a person's change", "a run", "a run on a person")
    rows = [
        (one.measure.name, _percent(one.found), _effect(one.found), *_deviations(one))
        for one in measured
    ]
    yield from aligned((*heads, *spread), rows)


def _percent(e: CrossedDifference) -> str:
    return f"{e.percent:+.1f} %" if math.isfinite(e.percent) else "-"


def _effect(e: CrossedDifference) -> str:
    return f"{e.effect:+.2f}" if math.isfinite(e.effect) else "-"


def _deviations(one: MeasuredDifference) -> Iterator[str]:
    c = one.found.components
    for variance in (c.people, c.seeds, c.cells):
        yield _number(math.sqrt(variance), one.measure)


def _needed(measured: Sequence[MeasuredDifference]) -> Iterator[str]:
    """How many seeds, or people, would see a change."""
    seeds = max(2, min(measured[0].found.runs))
    people = max(one.found.people for one in measured)
    sizes = (f"{SMALL_MM:g} mm", f"{100 * SHARE:g} % of A")
    heads = [f"{kind}, {size}" for kind in ("seeds", "people") for size in sizes]
    rows = []
    for one in measured:
        changes = (None if one.measure.truth else SMALL_MM, SHARE * abs(one.found.first))
        c = one.found.components
        found = [
            *(change and fewest_seeds(c, change, people=one.found.people) for change in changes),
            *(change and fewest_people(c, change, seeds=seeds) for change in changes),
        ]
        rows.append((one.measure.name, *(f"{count:,}" if count else "-" for count in found)))
    yield from aligned((f"To see a change, {100 * POWER:g} % power", *heads), rows)
    yield (
        f"Seeds of each side with {people} people; people with {counted(seeds, 'seed')} of each "
        f"side; a dash: not even with {MOST:,}. The standard deviations are estimates, so these "
        "are orders of magnitude."
    )


def _left_out(measured: Sequence[MeasuredDifference]) -> Iterator[str]:
    for one in measured:
        if one.left_out:
            yield (
                f"{one.measure.name}: {', '.join(one.left_out)} left out, without a number of this "
                "measure in all runs."
            )


def _limits(sets: Sequence[SeedSet], found: CrossedDifference) -> Iterator[str]:
    """What the interval means."""
    yield (
        "The interval is for other seeds and other people together: runs and people are both "
        "draws, each person counts once, and runs of one seed number are not paired. The primary "
        "measure's verdict stands alone; the others are Holm-adjusted."
    )
    few = [one.letter for one in sets if len(one.runs) < ENOUGH_RUNS]
    single = [one.letter for one in sets if len(one.runs) == 1]
    if single:
        yield (
            f"{single[0]} is one run: its seeds are taken to spread as the other side's do, which "
            "nothing here can check."
        )
    if min(runs for runs in found.runs if runs > 1) < ENOUGH_RUNS:
        yield (
            f"{' and '.join(few)} {'have' if len(few) > 1 else 'has'} fewer than {ENOUGH_RUNS} "
            "runs: the interval is wider than 95 % needs, often twice."
        )


def _number(value: float, measure: Measure, sign: str = "") -> str:
    """To a hundredth of a millimetre: what is looked for is often a tenth."""
    return f"{value:{sign}.{max(2, measure.decimals)}f}"
