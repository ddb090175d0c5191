"""One row per annotated hand: `python -m stages.ingest`.

Reads the annotations and photos in `data.root`, by the reader of `data.format`, and the hand model
of `hand.mano`. Writes `data/ingest/`: samples.parquet, rejects.parquet (every annotation that is
not used, with the reason), contradictions.parquet (annotations beside their box, and fits that are
not used, to be drawn), folders.csv (histogram), split.json (who is in which split), manifest.json.
What `ingest.exclusions` lists is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handpose.counted import counted
from handpose.data.annotation_table import INTERACTING
from handpose.data.merged.interval_units import IntervalUnits
from handpose.data.reader import DatasetReader, SourceSplit
from handpose.data.splits import HELD_OUT_GESTURES, INTERACTING_HANDS, LABELLED_SPLITS, TRAIN
from handpose.errors import HandPoseError
from handpose.exclusions import Exclusions
from handpose.files import atomic_file, digest_of
from stages.hand_model import load_hand_model
from stages.ingestion.candidates import read_ahead
from stages.ingestion.chunks import photo_faults
from stages.ingestion.contradictions import CONTRADICTION
from stages.ingestion.excluded import check_splits, described
from stages.ingestion.formats import open_reader
from stages.ingestion.histogram import Histogram
from stages.ingestion.judgement import Judgement
from stages.ingestion.reject_table import describe, in_order, reasons
from stages.ingestion.samples import (
    SamplesFile,
    of_held_out_gestures,
    split_of,
    write_table,
)
from stages.params import IngestParams, load_params
from stages.paths import CONTRADICTIONS, INGEST, REJECTS, SAMPLES
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import stage_command
from stages.running.progress import Progress

OUT = INGEST

NO_TWO_HANDS = (
    "ingest.interacting asks for annotations of both hands, and the data have none that can be used"
)


class IngestError(HandPoseError):
    """Nothing is left to train on or to evaluate."""


def main() -> None:
    """Read every split, reject what cannot be used, divide the rest by subject, write."""
    started = time.monotonic()
    params = load_params()
    each_hand, root = params.ingest.each_hand, Path(params.data.root)
    reader = open_reader(params.data, each_hand=each_hand)
    source_splits = reader.splits()
    exclusions = Exclusions.read(Path(params.ingest.exclusions))
    check_splits(exclusions, source_splits)
    mano = load_hand_model(params.hand, params.data)
    judgement = Judgement(params.ingest, mano)
    hashing = ThreadPoolExecutor(1)  # gigabytes, without holding Python's lock
    source = hashing.submit(digest_of, reader.files())  # new annotations, new shards
    parts = [HELD_OUT_GESTURES] if params.ingest.held_out_gestures else []
    parts += [INTERACTING_HANDS] if each_hand else []
    units = IntervalUnits.of_splits((s.name, s.evaluated_as, s.units) for s in source_splits)
    histogram = Histogram([*parts, *(split.evaluated_as for split in source_splits)], units)
    unused: list[pa.Table] = []
    faults = partial(photo_faults, root=root) if params.ingest.check_images else None
    with (
        closing(read_ahead(reader, source_splits, params.ingest, mano, exclusions)) as candidates,
        atomic_file(SAMPLES) as file,
        hashing,
        SamplesFile(file, lambda: {"source_digest": source.result()} | units.metadata()) as samples,
    ):
        for split, found in zip(source_splits, candidates, strict=True):
            progress = Progress("ingest", found.total, f"{split.name} hands")
            for used, rejected in judgement.of(
                found, split, faults, progress.step, by_all_cores=faults is not None
            ):
                if used is not None and len(used):
                    samples.write(used)
                    histogram.add_samples(used)
                unused.append(rejected)
        rejects = in_order(pa.concat_tables(unused), [split.name for split in source_splits])
        rejects = with_splits(rejects, source_splits, params.ingest)
        histogram.add_rejects(rejects)
        write_unused(rejects, judgement)  # whatever else is wrong
        report(judgement, exclusions)
        if samples.count == 0:
            lost = describe(rejects, REJECTS)
            raise IngestError(f"no sample is left of {counted(len(rejects), 'annotation')}; {lost}")
        if params.ingest.fit_missing:
            made = counted(judgement.made_fits, "training annotation")
            print(f"ingest: {made} without a MANO fit got one from its joints", flush=True)
        check_labelled(histogram, rejects, source_splits[0], params.ingest)
        warn_without_fits(histogram, reader, source_splits[0])
        if each_hand and not judgement.of_both_hands:
            print(f"ingest: warning: {NO_TWO_HANDS}", flush=True)

    write_counts(histogram, counts_of(histogram, rejects, judgement, params.ingest), started)


def write_unused(rejects: pa.Table, judgement: Judgement) -> None:
    """Write rejects.parquet and contradictions.parquet."""
    write_table(REJECTS, rejects.drop_columns("split"))
    contradictions = [CONTRADICTION.empty_table(), *judgement.contradictions]
    write_table(CONTRADICTIONS, pa.concat_tables(contradictions))


def write_counts(histogram: Histogram, counts: dict[str, Any], started: float) -> None:
    """Write folders.csv, split.json and, when all other files are there, the manifest."""
    histogram.write(OUT / "folders.csv")
    members = histogram.members
    write_json(OUT / "split.json", {split: own.summary() for split, own in members.items()})
    print(f"ingest: {counts}")
    tables = ("samples.parquet", "rejects.parquet", "contradictions.parquet")
    names = (*tables, "folders.csv", "split.json")
    write_manifest(
        OUT / "manifest.json", started=started, counts=counts, outputs=[OUT / n for n in names]
    )


def counts_of(
    histogram: Histogram, rejects: pa.Table, judgement: Judgement, ingest: IngestParams
) -> dict[str, Any]:
    """The manifest's counts: annotations, samples, and what was not used of either, by why."""
    members = histogram.members
    samples = {split: own.samples for split, own in members.items()}
    hands = sum(samples.values()) + len(rejects) + judgement.left_out.total()
    both = {"annotations_of_both_hands": judgement.of_both_hands} if ingest.each_hand else {}
    return {
        "annotations": hands - judgement.of_both_hands,  # whose hands count one by one
        **both,
        "samples": samples,
        "without_mano_fit": sum(own.without_mano_fit for own in members.values()),
        "rejected": reasons(rejects),
        **({"made_fits": judgement.made_fits} if ingest.fit_missing else {}),
        **by_exclusions(judgement),
        **judgement.left_out,  # by the parameters
        **judgement.fit_faults,  # samples, by why they keep no fit
        **judgement.incomplete,  # samples, by why a joint is masked
        **{f"root_of_{split}": one._asdict() for split, one in judgement.roots.items()},
    }


