"""Candidates a few hundred at a time, by all cores: photos opened, samples made of what is sound.

The stage itself only counts and writes, so that it keeps many workers busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.cores import usable_cores
from handpose.data.annotation_table import INTERACTING, AnnotationTable, Unusable
from handpose.data.camera_frame import RestWrist, other_hands, take, to_camera_frame
from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.data.reader import SourceSplit
from handpose.hand.skeleton import WRIST
from stages.ingestion.samples import of_held_out_gestures, samples_table, split_of
from stages.params import IngestParams
from stages.sharding.workers import in_order

ROWS_PER_CHUNK = 500

FEWEST_FOR_PROCESSES = 20_000
"""Fewer photos are decoded by threads, which start at once but share Python's lock."""

ROWS_PER_WORKER = 5000
"""A process takes about as long to start (it imports what the stage does) as to decode these."""

PhotoFaults = Callable[[AnnotationTable], list[Unusable]]
"""The rows whose photo cannot be used; a function that can be pickled."""


class Rules(NamedTuple):
    """What a decision about a chunk depends on, besides its rows."""

    split: SourceSplit
    ingest: IngestParams
    rest_wrist: RestWrist
    photo_faults: PhotoFaults | None  # None: photos stay unopened


class Chunk(NamedTuple):
    """Some candidates to decide about."""

    rules: Rules
    rows: AnnotationTable


class Verdict(NamedTuple):
    """What became of the N rows of a chunk."""

    rows: int  # N
    used: NDArray[np.intp]  # (M,) those that are samples
    samples: pa.Table  # M rows of samples.parquet, without `sample_id`
    damaged: pa.Table  # rejects for their photo
    rejected: pa.Table  # all other rejects
    incomplete: dict[str, int]  # samples with a joint that is masked, by reason


def decide(chunk: Chunk) -> Verdict:
    """Open the photos of a chunk and make samples of the rows that can be used."""
    rules, rows = chunk
    faults = rules.photo_faults(rows) if rules.photo_faults else []
    good = _without(np.arange(len(rows)), faults)
    damaged = rows.rejects(faults)
    sound = rows.take(good) if faults else rows
    world = sound.hands()
    hands, unusable = to_camera_frame(
        world, rules.rest_wrist, min_valid_joints=rules.ingest.min_valid_joints
    )
    rejected, annotated = sound.rejects(unusable), world.joint_valid & world.visible
    if unusable:
        left = _without(np.arange(len(sound)), unusable)
        sound, hands, annotated, good = (
            sound.take(left),
            take(hands, left),
            annotated[left],
            good[left],
        )
    masked = {
        "wrist_not_valid": ~hands.joint_valid[:, WRIST],
        "joint_behind_camera": (annotated & ~hands.joint_valid).any(1),
    }
    held_out = of_held_out_gestures(sound.table["sequence"], rules.ingest)
    subjects = sound.table["subject"].to_numpy()
    interacting = sound.is_kind(INTERACTING)
    splits = split_of(rules.split, subjects, held_out, interacting, rules.ingest)
    incomplete = {reason: int(mask.sum()) for reason, mask in masked.items()}
    others = None
    if rules.ingest.each_hand:
        own = sound.hands()
        others = other_hands(hands, sound.other_hands(), own.camera, own.size)
    samples = samples_table(sound, hands, splits, others)
    return Verdict(len(rows), good, samples, damaged, rejected, incomplete)


def photo_faults(rows: AnnotationTable, root: Path) -> list[Unusable]:
    """The rows whose photo, below this folder, is missing, truncated, black or of another size.

    A photo of two hands, which are neighbours, is opened once.
    """
    columns = (rows.table[name].to_pylist() for name in ("image", "width", "height"))
    damaged = []
    last: tuple[tuple[str, int, int], PhotoError | None] | None = None
    for row, photo in enumerate(zip(*columns, strict=True)):
        if last is None or last[0] != photo:
            last = photo, _fault(Photo(root / photo[0], *photo[1:]))
        if last[1] is not None:
            damaged.append(Unusable(row, last[1].reason, last[1].detail))
    return damaged


def _fault(photo: Photo) -> PhotoError | None:
    try:
        read_photo(photo)
    except PhotoError as error:
        return error
    return None


def _without(rows: NDArray[np.intp], unusable: list[Unusable]) -> NDArray[np.intp]:
    return np.delete(rows, [one.row for one in unusable]) if unusable else rows


def chunks(rows: AnnotationTable) -> Iterator[AnnotationTable]:
    """The rows in chunks, each with its own cameras, joints and fits alone."""
    for start in range(0, len(rows), ROWS_PER_CHUNK):
        yield rows.slice(start, min(start + ROWS_PER_CHUNK, len(rows))).compact()


@contextmanager
def decided(
    tasks: Iterator[Chunk], rows: int, *, by_all_cores: bool
) -> Iterator[Iterator[Verdict]]:
    """`decide` of every chunk, in order: here, or by threads or processes.

    Args:
        tasks: consumed only as they are needed.
        rows: how many there are in all chunks.
        by_all_cores: as opening photos needs; without it the rest is quickly done.
    """
    if not by_all_cores:
        yield map(decide, tasks)
    elif rows < FEWEST_FOR_PROCESSES:
        with ThreadPoolExecutor(usable_cores()) as pool:
            yield pool.map(decide, tasks)  # decoded without holding Python's lock
    else:
        workers = min(usable_cores(), rows // ROWS_PER_WORKER)
        with closing(in_order(decide, tasks, workers)) as found:
            yield found
