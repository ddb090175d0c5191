"""Crops of all samples into WebDataset tars: `python -m stages.shard`.

Reads `data/ingest/samples.parquet`, `data/labels/membership.txt` (the folders used) and the photos
under `data.root`, and with `data.hagrid` the photos of HaGRID. Writes `data/shard/`: tars/,
index.json, rejects.csv, manifest.json. It does not read classes, so relabelling does not run it
again.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handpose.cores import usable_cores
from handpose.data.records import FIELDS, ORIGIN
from handpose.data.shards import Index, ShardError, Tar
from handpose.data.splits import all_splits
from handpose.files import atomic_file, atomic_folder
from stages.params import ShardParams, load_params
from stages.paths import MEMBERSHIP, SAMPLES, SHARDS, require
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import stage_command
from stages.running.progress import Progress
from stages.sharding.gesture_photos import photo_plan, read_photos, write_photos
from stages.sharding.tars import TarTask, UncutSample, Written, check_library, write
from stages.sharding.workers import in_order

SAMPLES_PER_WORKER = 5000
"""A process takes as long to start (it imports torch) as to cut this many crops."""

COLUMNS = (*FIELDS, *ORIGIN, "split", "image", "width", "height", "bbox")


def main() -> None:
    """Read the parameters, cut and write every tar, then the index, the rejects, the manifest."""
    started = time.monotonic()
    params = load_params()
    check_library(params.shard)
    samples = read_members(SAMPLES, MEMBERSHIP)
    photos = read_photos(params, MEMBERSHIP)
    total = samples.num_rows + sum(len(own.hands) for own in photos.values())
    with atomic_folder(SHARDS / "tars") as folder:
        tasks = plan(samples, folder, Path(params.data.root), params.shard)
        progress = Progress("shard", total, "images")
        cores = params.shard.workers or usable_cores()
        workers = min(cores, 1 + total // SAMPLES_PER_WORKER)
        written = []

        def collect(results: Generator[Written, None, None]) -> None:
            with closing(results):
                for result in results:
                    written.append(result)
                    progress.step(result.tar.samples + len(result.rejects))

        collect(in_order(write, tasks, workers, "shard.workers"))
        first = 1 + pc.max(pq.read_table(SAMPLES, columns=["sample_id"])["sample_id"]).as_py()
        for split, own in photos.items():
            photo_tasks = photo_plan(split, own, folder, params, first)
            collect(in_order(write_photos, photo_tasks, workers, "shard.workers"))
            first += len(own.hands)
        rejects = sorted(reject for result in written for reject in result.rejects)
        write_rejects(SHARDS / "rejects.csv", rejects)
        reasons = Counter(reject.reason for reject in rejects)
        if len(rejects) == total:
            raise ShardError(
                f"no sample is left: all {len(rejects)} were rejected ({dict(reasons)}), the first "
                f"one because {rejects[0].detail}. Does data.root ({params.data.root}) hold "
                f"the photos? The whole list is in {SHARDS / 'rejects.csv'}"
            )
        splits = (*split_names(samples), *photos)
        tars = keep_filled(folder, splits, [result.tar for result in written])
        (SHARDS / "index.json").unlink(
            missing_ok=True
        )  # the old index, just before its tars are replaced
    index = Index(params.shard.crop_px, params.shard.view_px, tars)
    write_json(SHARDS / "index.json", index.to_json())
    counts: dict[str, Any] = {split: index.count(split) for split in tars}
    counts["rejected"] = dict(reasons)
    if photos:
        counts["unused"] = {split: dict(own.unused) for split, own in photos.items()}
    print(f"shard: {counts}")
    write_manifest(
        SHARDS / "manifest.json", started=started, counts=counts, outputs=[SHARDS / "index.json"]
    )


def read_members(samples: Path, membership: Path) -> pa.Table:
    """Rows of samples.parquet whose folder is a member, by sample_id, with the columns needed here.

    Raises:
        ShardError: a file is missing, or no row is left.
    """
    for path, stage in ((samples, "ingest"), (membership, "label")):
        require(path, stage, ShardError)
    folders = membership.read_text("utf-8").splitlines()
    table = pq.read_table(samples, columns=list(COLUMNS))
    table = table.filter(pc.is_in(table["sequence"], pa.array(folders, pa.string())))
    if table.num_rows == 0:
        raise ShardError(
            f"{samples} has no row of the {len(folders)} folders in {membership}: nothing to cut"
        )
    return table.sort_by("sample_id")


def split_names(samples: pa.Table) -> tuple[str, ...]:
    """The splits of these samples in their order, the labelled ones first."""
    return all_splits(samples["split"].unique().to_pylist())


def plan(samples: pa.Table, folder: Path, root: Path, shard: ShardParams) -> Iterator[TarTask]:
    """The tars to write: each split in one fixed random order.

    Evaluation relies on it too: an image's neighbour is another person with another gesture.
    """
    split_of = np.asarray(samples["split"])
    for split in split_names(samples):
        rows = np.random.default_rng(shard.seed).permutation(np.flatnonzero(split_of == split))
        for number, start in enumerate(range(0, len(rows), shard.samples_per_tar)):
            part = samples.take(rows[start : start + shard.samples_per_tar])
            yield TarTask(folder / f"{split}-{number:06d}.tar", part, root, shard)


def write_rejects(path: Path, rejects: list[UncutSample]) -> None:
    """The table of samples that could not be cut; its header alone when there is none."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(UncutSample._fields)
        writer.writerows(rejects)


def keep_filled(folder: Path, splits: Sequence[str], tars: list[Tar]) -> dict[str, tuple[Tar, ...]]:
    """The tars of each split in order; one whose samples were all rejected is removed."""
    for tar in tars:
        if tar.samples == 0:
            (folder / tar.name).unlink()
    filled = sorted((tar for tar in tars if tar.samples), key=lambda tar: tar.name)
    own = {s: tuple(tar for tar in filled if tar.name.startswith(f"{s}-")) for s in splits}
    return {split: tars for split, tars in own.items() if tars}


if __name__ == "__main__":
    sys.exit(stage_command(main, "shard"))
