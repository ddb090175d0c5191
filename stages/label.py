"""Classes of the gesture folders: `python -m stages.label`.

Reads the gesture map (`label.map`) and `data/ingest/samples.parquet`. Writes `data/labels/`:
labels.parquet (folder -> classes), membership.txt (the folders that are used, without classes,
so that relabelling cuts no crop again), coverage.csv (samples per gesture and split),
manifest.json. The order of the map's rows changes nothing.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handpose.data.splits import LABELLED_SPLITS, all_splits
from handpose.errors import HandPoseError
from handpose.files import atomic_file
from handpose.gesture_map import LEVELS, OTHER_HAND, FolderNaming
from handpose.gestures import GestureTable
from stages.artifacts import run_stage, write_manifest
from stages.ingestion.naming import folder_naming
from stages.params import load_params
from stages.paths import LABEL, LABELS, MEMBERSHIP, SAMPLES

OUT = LABEL

Counts = Counter[tuple[str, str]]
"""Samples by (folder, split), or (folder, hand)."""


class LabelError(HandPoseError):
    """The gesture map does not fit the data."""


def main() -> None:
    """Read the map, compare it with the folders of the data, write."""
    started = time.monotonic()
    params = load_params()
    label = params.label
    table = GestureTable.read(Path(label.map), folder_naming(params.data))
    gestures, others, hands = read_counts(SAMPLES)
    check_known(table, gestures, folder_naming(params.data))
    check_hands(table, hands)
    check_labelled(table, gestures)

    labels = labels_table(table, canonical=label.handedness == "canonical")
    with atomic_file(LABELS) as partial:
        pq.write_table(labels, partial)
    dropped = {row.folder for row in table.rows if row.dropped}
    members = {folder for folder, _ in gestures | others} - dropped
    with atomic_file(MEMBERSHIP) as partial:
        partial.write_text("".join(f"{m}\n" for m in sorted(members)), encoding="utf-8")
    splits = all_splits(split for _, split in gestures | others)
    write_coverage(OUT / "coverage.csv", table, gestures, splits)
    counts = {
        "coarse_classes": len(set(labels["coarse_id"].to_pylist())),
        "fine_classes": len(set(labels["fine_id"].to_pylist())),
        "folders_in_the_data": len(members),
        "dropped": sorted(dropped),
        "without_a_sample": sorted({r.folder for r in table.labelled} - members),
    }
    print(f"label: {counts}")
    names = ("labels.parquet", "membership.txt", "coverage.csv")
    write_manifest(
        OUT / "manifest.json", started=started, counts=counts, outputs=[OUT / n for n in names]
    )


def read_counts(path: Path) -> tuple[Counts, Counts, Counts]:
    """Samples by folder and split, of gesture folders and of others; by gesture folder and hand.

    Raises:
        LabelError: the file is not there.
    """
    if not path.is_file():
        raise LabelError(f"{path}: not found; run `dvc repro ingest` first")
    samples = pq.read_table(path, columns=["kind", "sequence", "split", "is_left"])

    def count(rows: pa.Table) -> Counts:
        return Counter(zip(rows["sequence"].to_pylist(), rows["split"].to_pylist(), strict=True))

    is_gesture = pc.equal(samples["kind"], "gesture")
    gestures = samples.filter(is_gesture)
    hands = pc.if_else(gestures["is_left"], "left", "right").to_pylist()
    by_hand = Counter(zip(gestures["sequence"].to_pylist(), hands, strict=True))
    return count(gestures), count(samples.filter(pc.invert(is_gesture))), by_hand


def check_known(table: GestureTable, gestures: Counts, naming: FolderNaming | None = None) -> None:
    """LabelError when the data have a gesture folder that the map does not list."""
    known = {row.folder for row in table.rows}
    unknown = sorted({folder for folder, _ in gestures} - known)
    if not unknown:
        return
    lines = []
    for folder in unknown:
        near = table.nearest(folder)
        lines.append(f"\n  {folder}" + (f" (nearest known folder: {near})" if near else ""))
    text = f"{table.path} does not list these gesture folders of the data:{''.join(lines)}\n"
    unnamed = [folder for folder in unknown if naming and not naming.hand_and_gesture(folder)]
    if len(unnamed) < len(unknown):
        text += "Add a row with its classes for each (labels/README.md explains how). "
    if unnamed and naming:
        text += f"No class can be given to {', '.join(unnamed)}: {naming.expected}. "
    rows = "".join(f"\n{table.drop_line(folder)}" for folder in unknown)
    raise LabelError(f"{text}To leave folders out, add these lines:{rows}")


def check_hands(table: GestureTable, hands: Counts) -> None:
    """LabelError when a labelled gesture folder has samples of the other hand than in the map."""
    wrong = []
    for row in table.labelled:
        other = OTHER_HAND[row.hand]
        if count := hands[row.folder, other]:
            text = f"{count} of a {other} hand, but its row says {row.hand}"
            wrong.append(f"\n  {row.folder}: {text}")
    if wrong:
        raise LabelError(
            f"{table.path} and the data disagree about the hand of these folders:"
            f"{''.join(sorted(wrong))}\n"
            "Give each hand a folder of its own, and each folder the hand that it shows"
        )


def check_labelled(table: GestureTable, gestures: Counts) -> None:
    """LabelError when train, validation or test has no sample with a class."""
    labelled = {row.folder for row in table.labelled}
    count = Counter[str]()
    for (folder, split), n in gestures.items():
        count[split] += n * (folder in labelled)
    empty = [split for split in LABELLED_SPLITS if count[split] == 0]
    if empty:
        raise LabelError(
            f"no labelled sample is left in {', '.join(empty)}: {table.path} drops every gesture "
            "folder that is there (data/ingest/folders.csv lists them)"
        )


def labels_table(table: GestureTable, *, canonical: bool) -> pa.Table:
    """labels.parquet: folders that are not dropped, with their classes and those when mirrored.

    In canonical mode there are the right hand's classes only, and a mirrored image keeps its own.
    """
    rows = table.labelled
    columns: dict[str, list[str] | list[int]] = {
        name: [getattr(row, name) for row in rows]
        for name in ("folder", "hand", "gesture", "coarse", "fine")
    }
    for level in LEVELS:
        ids = table.class_ids(level, canonical=canonical)
        own = [(row.hand, row.name(level)) for row in rows]
        columns[f"{level}_id"] = [ids[hand, name] for hand, name in own]
        columns[f"twin_{level}_id"] = [ids[OTHER_HAND[hand], name] for hand, name in own]
    return pa.table(columns)


def write_coverage(
    path: Path, table: GestureTable, gestures: Counts, splits: Sequence[str]
) -> None:
    """coverage.csv: one row per folder of the map, dropped ones too, with samples per split."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("folder", "gesture", "hand", "coarse", "fine", *splits))
        for row in table.rows:
            counts = (gestures[row.folder, split] for split in splits)
            writer.writerow((row.folder, row.gesture, row.hand, row.coarse, row.fine, *counts))


if __name__ == "__main__":
    sys.exit(run_stage(main, "label"))
