"""`handpose compare [REV]`: the change from a revision's results to those in the workspace."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from handpose.data.labels import Labels
from handpose.evaluation.statistics import Estimate
from handpose.render.tiles import require_png
from pipeline.compare.paired import ACCURACIES, COLUMNS, ERRORS, SCRATCH, MeasuredChange, Pairs
from pipeline.compare.snapshot import (
    HOW_TO_RECORD,
    Snapshot,
    SnapshotError,
    at_revision,
    in_workspace,
)
from stages.params import load_params
from stages.paths import LABELS, METRICS, PREDICTIONS, SAMPLES

MOST_ROWS = 12
HEADS = ("images", "before", "after", "change", "95 % interval")


def compare(root: Path, rev: str, *, every: bool = False, picture: Path | None = None) -> list[str]:
    """The change, as lines of text.

    Args:
        root: the repository.
        rev: git revision whose results are "before".
        every: list every gesture, not only those that changed most.
        picture: PNG file to draw it into, if any.

    Raises:
        HandPoseError: one of the two has no results, or `picture` is not the name of a PNG file.
    """
    if picture is not None:
        require_png(picture)
    settings = load_params(root / "params.yaml").evaluate
    after = in_workspace(root)
    before = at_revision(root, rev)
    for one in (before, after):
        _check_columns(one)
    pairs = Pairs.of(
        before.predictions,
        after.predictions,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    moved = relabelled(before.labels, after.labels)
    lines = [*_samples(before, after, pairs), "", *_classes(before.labels, after.labels, moved)]
    if len(pairs):
        lines += [*_headline(pairs), "", *_protocols(root)]
        lines += [*_gestures(pairs, set(moved), every), "", *_limits(pairs)]
        if picture is not None:
            from pipeline.compare.arrow_plot import arrows  # matplotlib takes a second to import

            picture.parent.mkdir(parents=True, exist_ok=True)
            arrows(pairs, before.name, after.name).savefig(picture)
            lines.append(f"wrote {picture}")
    return lines


# --- what is compared ----------------------------------------------------------------------------


def _check_columns(results: Snapshot) -> None:
    """Raise SnapshotError for predictions of a version that wrote other columns."""
    missing = sorted(COLUMNS - set(results.predictions.column_names))
    if missing:
        raise SnapshotError(
            f"{PREDICTIONS} of {results.name} has no column {', '.join(missing)}: another version "
            "of this code wrote it. Evaluate that revision with today's code to compare with it: "
            "check out its params.yaml and labels, `dvc repro`, and commit dvc.lock"
        )


def _samples(before: Snapshot, after: Snapshot, pairs: Pairs) -> Iterator[str]:
    """Which images are compared, and how many."""
    yield f"From {before.name} to the {after.name}, on {len(pairs):,} test images that both have."
    if pairs.only_before or pairs.only_after:
        yield (
            f"{pairs.only_before:,} images are only in {before.name} and {pairs.only_after:,} only "
            f"in the {after.name}; these are left out."
        )
    if not before.same(after, SAMPLES):
        yield (
            "Careful: the samples were ingested anew in between. They are matched by person, "
            "folder, camera and frame, and may be different images."
        )
    if before.same(after, PREDICTIONS, LABELS):
        yield f"Both are the same results. To compare the next ones with these: {HOW_TO_RECORD}."
    elif not len(pairs):
        yield "So there is nothing to compare."


def relabelled(before: Labels, after: Labels) -> dict[str, tuple[str, str]]:
    """Folders whose class changed: `coarse / fine` in both labels.parquet."""
    first, second = (
        {name: " / ".join(classes) for name, classes in side.names().items()}
        for side in (before, after)
    )
    pairs = {
        name: (first.get(name, "(left out)"), second.get(name, "(left out)"))
        for name in sorted({*first, *second})
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _classes(before: Labels, after: Labels, moved: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Which folders changed class."""
    if not moved:
        yield "No gesture folder changed class."
        return
    counts = {
        level: [len({getattr(ids, level) for ids in side.ids.values()}) for side in (before, after)]
        for level in ("coarse", "fine")
    }
    numbers = ", ".join(f"{a} -> {b} {level}" for level, (a, b) in counts.items())
    yield f"Changed class ({numbers} classes; fewer are easier to tell apart):"
    width = max(map(len, moved))
    for name, (old, new) in moved.items():
        yield f"  {name:<{width}}  {old} -> {new}"


# --- numbers -------------------------------------------------------------------------------------


def _headline(pairs: Pairs) -> Iterator[str]:
    changes = [pairs.change(measure) for measure in (*ACCURACIES, *ERRORS, *SCRATCH)]
    rows = [(c.measure.name, *_cells(c), *_by_person(c)) for c in changes]
    yield ""
    yield from _table(("All test images", *HEADS, "person by person", "verdict"), rows)


def _protocols(root: Path) -> Iterator[str]:
    """Definitions of the error measures, from the evaluation."""
    protocols = json.loads((root / METRICS).read_text("utf-8"))["protocols"]
    yield f"MPJPE in mm: {protocols['wrist_mpjpe_mm']}"
    yield f"PA-MPJPE in mm: {protocols['pa_mpjpe_mm']}"


def _gestures(pairs: Pairs, relabelled: set[str], every: bool) -> Iterator[str]:
    """A table per measure: the folders that changed most, and those whose class changed."""
    for measure in (*ACCURACIES, *ERRORS):
        changes = pairs.per_folder(measure)
        most = [name for name, change in changes.items() if change.by != 0][:MOST_ROWS]
        chosen = [name for name in changes if every or name in {*most, *relabelled}]
        rows = [(f"{name}{' *' * (name in relabelled)}", *_cells(changes[name])) for name in chosen]
        yield ""
        yield from _table((measure.name, *HEADS), rows)
        if len(chosen) < len(changes):
            yield f"and {len(changes) - len(chosen)} that changed less, or not at all: --all"
    if relabelled:
        yield "* changed class"


def _cells(change: MeasuredChange) -> tuple[str, ...]:
    d, digits = change.comparison.difference, change.measure.decimals
    values = (f"{value:.{digits}f}" for value in (change.before, change.after))
    return (f"{d.samples:,}", *values, f"{d.value:+.{digits}f}", _interval(d, digits))


def _by_person(change: MeasuredChange) -> tuple[str, str]:
    """The mean of people's means with Student's interval, and the verdict that follows."""
    e, digits = change.comparison.by_person, change.measure.decimals
    if not math.isfinite(e.low):
        return "-", "-"
    return f"{e.value:+.{digits}f} {_interval(e, digits)}", change.comparison.verdict


def _interval(e: Estimate, digits: int) -> str:
    return f"[{e.low:+.{digits}f}, {e.high:+.{digits}f}]" if math.isfinite(e.low) else "-"


def _limits(pairs: Pairs) -> Iterator[str]:
    """What these numbers cannot show."""
    people = len(set(pairs.subjects.tolist()))
    if people < 2:
        yield "All images are of one person, so there is no interval for other people."
    else:
        yield (
            f"95 % intervals resample the {people} people; with few people they are too narrow. "
            "Person by person, each counts once, with Student's interval, which is not too narrow; "
            "the verdict follows that one."
        )
    yield "Each side is one training run: another seed would move these numbers, too."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns; all but the first aligned to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        first, *rest = zip(row, widths, strict=True)
        cells = [f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]
        yield "  ".join(cells).rstrip()
