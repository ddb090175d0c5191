"""Classes of the gesture folders: `python -m stages.label`.

Reads the gesture map (`label.map`), with `data.hagrid` that of HaGRID's gestures too, and
`data/ingest/samples.parquet`. Writes `data/labels/`:
labels.parquet (folder -> classes, or image -> classes, see `label.source` and `label.shuffle`),
membership.txt (the folders that are used, without classes,
so that relabelling cuts no crop again), coverage.csv (samples per gesture and split),
manifest.json. The order of the map's rows changes nothing.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handpose.data.splits import (
    HELD_OUT_GESTURES,
    LABELLED_SPLITS,
    TRAIN,
    VALIDATION,
    all_splits,
)
from handpose.errors import HandPoseError
from handpose.files import atomic_file
from handpose.gesture_map import GestureMap
from handpose.gesture_row import LEVELS, OTHER_HAND, FolderNaming, GestureRow
from handpose.hagrid.hagrid_map import new_classes, read_hagrid_map, with_hagrid
from stages.ingestion.naming import folder_naming
from stages.labelling.image_labels import NONE, of_codes, of_donors, read_images
from stages.labelling.pose_codes import (
    FINGER_COLUMNS,
    POSE_COLUMNS,
    finger_state_codes,
    pose_cluster_codes,
)
from stages.labelling.shuffled import UNIT, donors, shuffled_gestures
from stages.params import LabelParams, load_params
from stages.paths import LABEL, LABELS, MEMBERSHIP, SAMPLES, require
from stages.running.artifacts import write_manifest
from stages.running.command import stage_command

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
    table = GestureMap.read(Path(label.map), folder_naming(params.data))
    gestures, others, hands = read_counts(SAMPLES)
    check_known(table, gestures, folder_naming(params.data))
    check_hands(table, hands)
    check_labelled(table, gestures)
    check_held_out(table, gestures)

    if label.shuffle == "folders":
        table = dataclasses.replace(table, rows=_with_dropped(table, label.seed))
    photos = list(read_hagrid_map(Path(label.hagrid_map)).values()) if params.data.hagrid else []
    added = new_classes(table, photos)
    both = with_hagrid(table, photos)
    labels = classes(both, label, SAMPLES)
    with atomic_file(LABELS) as partial:
        pq.write_table(labels, partial)
    dropped = {row.folder for row in table.rows if row.dropped}
    members = {folder for folder, _ in gestures | others} - dropped
    with atomic_file(MEMBERSHIP) as partial:
        used = members | {row.folder for row in both.rows[len(table.rows) :]}
        partial.write_text("".join(f"{m}\n" for m in sorted(used)), encoding="utf-8")
    splits = all_splits(split for _, split in gestures | others)
    write_coverage(OUT / "coverage.csv", table, gestures, splits)
    counts = {
        "coarse_classes": len(set(labels["coarse_id"].to_pylist()) - {NONE}),
        "fine_classes": len(set(labels["fine_id"].to_pylist()) - {NONE}),
        "folders_in_the_data": len(members),
        "dropped": sorted(dropped),
        "without_a_sample": sorted({r.folder for r in table.labelled} - members),
        **image_counts(labels),
        **held_out_counts(table, gestures),
        **({"classes_of_hagrid_alone": added} if photos else {}),
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
    require(path, "ingest", LabelError)
    samples = pq.read_table(path, columns=["kind", "sequence", "split", "is_left"])

    def count(rows: pa.Table) -> Counts:
        return Counter(zip(rows["sequence"].to_pylist(), rows["split"].to_pylist(), strict=True))

    is_gesture = pc.equal(samples["kind"], "gesture")
    gestures = samples.filter(is_gesture)
    hands = pc.if_else(gestures["is_left"], "left", "right").to_pylist()
    by_hand = Counter(zip(gestures["sequence"].to_pylist(), hands, strict=True))
    return count(gestures), count(samples.filter(pc.invert(is_gesture))), by_hand


def check_known(table: GestureMap, gestures: Counts, naming: FolderNaming | None = None) -> None:
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


def check_hands(table: GestureMap, hands: Counts) -> None:
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


def check_labelled(table: GestureMap, gestures: Counts) -> None:
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


def check_held_out(table: GestureMap, gestures: Counts) -> None:
    """LabelError when a gesture is held out of training on one hand, and trained on the other."""
    held_out, trained = _held_out(gestures)
    wrong = [
        f"\n  {row.folder} is held out, its twin {row.twin} is not"
        for row in table.labelled
        if row.folder in held_out and row.twin in trained
    ]
    if wrong:
        raise LabelError(
            f"a mirrored image has the gesture of the other hand, which is trained on:"
            f"{''.join(wrong)}\nName both in ingest.held_out_gestures, or neither"
        )


def held_out_counts(table: GestureMap, gestures: Counts) -> dict[str, list[str]]:
    """The held-out folders, and which share their fine class with a folder that is trained on."""
    held_out, trained = _held_out(gestures)
    if not held_out:
        return {}
    rows = {row.folder: row for row in table.labelled}
    taught = {(rows[f].hand, rows[f].fine) for f in trained & rows.keys()}
    alike = [f for f in held_out & rows.keys() if (rows[f].hand, rows[f].fine) in taught]
    return {"held_out": sorted(held_out), "held_out_but_of_a_trained_class": sorted(alike)}


def _held_out(gestures: Counts) -> tuple[set[str], set[str]]:
    """The gesture folders that are held out, and those that are trained on."""
    held_out = {folder for folder, split in gestures if split == HELD_OUT_GESTURES}
    return held_out, {folder for folder, split in gestures if split in (TRAIN, VALIDATION)}


def labels_table(table: GestureMap, *, canonical: bool) -> pa.Table:
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


def classes(table: GestureMap, label: LabelParams, samples: Path) -> pa.Table:
    """labels.parquet as the section `label` asks for it.

    Args:
        table: the gesture map, whose folders' classes may have been exchanged.
        label: the section.
        samples: samples.parquet, read only where each image gets classes of its own.

    Raises:
        PoseCodeError: the training data have too few poses for `label.source`.
    """
    canonical = label.handedness == "canonical"
    folders = labels_table(table, canonical=canonical)
    names = folders["folder"].to_pylist()
    if label.source == "finger_states":
        images = read_images(samples, names, FINGER_COLUMNS)
        return of_codes(images, finger_state_codes(images), canonical=canonical)
    if label.source == "pose_clusters":
        images = read_images(samples, names, POSE_COLUMNS)
        coarse, fine = (len(set(table.class_ids(x, canonical=True).values())) for x in LEVELS)
        codes = pose_cluster_codes(images, coarse, fine, label.seed)
        return of_codes(images, codes, canonical=canonical)
    if label.shuffle in ("sequences", "images"):
        images = read_images(samples, names, UNIT["images"])
        return of_donors(folders, images, donors(images, table.labelled, label.shuffle, label.seed))
    return folders


def _with_dropped(table: GestureMap, seed: int) -> tuple[GestureRow, ...]:
    """The rows of the map with the classes of other gestures, dropped rows as they are."""
    changed = {row.folder: row for row in shuffled_gestures(table.labelled, seed)}
    return tuple(changed.get(row.folder, row) for row in table.rows)


def image_counts(labels: pa.Table) -> dict[str, int]:
    """How many images have classes of their own, and how many none; nothing for folders' labels."""
    if "sample_id" not in labels.column_names:
        return {}
    own = labels.filter(pc.is_valid(labels["sample_id"]))
    lacking = pc.equal(own["fine_id"], NONE)
    return {"images": len(own), "images_without_a_class": pc.sum(lacking).as_py() or 0}


def write_coverage(path: Path, table: GestureMap, gestures: Counts, splits: Sequence[str]) -> None:
    """coverage.csv: one row per folder of the map, dropped ones too, with samples per split."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("folder", "gesture", "hand", "coarse", "fine", *splits))
        for row in table.rows:
            counts = (gestures[row.folder, split] for split in splits)
            writer.writerow((row.folder, row.gesture, row.hand, row.coarse, row.fine, *counts))


if __name__ == "__main__":
    sys.exit(stage_command(main, "label"))
