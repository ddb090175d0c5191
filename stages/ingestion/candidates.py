"""What is decided of a split before its photos are opened; large splits are read ahead.

Reading is one thread's work for each split, since a JSON file is parsed from its first byte. So
the splits of a large data set are read by a process each, and while the photos of one are opened
the next ones are read.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from handpose.cores import usable_cores
from handpose.data.annotation_table import AS_MANO_FIT, INTERACTING, REJECT, AnnotationTable
from handpose.data.merged.fit_form import RootDecision, in_mano_form, with_our_joints
from handpose.data.reader import DatasetReader, SourceSplit, SplitAnnotations
from handpose.data.splits import TRAIN
from handpose.errors import HandPoseError
from handpose.exclusions import Exclusions
from handpose.hand.mano import Mano
from stages.ingestion.camera_boxes import OffCamera, off_cameras
from stages.ingestion.contradictions import beside_boxes
from stages.ingestion.excluded import check_matches, exclude
from stages.ingestion.fit_distance import far_fits
from stages.ingestion.made_fits import with_made_fits
from stages.ingestion.samples import without_number
from stages.ingestion.selection import select
from stages.params import IngestParams
from stages.sharding.workers import in_order

FEWEST_BYTES_FOR_PROCESSES = 100_000_000
"""Less is read as fast as processes start."""


class SubjectError(HandPoseError):
    """A held-out subject does not exist."""


class HeldOutGestureError(HandPoseError):
    """A held-out gesture does not exist."""


class Candidates(NamedTuple):
    """The annotations of a split: those to be used if their photo is sound, and all others."""

    rows: AnnotationTable  # in the order of samples
    total: int  # hands that the reader found usable
    rejected: pa.Table  # by the reader
    excluded: pa.Table  # rejects of the list of exclusions
    excluded_kinds: Counter[tuple[str, str]]  # annotations that it names, by action and kind
    off_cameras: list[OffCamera]
    beside_boxes: pa.Table  # the rejects of these cameras
    contradictions: list[pa.Table]  # the same, to be drawn
    left_out: Counter[str]  # by the parameters
    far_fit_of: dict[tuple[int, bool], int]
    """Annotation and whether left -> the index of its fit, too far from the joints to be used."""
    root: RootDecision | None = None
    """What was decided of the fits' root rotations, where these are in doubt."""
    of_both_hands: int = 0
    """Annotations of both hands; each is two rows, as long as nothing rejects one of them."""
    made_fits: int = 0
    """Rows whose fit was made from their joints."""


class SplitTask(NamedTuple):
    """A split to read; the hand model is None where fits are not compared with joints."""

    reader: DatasetReader
    split: SourceSplit
    ingest: IngestParams
    mano: Mano | None
    exclusions: Exclusions


def read_ahead(
    reader: DatasetReader,
    splits: Sequence[SourceSplit],
    ingest: IngestParams,
    mano: Mano | None,
    exclusions: Exclusions,
) -> Generator[Candidates, None, None]:
    """The candidates of every split in turn; close it to end the processes that read.

    Raises:
        SubjectError: as `check_subjects`.
        HeldOutGestureError: as `check_gestures`.
        ExclusionError: as `check_matches`.
        HandPoseError: those of the reader.
    """
    tasks = [SplitTask(reader, split, ingest, mano, exclusions) for split in splits]
    size = sum(file.stat().st_size for file in reader.files())
    readers = min(usable_cores(), len(splits)) if size >= FEWEST_BYTES_FOR_PROCESSES else 1
    yield from in_order(read_candidates, tasks, readers)


def read_candidates(task: SplitTask) -> Candidates:
    """Read a split; people and gestures held out, and what is excluded, must exist."""
    found = task.reader.read(task.split)
    check_subjects(found, task.split, task.ingest)
    check_gestures(found, task.split, task.ingest)
    check_matches(found, task.split, task.exclusions)
    return candidates(found, task.split, task.ingest, task.mano, task.exclusions)


