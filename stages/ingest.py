"""One row for every single-hand annotation: `python -m stages.ingest`.

Reads the annotation files under `data.root` and the hand model of `hand.mano`. Writes
`data/ingest/`: samples.parquet, rejects.parquet (every annotation that is not used, with its
reason), folders.csv (histogram), split.json (who is in which split), manifest.json.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path

from handpose.data.camera_frame import RestWrist, into_camera
from handpose.data.hand_view import UNKNOWN, Origin, Reject, View, views
from handpose.data.interhand import OFFICIAL_SPLITS, Annotations, official_splits
from handpose.data.photo import PhotoError, read_photo
from handpose.errors import HandPoseError
from handpose.hand.mano import Mano
from stages.artifacts import Progress, digest, run_door, write_json, write_manifest
from stages.params import LABELLED_SPLITS, SPLITS, Ingest, load_params
from stages.samples import (
    Samples,
    join,
    rejects_table,
    samples_table,
    split_lists,
    split_of,
    write_folders,
    write_table,
)

OUT = Path("data/ingest")

PHOTOS_AT_A_TIME = 2000


class IngestError(HandPoseError):
    """Nothing is left to train on or to evaluate, or a held-out subject does not exist."""


def main() -> None:
    """Read every split, sort out what cannot be used, divide the rest by subject, write."""
    started = time.monotonic()
    params = load_params()
    root = Path(params.data.root)
    official = official_splits(root)
    rest_wrist = RestWrist(Mano.load(params.hand.mano).rest_wrist)
    parts: list[Samples] = []
    rejects: list[Reject] = []
    for split in official:
        found, unused = read_split(root, split, rest_wrist, params.ingest)
        parts += found
        rejects += unused

    rejects.sort(key=lambda reject: _order(reject.origin))
    write_table(OUT / "rejects.parquet", rejects_table(rejects))  # first, for what may be wrong
    if not any(part.views for part in parts):
        raise IngestError(f"no sample is left of {len(rejects)} annotations; {_told(rejects)}")
    samples = join(parts)
    check_subjects(samples.views, rejects, params.ingest)
    check_labelled(samples.views, rejects, params.ingest)

    splits = [split_of(view.origin, params.ingest) for view in samples.views]
    source = {"source_digest": digest(root / "annotations")}  # new annotations, new shards
    table = samples_table(samples, splits).replace_schema_metadata(source)
    write_table(OUT / "samples.parquet", table)
    write_folders(OUT / "folders.csv", samples.views, rejects, params.ingest)
    write_json(OUT / "split.json", split_lists(samples.views, splits))
    counts = {
        "annotations": len(samples.views) + len(rejects),
        "samples": {split: splits.count(split) for split in SPLITS},
        "without_mano_fit": int((~samples.hands.has_mano).sum()),
        "rejected": _reasons(rejects),
    }
    print(f"ingest: {counts}")
    names = ("samples.parquet", "rejects.parquet", "folders.csv", "split.json")
    write_manifest(
        OUT / "manifest.json", started=started, counts=counts, outputs=[OUT / n for n in names]
    )


def read_split(
    root: Path, split: str, rest_wrist: RestWrist, ingest: Ingest
) -> tuple[list[Samples], list[Reject]]:
    """One official split: its samples, in one part a capture, and its rejects."""
    annotations = Annotations.read(root, split)
    progress = Progress("ingest", len(annotations.hands), f"{split} annotations")
    usable: list[View] = []
    rejects: list[Reject] = []
    for found in progress.over(views(annotations)):
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            usable.append(found)
    usable.sort(key=lambda view: _order(view.origin))
    if ingest.check_images:
        usable, unused = check_photos(usable, root / "images" / split)
        rejects += unused
    parts = []
    for _, capture in groupby(usable, key=lambda view: view.origin.capture):
        kept, hands, unused = into_camera(
            list(capture), rest_wrist, min_valid_joints=ingest.min_valid_joints
        )
        parts.append(Samples(kept, hands))
        rejects += unused
    return parts, rejects


def check_photos(usable: list[View], images: Path) -> tuple[list[View], list[Reject]]:
    """The views whose photo is whole and of the annotated size, and the others as rejects."""
    progress = Progress("ingest", len(usable), "photos")
    faults: list[Reject | None] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without holding the GIL
        for start in range(0, len(usable), PHOTOS_AT_A_TIME):
            some = usable[start : start + PHOTOS_AT_A_TIME]
            faults += progress.over(pool.map(partial(photo_fault, images=images), some))
    good = [view for view, fault in zip(usable, faults, strict=True) if fault is None]
    return good, [fault for fault in faults if fault is not None]


def photo_fault(view: View, images: Path) -> Reject | None:
    """What is wrong with a view's photo, if anything."""
    path = images / view.origin.file_name
    try:
        height, width = read_photo(path).shape[:2]
    except PhotoError as error:
        return Reject(view.origin, error.reason, error.detail)
    if (width, height) == (view.width, view.height):
        return None
    detail = f"{path} is {width}x{height} px, its annotation says {view.width}x{view.height}"
    return Reject(view.origin, "image_size", detail)


def check_subjects(used: Sequence[View], rejects: Sequence[Reject], ingest: Ingest) -> None:
    """IngestError when a held-out subject does not exist: mistyped, they would be trained on."""
    origins = [view.origin for view in used] + [reject.origin for reject in rejects]
    there = {o.subject for o in origins if o.official_split == "train"} - {UNKNOWN}
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


def check_labelled(used: Sequence[View], rejects: Sequence[Reject], ingest: Ingest) -> None:
    """IngestError when train, validation or test has no sample of a gesture folder."""
    gestures = (view for view in used if view.kind == "gesture")
    count = Counter(split_of(view.origin, ingest) for view in gestures)
    for split in LABELLED_SPLITS:
        if count[split] == 0:
            lost = [reject for reject in rejects if split_of(reject.origin, ingest) == split]
            raise IngestError(
                f"split {split} has no sample of a gesture folder, so nothing is labelled there. "
                f"params.yaml holds out of official train: ingest.validation_subjects "
                f"{list(ingest.validation_subjects)}, ingest.test_subjects "
                f"{list(ingest.test_subjects)}. In {split} {_told(lost)}"
            )


def _order(origin: Origin) -> tuple[int, int, str, int, str, int]:
    """The order of samples, whatever that of the annotations; the id settles what is left open."""
    split = OFFICIAL_SPLITS.index(origin.official_split)
    place = (origin.capture, origin.seq_name, origin.frame, origin.camera)
    return split, *place, origin.annotation_id


def _reasons(rejects: Sequence[Reject]) -> dict[str, int]:
    """How many rejects for each reason, the most frequent first."""
    return dict(Counter(reject.reason for reject in rejects).most_common())


def _told(rejects: Sequence[Reject]) -> str:
    """The rejects in words: a table of reasons and an example."""
    if not rejects:
        return "no annotation was rejected"
    table = "".join(f"\n  {n:>8} {reason}" for reason, n in _reasons(rejects).items())
    first = rejects[0]
    return (
        f"{len(rejects)} annotations were rejected:{table}\nfor example annotation "
        f"{first.origin.annotation_id}: {first.reason} {first.detail}\nAll are in "
        f"{OUT / 'rejects.parquet'}"
    )


if __name__ == "__main__":
    sys.exit(run_door(main, "ingest"))
