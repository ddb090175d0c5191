"""`handpose compare [A] [B]`: the change from one run's results to those of another.

A is a git revision, an experiment or the folder of a clone; B too, by default the workspace. Sets
of several runs are compared by `seed_report`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from handpose.data.labels import Labels
from handpose.evaluation import statistics
from handpose.evaluation.protocols import COLUMNS as PROTOCOLS
from handpose.evaluation.statistics import Estimate
from handpose.render.tiles import require_png
from pipeline.compare.paired import (
    ACCURACIES,
    COLUMNS,
    ERRORS,
    FIRST,
    SCRATCH,
    FolderChange,
    FolderChanges,
    Measure,
    MeasuredChange,
    Pairs,
)
from pipeline.compare.snapshot import (
    HOW_TO_RECORD,
    Snapshot,
    SnapshotError,
    in_workspace,
    read_results,
)
from stages.params import load_params
from stages.paths import LABELS, METRICS, PREDICTIONS, SAMPLES

MOST_ROWS = 12
HEADS = ("images", "before", "after", "change")
BY_PERSON = ("person by person", "p (Holm)")


def compare(
    root: Path,
    rev: str,
    other: str | None = None,
    *,
    every: bool = False,
    picture: Path | None = None,
) -> list[str]:
    """The change, as lines of text.

    Args:
        root: the repository.
        rev: whose results are "before", as `read_results` takes it.
        other: whose are "after"; None: the workspace.
        every: list every gesture with its interval.
        picture: PNG file to draw it into, if any.

    Raises:
        HandPoseError: one of the two has no results, or `picture` is not the name of a PNG file.
    """
    if picture is not None:
        require_png(picture)
    settings = load_params(root / "params.yaml").evaluate
    after = in_workspace(root) if other is None else read_results(root, other)
    before = read_results(root, rev)
    for one in (before, after):
        check_columns(one)
    pairs = Pairs.of(
        before.predictions,
        after.predictions,
        seed=settings.seed,
    )
    moved = relabelled(before.labels, after.labels)
    lines = [*_samples(before, after, pairs), "", *_classes(before.labels, after.labels, moved)]
    if len(pairs):
        lines += [*headline(pairs), "", *protocols(root if other is None else None)]
        lines += [*gestures(pairs, set(moved), every), "", *_limits(pairs)]
        if picture is not None:
            from pipeline.compare.arrow_plot import arrows  # matplotlib takes a second to import

            picture.parent.mkdir(parents=True, exist_ok=True)
            arrows(pairs, before.title, after.title).savefig(picture)
            lines.append(f"wrote {picture}")
    return lines


# --- what is compared ----------------------------------------------------------------------------


def check_columns(results: Snapshot) -> None:
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
    yield f"From {before.title} to {after.title}, on {len(pairs):,} test images that both have."
    if pairs.only_before or pairs.only_after:
        yield (
            f"{pairs.only_before:,} images are only in {before.title} and {pairs.only_after:,} "
            f"only in {after.title}; these are left out."
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


def headline(pairs: Pairs) -> Iterator[str]:
    """The table of all test images, a row and a verdict per measure."""
    changes = {m: pairs.change(m) for m in (*ACCURACIES, *ERRORS, *SCRATCH)}
    verdicts = statistics.verdicts({m: c.comparison for m, c in changes.items()}, FIRST)
    rows = [
        (f"{m.name}{' (primary)' * (m == FIRST)}", *_cells(c), *_by_person(c, verdicts[m]))
        for m, c in changes.items()
    ]
    yield ""
    heads = ("All test images", *HEADS, "95 % interval", "person by person", "verdict")
    yield from aligned(heads, rows)


def protocols(root: Path | None) -> Iterator[str]:
    """Definitions of the error measures, of the evaluation in this folder, or of today's code."""
    if root is None:
        found = {column.key: column.protocol for column in PROTOCOLS}
    else:
        found = json.loads((root / METRICS).read_text("utf-8"))["protocols"]
    yield f"MPJPE in mm: {found['wrist_mpjpe_mm']}"
    yield f"PA-MPJPE in mm: {found['pa_mpjpe_mm']}"


def gestures(pairs: Pairs, relabelled: set[str], every: bool) -> Iterator[str]:
    """Per measure: the folders whose change can be claimed, then those that changed most."""
    for measure in (*ACCURACIES, *ERRORS):
        changes = pairs.per_folder(measure)
        if changes.by_name:
            yield ""
            yield from _claims(measure, changes, relabelled)
            yield from _others(measure, changes, relabelled, every)
    if relabelled:
        yield "* changed class"