def with_splits(
    rejects: pa.Table, source_splits: Sequence[SourceSplit], ingest: IngestParams
) -> pa.Table:
    """Rejects with our split as a further column; an unknown subject counts as train."""
    splits = np.empty(len(rejects), object)
    source = rejects["source_split"].to_numpy()
    subjects = rejects["subject"].fill_null(-1).to_numpy()
    held_out = of_held_out_gestures(rejects["sequence"], ingest)
    interacting = pc.equal(rejects["kind"], INTERACTING).fill_null(False).to_numpy()
    for split in source_splits:
        own = source == split.name
        splits[own] = split_of(split, subjects[own], held_out[own], interacting[own], ingest)
    return rejects.append_column("split", pa.array(splits, pa.string()))


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


def warn_without_fits(histogram: Histogram, reader: DatasetReader, source: SourceSplit) -> None:
    """Warn when no sample of train has a MANO fit."""
    train = histogram.members[TRAIN]
    if train.without_mano_fit == train.samples:
        found = f"none of the {train.samples} samples of split train has a MANO fit"
        print(f"ingest: warning: {found}: {reader.no_fits(source)}", flush=True)


def by_exclusions(judgement: Judgement) -> dict[str, dict[str, int]]:
    """Annotations that the list of exclusions names, by action and kind; nothing without any."""
    found: dict[str, dict[str, int]] = {}
    for (action, kind), count in sorted(judgement.excluded.items()):
        found.setdefault(f"excluded_{action}", {})[kind] = count
    return found


def report(judgement: Judgement, exclusions: Exclusions) -> None:
    """Print what is excluded, each camera beside the hand, and whose fits are not used."""
    for line in described(judgement.excluded, exclusions):
        print(f"ingest: {line}", flush=True)
    for split, decision in judgement.roots.items():
        print(f"ingest: {split}: {decision}", flush=True)
    for split, camera in judgement.off_cameras:
        print(f"ingest: warning: {split}: {camera}; ingest.min_joints_in_boxes", flush=True)
    if judgement.beside_boxes.total:
        what = counted(judgement.beside_boxes.total, "annotation lies", "annotations lie")
        print(f"ingest: warning: {what} beside the box, {judgement.beside_boxes}", flush=True)
    for reason, tally in judgement.unused_fits.items():
        what = counted(tally.total, "sample keeps", "samples keep")
        print(f"ingest: warning: {what} no MANO fit: {reason}, {tally}", flush=True)


if __name__ == "__main__":
    sys.exit(stage_command(main, "ingest"))