def candidates(
    found: SplitAnnotations,
    split: SourceSplit,
    ingest: IngestParams,
    mano: Mano | None,
    exclusions: Exclusions,
) -> Candidates:
    """Sort the annotations of a split and leave out what the annotations alone exclude.

    Args:
        found: as read.
        split: whose annotations they are.
        ingest: the limits.
        mano: None: fits are not compared with joints, nor read from any form of their own.
        exclusions: what people left out; the first to go, so that it is judged no further.
    """
    rows, excluded, kinds = exclude(found.usable.in_order(), exclusions)
    root = None
    if mano is None and rows.form != AS_MANO_FIT:
        rows = rows.without_any_fit()
    elif mano is not None:
        rows, root = in_mano_form(rows, mano)
    off, unusable = off_cameras(rows, ingest.min_joints_in_boxes)
    lost, contradictions = REJECT.empty_table(), []
    if unusable:
        lost, contradictions = rows.rejects(unusable), [beside_boxes(rows, unusable)]
        rows = rows.take(np.setdiff1d(np.arange(len(rows)), [one.row for one in unusable]))
    rows, left_out = select(rows, split, ingest)
    far_fit_of: dict[tuple[int, bool], int] = {}
    made = 0
    if mano is not None:
        far = far_fits(rows, mano, ingest.max_fit_error_mm)
        if far.any():
            numbers, fit_at = (rows.table[name].to_numpy() for name in ("annotation_id", "fit_at"))
            hands = zip(numbers[far].tolist(), rows.is_left()[far].tolist(), strict=True)
            far_fit_of = dict(zip(hands, fit_at[far].tolist(), strict=True))
            rows = rows.without_fits(far, "fit_off_joints")
        if split.evaluated_as == TRAIN:
            rows = with_our_joints(rows, mano)
        if ingest.fit_missing:
            held_out = {*ingest.validation_subjects, *ingest.test_subjects}
            if split.evaluated_as:  # whole data sets of others train as they are, or not at all
                held_out = set(rows.table["subject"].to_pylist())
            rows, made = with_made_fits(rows, mano, frozenset(held_out), ingest.max_fit_error_mm)
    return Candidates(
        rows,
        len(found.usable),
        found.rejected,
        excluded,
        kinds,
        off,
        lost,
        contradictions,
        left_out,
        far_fit_of,
        root,
        int(found.usable.is_kind(INTERACTING).sum()) // 2,
        made,
    )


def check_subjects(found: SplitAnnotations, split: SourceSplit, ingest: IngestParams) -> None:
    """SubjectError when a held-out subject does not exist; a typo would put one in training."""
    if split.evaluated_as:
        return
    tables = (found.usable.table, found.rejected)
    subjects = pa.concat_arrays([table["subject"].unique() for table in tables])
    there = set(subjects.drop_null().to_pylist())
    unknown = [
        f"ingest.{key} names {sorted(set(held_out) - there)}"
        for key, held_out in (
            ("validation_subjects", ingest.validation_subjects),
            ("test_subjects", ingest.test_subjects),
        )
        if set(held_out) - there
    ]
    if unknown:
        raise SubjectError(
            f"params.yaml: {' and '.join(unknown)}, who are not in {split.title}. Subjects "
            f"there: {sorted(there)}"
        )


def check_gestures(found: SplitAnnotations, split: SourceSplit, ingest: IngestParams) -> None:
    """HeldOutGestureError when no gesture folder has a held-out name; a typo would train on it."""
    if split.evaluated_as or not ingest.held_out_gestures:
        return
    tables = (found.usable.table.select(["sequence", "kind"]), found.rejected)
    folders = {
        row["sequence"]
        for table in tables
        for row in table.group_by(["sequence", "kind"]).aggregate([]).to_pylist()
        if row["kind"] == "gesture"
    }
    names = folders | {without_number(folder) for folder in folders}
    unknown = [name for name in ingest.held_out_gestures if name not in names]
    if not unknown:
        return
    lines = []
    for name in unknown:
        near = difflib.get_close_matches(name, sorted(names), n=1)
        lines.append(f"\n  {name}" + (f" (nearest: {near[0]})" if near else ""))
    raise HeldOutGestureError(
        f"params.yaml: ingest.held_out_gestures names what no gesture folder of {split.title} is "
        f"called, with or without its number:{''.join(lines)}\nGestures there: "
        f"{', '.join(sorted({without_number(folder) for folder in folders}))}"
    )
