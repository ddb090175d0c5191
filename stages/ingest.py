"""One row for every single-hand annotation: `python -m stages.ingest`.

Reads the annotation files under `data.root` and the hand model of `hand.mano`. Writes
`data/ingest/`: samples.parquet, rejects.parquet (every annotation that is not used, with its
reason), folders.csv (histogram), split.json (who is in which split), manifest.json.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest
from handpose.hand.mano import Mano
from handpose.interhand.annotations import OFFICIAL_SPLITS, annotation_file, official_splits
from handpose.interhand.camera_frame import RestWrist, take, to_camera_frame
from handpose.interhand.hand_annotation import UNKNOWN, Reject
from handpose.interhand.hand_rows import HandRows
from handpose.interhand.join import read_split
from stages.artifacts import Progress, run_stage, write_json, write_manifest
from stages.ingestion.histogram import Histogram
from stages.ingestion.photo_check import check_photos
from stages.ingestion.rejects import in_order, reasons, rejects_table, told, two_hands_table
from stages.ingestion.samples import SamplesFile, samples_table, split_of, write_table
from stages.ingestion.selection import select
from stages.params import LABELLED_SPLITS, SPLITS, IngestParams, load_params

OUT = Path("data/ingest")
REJECTS = OUT / "rejects.parquet"

ROWS_AT_A_TIME = 20_000
"""Annotations that are in memory as arrays of float64 at a time: 30 MB for each array of joints."""


class IngestError(HandPoseError):
    """Nothing is left to train on or to evaluate, or a held-out subject does not exist."""


def main() -> None:
    """Read every split, sort out what cannot be used, divide the rest by subject, write."""
    started = time.monotonic()
    params = load_params()
    root = Path(params.data.root)
    official = official_splits(root)
    rest_wrist = RestWrist(Mano.load(params.hand.mano).rest_wrist)
    source = {"source_digest": digest(root / "annotations")}  # new annotations, new shards
    histogram = Histogram()
    unused: list[pa.Table] = []
    left_out: Counter[str] = Counter()
    with (
        atomic_file(OUT / "samples.parquet") as partial,
        SamplesFile(partial, source) as samples,
    ):
        for split in official:
            for used, rejected in read(root, split, rest_wrist, params.ingest, left_out):
                if used is not None:
                    samples.write(used)
                    histogram.add_samples(used)
                unused.append(rejected)
        rejects = with_splits(in_order(pa.concat_tables(unused)), params.ingest)
        histogram.add_rejects(rejects)
        write_table(REJECTS, rejects.drop_columns("split"))  # whatever else is wrong
        if samples.count == 0:
            lost = told(rejects, REJECTS)
            raise IngestError(f"no sample is left of {len(rejects)} annotations; {lost}")
        check_labelled(histogram, rejects, params.ingest)
        check_fits(histogram, annotation_file(root, "train", "MANO_NeuralAnnot"))

    histogram.write(OUT / "folders.csv")
    members = histogram.members
    write_json(OUT / "split.json", {split: members[split].told() for split in SPLITS})
    counts = {
        "annotations": samples.count + len(rejects) + left_out.total(),
        "samples": {split: members[split].samples for split in SPLITS},
        "without_mano_fit": sum(members[split].without_mano_fit for split in SPLITS),
        "rejected": reasons(rejects),
        **left_out,  # by choice
    }
    print(f"ingest: {counts}")
    names = ("samples.parquet", "rejects.parquet", "folders.csv", "split.json")
    write_manifest(
        OUT / "manifest.json", started=started, counts=counts, outputs=[OUT / n for n in names]
    )


def read(
    root: Path, split: str, rest_wrist: RestWrist, ingest: IngestParams, left_out: Counter[str]
) -> Iterator[tuple[pa.Table | None, pa.Table]]:
    """One official split, some annotations at a time: samples, if any, and rejects.

    What the parameters leave out is counted in `left_out`, and no photo of it is opened.
    """
    rows, two_hands, rejects = read_split(root, split)
    if split == "train":
        subjects = {reject.origin.subject for reject in rejects}
        for table in (rows.table, two_hands):
            subjects |= set(table["subject"].unique().to_pylist())
        check_subjects(subjects - {UNKNOWN}, ingest)
    rows, by_choice = select(rows, ingest)
    left_out.update(by_choice)  # += would drop a parameter that leaves out nothing
    yield None, pa.concat_tables([two_hands_table(split, two_hands), rejects_table(rejects)])
    progress = Progress("ingest", len(rows), f"{split} hands")
    for some in parts(rows):
        good, rejects = some, []
        if ingest.check_images:
            good, rejects = check_photos(some, root / "images" / split)
        used = None
        if len(good):
            used, unseen = into_table(good, rest_wrist, ingest)
            rejects += unseen
        yield used, rejects_table(rejects)
        progress.step(len(some))


def parts(rows: HandRows) -> Iterator[HandRows]:
    """The rows by capture, and no more than `ROWS_AT_A_TIME` together."""
    captures = np.flatnonzero(np.diff(rows.table["capture"].to_numpy())) + 1
    ends = [0, *captures.tolist(), len(rows)]
    for begin, end in pairwise(ends):
        for start in range(begin, end, ROWS_AT_A_TIME):
            yield rows.slice(start, min(start + ROWS_AT_A_TIME, end))


def into_table(
    rows: HandRows, rest_wrist: RestWrist, ingest: IngestParams
) -> tuple[pa.Table, list[Reject]]:
    """The rows that can be used, at least one given, as rows of samples.parquet; and the others."""
    hands, faults = to_camera_frame(
        rows.in_world(), rest_wrist, min_valid_joints=ingest.min_valid_joints
    )
    kept = np.setdiff1d(np.arange(len(rows)), [fault.place for fault in faults])
    rejects = [Reject(rows.origin(row), reason, detail) for row, reason, detail in faults]
    good = rows.take(kept) if faults else rows
    splits = split_of(rows.official_split, good.table["subject"].to_numpy(), ingest)
    return samples_table(good, take(hands, kept) if faults else hands, splits), rejects


def with_splits(rejects: pa.Table, ingest: IngestParams) -> pa.Table:
    """Rejects with their split as a further column."""
    splits = np.empty(len(rejects), object)
    official = rejects["official_split"].to_numpy()
    subjects = rejects["subject"].fill_null(UNKNOWN).to_numpy()
    for name in OFFICIAL_SPLITS:
        splits[official == name] = split_of(name, subjects[official == name], ingest)
    return rejects.append_column("split", pa.array(splits, pa.string()))


def check_subjects(there: set[int], ingest: IngestParams) -> None:
    """IngestError when a held-out subject does not exist: mistyped, they would be trained on."""
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
            f"params.yaml: {' and '.join(unknown)}, who are not in official train. Subjects "
            f"there: {sorted(there)}"
        )


def check_labelled(histogram: Histogram, rejects: pa.Table, ingest: IngestParams) -> None:
    """IngestError when train, validation or test has no sample of a gesture folder."""
    for split in LABELLED_SPLITS:
        if histogram.members[split].of_gesture_folders == 0:
            lost = rejects.filter(pc.equal(rejects["split"], split))
            raise IngestError(
                f"split {split} has no sample of a gesture folder, so nothing is labelled there. "
                f"params.yaml holds out of official train: ingest.validation_subjects "
                f"{list(ingest.validation_subjects)}, ingest.test_subjects "
                f"{list(ingest.test_subjects)}. In {split} {told(lost, REJECTS)}"
            )


def check_fits(histogram: Histogram, file: Path) -> None:
    """IngestError when nobody in train has a MANO fit: stage 2 would learn no mesh, in silence."""
    train = histogram.members["train"]
    if train.without_mano_fit == train.samples:
        raise IngestError(
            f"none of the {train.samples} samples of split train has a MANO fit: {file} has none "
            "for them. Is it the file of this split and version? `handpose data verify` tells more"
        )


if __name__ == "__main__":
    sys.exit(run_stage(main, "ingest"))