def _claims(measure: Measure, changes: FolderChanges, relabelled: set[str]) -> Iterator[str]:
    """What can be said of single gestures, before any is picked by its size."""
    yield f"{measure.name}, by gesture"
    if not changes.tested:
        yield "No folder has images of two people: no change of a gesture can be claimed."
        return
    yield (
        f"Of {changes.tested} folders about {changes.by_chance:.1f} would look changed by chance "
        f"(95 % interval without 0); {changes.without_zero} {_do(changes.without_zero)}."
    )
    if not changes.claimed:
        yield "None remains after Holm's adjustment: no change of a gesture can be claimed."
        return
    rows = [
        (_mark(name, relabelled), *_folder(changes.by_name[name], measure, tested=True))
        for name in changes.claimed
    ]
    yield from aligned(("Changed, after Holm's adjustment", *HEADS, *BY_PERSON), rows)


def _others(
    measure: Measure, changes: FolderChanges, relabelled: set[str], every: bool
) -> Iterator[str]:
    """The other folders; picked by size they are no evidence, so only `every` has intervals."""
    others = {n: c for n, c in changes.by_name.items() if n not in changes.claimed}
    most = [name for name, change in others.items() if change.by != 0][:MOST_ROWS]
    chosen = [name for name in others if every or name in {*most, *relabelled}]
    rows = [
        (_mark(name, relabelled), *_folder(others[name], measure, tested=every)) for name in chosen
    ]
    if rows:
        title = "Not claimed" if every else "Changed most, not claimed"
        yield from aligned((title, *HEADS, *(BY_PERSON if every else ())), rows)
    if len(chosen) < len(others):
        yield f"and {len(others) - len(chosen)} that changed less, or not at all: --all"


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def _mark(name: str, relabelled: set[str]) -> str:
    return f"{name}{' *' * (name in relabelled)}"


def _folder(change: FolderChange, measure: Measure, *, tested: bool) -> tuple[str, ...]:
    """Cells of a folder; its interval and p-value if it was not picked by its size."""
    e, digits = change.by_person, measure.decimals
    values = (f"{value:.{digits}f}" for value in (change.before, change.after))
    cells = (f"{change.samples:,}", *values, f"{change.by:+.{digits}f}")
    if not tested:
        return cells
    if not math.isfinite(e.low):
        return (*cells, "-", "-")
    return (*cells, f"{e.value:+.{digits}f} {_interval(e, digits)}", f"{change.p_value:.2g}")


def _cells(change: MeasuredChange) -> tuple[str, ...]:
    d, digits = change.comparison.difference, change.measure.decimals
    values = (f"{value:.{digits}f}" for value in (change.before, change.after))
    return (f"{d.samples:,}", *values, f"{d.value:+.{digits}f}", _interval(d, digits))


def _by_person(change: MeasuredChange, verdict: str) -> tuple[str, str]:
    """The mean of people's means with its interval, and the verdict."""
    e, digits = change.comparison.by_person, change.measure.decimals
    if not math.isfinite(e.low):
        return "-", "-"
    return f"{e.value:+.{digits}f} {_interval(e, digits)}", verdict


def _interval(e: Estimate, digits: int) -> str:
    return f"[{e.low:+.{digits}f}, {e.high:+.{digits}f}]" if math.isfinite(e.low) else "-"


def _limits(pairs: Pairs) -> Iterator[str]:
    """What these numbers cannot show."""
    people = len(set(pairs.subjects.tolist()))
    if people < 2:
        yield "All images are of one person, so there is no interval for other people."
    else:
        yield (
            f"Intervals are Student's 95 % over the {people} people. Person by person each counts "
            "once; that interval decides the verdict. All verdicts but the primary measure's are "
            "Holm-adjusted, as are the gestures'; a gesture's spread over people is taken to be at "
            "least the average."
        )
    yield (
        "Each side is one training run, and the verdicts are on these two runs: another seed would "
        "move these numbers, too."
    )


def aligned(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: bool = False
) -> Iterator[str]:
    """Aligned columns; all but the first aligned to the right, or all to the left."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    sides = "<" * len(heads) if left else "<" + ">" * (len(heads) - 1)
    for row in (heads, *rows):
        cells = (f"{c:{side}{width}}" for c, side, width in zip(row, sides, widths, strict=True))
        yield "  ".join(cells).rstrip()
