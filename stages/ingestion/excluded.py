"""Annotations that `labels/exclusions.csv` leaves out, or uses without their fit.

Every row of the list must name an annotation of the data set, used or not: a list made for other
data, or a number mistyped, is refused with its lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.counted import counted
from handpose.data.annotation_table import REJECT, WORD, AnnotationTable, Unusable
from handpose.data.reader import SourceSplit, SplitAnnotations
from handpose.exclusions import DROP, DROP_FIT, Exclusion, ExclusionError, Exclusions, nearest

REASON = "excluded"
FIT_REASON = "fit_excluded"

SHOWN = 10
"""Lines that a message lists."""

NAMES = ("session", "sequence", "frame", "camera", "hand")


BOTH = "interacting"
HAND_OF_BOTH = ("right", "left")
"""An annotation of both hands that is not used (`ingest.interacting: drop`) is one of each, so that
a list that names them stays valid."""


class ExcludedRows(NamedTuple):
    """A split without what the list leaves out."""

    rows: AnnotationTable
    rejected: pa.Table  # as REJECT
    kinds: Counter[tuple[str, str]]
    """Annotations by action and kind."""


def check_splits(exclusions: Exclusions, splits: Sequence[SourceSplit]) -> None:
    """ExclusionError where the list names a split that the data set does not have."""
    names = [split.name for split in splits]
    unknown = [row for row in exclusions.rows if row.split not in names]
    if unknown:
        first = unknown[0]
        raise ExclusionError(
            f"{exclusions.path}:{first.line}: the data have no split {first.split}"
            f"{nearest(first.split, names)} Splits there: {', '.join(names)}"
            f"{_more(unknown)}"
        )


def check_matches(found: SplitAnnotations, split: SourceSplit, exclusions: Exclusions) -> None:
    """ExclusionError where a row of the list names no annotation of its split."""
    wanted = exclusions.of(split.name).rows
    if not wanted:
        return
    matched = {
        row.line
        for table in (found.usable.table, found.rejected)
        for own in matches(table, wanted).values()
        for row in own
    }
    unmatched = [row for row in wanted if row.line not in matched]
    if unmatched:
        lines = "".join(
            f"\n  {exclusions.path}:{row.line}: {','.join(row.cells()[:6])}"
            for row in unmatched[:SHOWN]
        )
        what = counted(len(unmatched), "row names", "rows name")
        raise ExclusionError(
            f"{exclusions.path}: {what} no annotation of {split.title}:{lines}{_more(unmatched)}\n"
            "Correct or remove them; a list for other data needs a file of its own "
            "(ingest.exclusions in params.yaml)"
        )


def exclude(rows: AnnotationTable, exclusions: Exclusions) -> ExcludedRows:
    """Leave out what the list names; where several rows name one annotation, drop goes first."""
    kinds: Counter[tuple[str, str]] = Counter()
    unusable: list[Unusable] = []
    without_fit = np.zeros(len(rows), np.bool_)
    fit_at = rows.table["fit_at"].to_numpy()
    for number, own in sorted(matches(rows.table, exclusions.of(rows.source_split).rows).items()):
        first = min(own, key=lambda row: (row.action != DROP, row.line))
        if first.action == DROP:
            detail = f"{first.kind}, {exclusions.path}:{first.line}"
            unusable.append(
                Unusable(number, REASON, f"{detail}: {first.note}" if first.note else detail)
            )
        elif fit_at[number] < 0:  # has none
            continue
        else:
            without_fit[number] = True
        kinds[first.action, first.kind] += 1
    if without_fit.any():
        rows = rows.without_fits(without_fit, FIT_REASON)
    if not unusable:
        return ExcludedRows(rows, REJECT.empty_table(), kinds)
    kept = np.setdiff1d(np.arange(len(rows)), [one.row for one in unusable])
    return ExcludedRows(rows.take(kept), rows.rejects(unusable), kinds)


def matches(table: pa.Table, wanted: Sequence[Exclusion]) -> dict[int, list[Exclusion]]:
    """Rows that the list names, each with what names it.

    Args:
        table: with the columns `NAMES`; a value may be null.
        wanted: rows of the table's split.
    """
    if not wanted or not len(table):
        return {}
    by_target: dict[tuple[Any, ...], list[Exclusion]] = {}
    for row in wanted:
        by_target.setdefault(row.target[1:], []).append(row)
    columns = {name: _plain(table[name]) for name in NAMES}
    near = pc.and_(
        pc.is_in(columns["session"], pa.array(sorted({row.session for row in wanted}), pa.int64())),
        pc.is_in(columns["sequence"], pa.array(sorted({row.sequence for row in wanted}))),
    )
    frames = {row.frame for row in wanted}
    if None not in frames:
        numbers = pa.array(sorted(frame for frame in frames if frame is not None), pa.int64())
        near = pc.and_(near, pc.is_in(columns["frame"], numbers))
    at = np.flatnonzero(near.to_numpy(zero_copy_only=False))
    some = zip(*(columns[name].take(pa.array(at)).to_pylist() for name in NAMES), strict=True)
    found: dict[int, list[Exclusion]] = {}
    for number, (session, sequence, *rest, hand) in zip(at.tolist(), some, strict=True):
        hands = HAND_OF_BOTH if hand == BOTH else (hand,)
        values = [*((value, None) for value in rest), (*hands, None)]
        for target in product(*map(dict.fromkeys, values)):
            own = by_target.get((session, sequence, *target))
            if own:
                found.setdefault(number, []).extend(own)
    return found


def described(kinds: Counter[tuple[str, str]], exclusions: Exclusions) -> list[str]:
    """Lines: how many annotations the list leaves out, and of how many the fit, by kind."""
    lines = []
    for action, what in ((DROP, "not used"), (DROP_FIT, "used without the MANO fit")):
        own = {kind: n for (name, kind), n in sorted(kinds.items()) if name == action}
        if own:
            each = ", ".join(f"{kind} {n:,}" for kind, n in own.items())
            count = counted(sum(own.values()), "annotation is", "annotations are")
            lines.append(f"{count} {what} by {exclusions.path}: {each}")
    return lines


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if column.type == WORD else column


def _more(rows: Sequence[Exclusion]) -> str:
    return f"\n  and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
