"""One row per single-hand annotation: `python -m stages.ingest`.

Reads the annotations and photos in `data.root`, by the reader of `data.format`, and the hand model
of `hand.mano`. Writes `data/ingest/`: samples.parquet, rejects.parquet (every annotation that is
not used, with the reason), folders.csv (histogram), split.json (who is in which split),
manifest.json.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.data.annotation_table import AnnotationTable
from handpose.data.camera_frame import RestWrist, take, to_camera_frame
from handpose.data.reader import DatasetReader, SourceSplit
from handpose.data.splits import LABELLED_SPLITS, TRAIN
from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest
from stages.artifacts import Progress, run_stage, write_json, write_manifest
from stages.hand_model import load_hand_model
from stages.ingestion.formats import open_reader
from stages.ingestion.histogram import Histogram
from stages.ingestion.photo_check import check_photos
from stages.ingestion.reject_table import describe, in_order, reasons
from stages.ingestion.samples import SamplesFile, samples_table, split_of, write_table
from stages.ingestion.selection import select
from stages.params import IngestParams, load_params
from stages.paths import INGEST, REJECTS, SAMPLES

OUT = INGEST

ROWS_AT_A_TIME = 20_000
"""Annotations that are in memory as arrays of float64 at a time: 30 MB for each array of joints."""


class IngestError(HandPoseError):
    """Nothing is left to train on or to evaluate, or a held-out subject does not exist."""


def main() -> None:
    """Read every split, reject what cannot be used, divide the rest by subject, write."""
    started = time.monotonic()
    params = load_params()
    reader, root = open_reader(params.data), Path(params.data.root)
    source_splits = reader.splits()
    rest_wrist = RestWrist(load_hand_model(params.hand, params.data).rest_wrist)
    source = {"source_digest": digest(reader.annotations)}  # new annotations, new shards
    histogram = Histogram(split.evaluated_as for split in source_splits)
    unused: list[pa.Table] = []
    left_out: Counter[str] = Counter()
    with (
        atomic_file(SAMPLES) as partial,
        SamplesFile(partial, source) as samples,
    ):
        for split in source_splits:
            for used, rejected in read(reader, split, root, rest_wrist, params.ingest, left_out):
                if used is not None:
                    samples.write(used)
                    histogram.add_samples(used)
                unused.append(rejected)
        rejects = in_order(pa.concat_tables(unused), [split.name for split in source_splits])
        rejects = with_splits(rejects, source_splits, params.ingest)
        histogram.add_rejects(rejects)
        write_table(REJECTS, rejects.drop_columns("split"))  # whatever else is wrong
        if samples.count == 0:
            lost = describe(rejects, REJECTS)
            raise IngestError(f"no sample is left of {len(rejects)} annotations; {lost}")
        check_labelled(histogram, rejects, source_splits[0], params.ingest)
        check_fits(histogram, reader, source_splits[0])

    histogram.write(OUT / "folders.csv")
    members = histogram.members
    write_json(OUT / "split.json", {split: own.summary() for split, own in members.items()})
    counts = {
        "annotations": samples.count + len(rejects) + left_out.total(),
        "samples": {split: own.samples for split, own in members.items()},
        "without_mano_fit": sum(own.without_mano_fit for own in members.values()),
        "rejected": reasons(rejects),
        **left_out,  # by the parameters
    }
    print(f"ingest: {counts}")
    names = ("samples.parquet", "rejects.parquet", "folders.csv", "split.json")
    write_manifest(
        OUT / "manifest.json", started=started, counts=counts, outputs=[OUT / n for n in names]
    )


def read(
    reader: DatasetReader,
    split: SourceSplit,
    root: Path,
    rest_wrist: RestWrist,
    ingest: IngestParams,
    left_out: Counter[str],
) -> Iterator[tuple[pa.Table | None, pa.Table]]:
    """One split of the data set, in parts: samples, if any, and rejects.

    Annotations that the parameters leave out are counted in `left_out`; their photos stay unopened.
    """
    rows, rejected = reader.read(split)
    rows = rows.in_order()
    if not split.evaluated_as:
        subjects = pa.concat_arrays([table["subject"].unique() for table in (rows.table, rejected)])
        check_subjects(set(subjects.drop_null().to_pylist()), split, ingest)
    rows, thinned = select(rows, split, ingest)
    left_out.update(thinned)  # += would drop a parameter that leaves out nothing
    yield None, rejected
    progress = Progress("ingest", len(rows), f"{split.name} hands")
    for some in parts(rows):
        good = some
        if ingest.check_images:
            good, damaged = check_photos(some, root)
            yield None, damaged
        if len(good):
            yield into_table(good, split, rest_wrist, ingest)
        progress.step(len(some))


def parts(rows: AnnotationTable) -> Iterator[AnnotationTable]:
    """The rows, session by session, in parts of at most `ROWS_AT_A_TIME`."""
    sessions = np.flatnonzero(np.diff(rows.table["session"].to_numpy())) + 1
    ends = [0, *sessions.tolist(), len(rows)]
    for begin, end in pairwise(ends):
        for start in range(begin, end, ROWS_AT_A_TIME):
            yield rows.slice(start, min(start + ROWS_AT_A_TIME, end))


def into_table(
    rows: AnnotationTable, split: SourceSplit, rest_wrist: RestWrist, ingest: IngestParams
) -> tuple[pa.Table, pa.Table]:
    """At least one row as rows of samples.parquet, and those that cannot be used as rejects."""
    hands, unusable = to_camera_frame(
        rows.hands(), rest_wrist, min_valid_joints=ingest.min_valid_joints
    )
    rejects = rows.rejects(unusable)
    if unusable:
        good = np.setdiff1d(np.arange(len(rows)), [one.row for one in unusable])
        rows, hands = rows.take(good), take(hands, good)
    splits = split_of(split, rows.table["subject"].to_numpy(), ingest)
    return samples_table(rows, hands, splits), rejects


def with_splits(
    rejects: pa.Table, source_splits: Sequence[SourceSplit], ingest: IngestParams
) -> pa.Table:
    """Rejects with our split as a further column; an unknown subject counts as train."""
    splits = np.empty(len(rejects), object)
    source = rejects["source_split"].to_numpy()
    subjects = rejects["subject"].fill_null(-1).to_numpy()
    for split in source_splits:
        own = source == split.name
        splits[own] = split_of(split, subjects[own], ingest)
    return rejects.append_column("split", pa.array(splits, pa.string()))


def check_subjects(there: set[int], split: SourceSplit, ingest: IngestParams) -> None:
    """IngestError when a held-out subject does not exist; a typo would put one in training."""
    unknown = [
        f"ingest.{key} names {sorted(set(held_out) - there)}"
        for key, held_out in (
            ("validation_subjects", ingest.validation_subjects),
            ("test_subjects", ingest.test_subjects),
        )
        if set(held_out) - there
    ]
    if unknown:
        raise IngestError(
            f"params.yaml: {' and '.join(unknown)}, who are not in {split.title}. Subjects "
            f"there: {sorted(there)}"
        )


def check_labelled(
    histogram: Histogram, rejects: pa.Table, source: SourceSplit, ingest: IngestParams
) -> None:
    """IngestError when train, validation or test has no sample of a gesture folder."""
    for split in LABELLED_SPLITS:
        if histogram.members[split].of_gesture_folders == 0:
            lost = rejects.filter(pc.equal(rejects["split"], split))
            raise IngestError(
                f"split {split} has no sample of a gesture folder, so nothing is labelled there. "
                f"params.yaml holds out of {source.title}: ingest.validation_subjects "
                f"{list(ingest.validation_subjects)}, ingest.test_subjects "
                f"{list(ingest.test_subjects)}. In {split} {describe(lost, REJECTS)}"
            )


def check_fits(histogram: Histogram, reader: DatasetReader, source: SourceSplit) -> None:
    """Warn when no sample of train has a MANO fit; IngestError where the format comes with fits."""
    train = histogram.members[TRAIN]
    if train.without_mano_fit < train.samples:
        return
    found = f"none of the {train.samples} samples of split train has a MANO fit"
    message = f"{found}: {reader.no_fits(source)}"
    if reader.expects_fits:
        raise IngestError(message)
    print(f"ingest: warning: {message}", flush=True)


if __name__ == "__main__":
    sys.exit(run_stage(main, "ingest"))
