"""The stand-in hand and a synthetic InterHand2.6M: `python -m stages.synthesize`.

Writes `data/stand_in/` (the licence-free hand model), `data/synthetic/` (`images/` and
`annotations/` in InterHand2.6M's own layout) and `data/synthesize_manifest.json`. What the
parameters say is elsewhere is not made; its folder holds a note that says so.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch

from handpose.files import atomic_folder, digest
from handpose.hand.mano import Mano
from handpose.interhand.annotations import official_splits
from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.plan import Capture, DatasetSpec, Take, plan
from handpose.synthetic.sequence import Studio
from handpose.synthetic.stand_in import write_stand_in
from handpose.synthetic.writer import FrameRecord, InterHandWriter, write_skeleton
from stages.artifacts import Progress, run_stage, write_json, write_manifest
from stages.params import Params, load_params
from stages.paths import STAND_IN, SYNTHETIC, is_same_path
from stages.sharding.workers import in_order

MANIFEST = Path("data/synthesize_manifest.json")

WHAT = "synthetic hands in InterHand2.6M's layout, made by handpose; this is not InterHand2.6M"


class SequenceTask(NamedTuple):
    """One take to be filmed, and all a worker needs for it."""

    recipe: DatasetSpec
    mano: Path
    take: Take
    images: Path


def main() -> None:
    """Make the hand model, then the data set, then the manifest."""
    started = time.monotonic()
    params = load_params()
    counts: dict[str, Any] = {}
    own_hand, own_data = (
        is_same_path(params.hand.mano, STAND_IN),
        is_same_path(params.data.root, SYNTHETIC),
    )
    if not own_data:
        official_splits(Path(params.data.root))  # before what is there is emptied
    if not own_hand:
        Mano.load(params.hand.mano)
    with atomic_folder(STAND_IN) as folder:
        if own_hand:
            write_stand_in(folder)
        else:
            counts["stand_in"] = _note(folder, f"hand.mano is {params.hand.mano}")
    with atomic_folder(SYNTHETIC) as folder:
        if own_data:
            counts["images"] = synthesize(params, folder)
        else:
            counts["synthetic"] = _note(folder, f"data.root is {params.data.root}")
    write_manifest(MANIFEST, started=started, counts=counts, outputs=[STAND_IN, _told(SYNTHETIC)])


def synthesize(params: Params, root: Path) -> dict[str, int]:
    """Write the data set to `root` and return the number of images of each split."""
    settings = params.synthesize.keywords(without={"workers"})
    recipe, mano = DatasetSpec(**settings), Path(params.hand.mano)
    captures = list(plan(recipe, read_gesture_poses()))
    annotations = root / "annotations"
    total = sum(take.images for _, takes in captures for take in takes)
    tasks = (
        SequenceTask(recipe, mano, take, root / "images") for _, takes in captures for take in takes
    )
    filmed = in_order(film, tasks, params.synthesize.workers or os.cpu_count() or 1)
    images: Counter[str] = Counter()
    progress: Progress | None = None  # its clock starts when the workers do
    for split in dict.fromkeys(capture.split for capture, _ in captures):
        with InterHandWriter(annotations / split, split) as writer:
            for capture, takes in captures:
                if capture.split != split:
                    continue
                writer.add_capture(capture.number, capture.rig.cameras)
                for take in takes:
                    for instant in next(filmed):
                        writer.add(instant)
                    progress = progress or Progress("synthesize", total, "images")
                    progress.step(take.images)
            images[split] = writer.count
    write_skeleton(annotations / "skeleton.txt")
    _write_subjects(annotations / "subject.txt", [capture for capture, _ in captures])
    write_json(annotations / "synthetic.json", _description(recipe, mano))
    return dict(images)


def film(task: SequenceTask) -> list[FrameRecord]:
    """One take, filmed in this process."""
    return _studio(task.recipe, task.mano).film(task.take, task.images)


@cache
def _studio(recipe: DatasetSpec, mano: Path) -> Studio:
    """The studio of this process, for all its takes; its bytes must not depend on threads."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return Studio(recipe, Mano.load(mano), read_gesture_poses())


def _description(recipe: DatasetSpec, mano: Path) -> dict[str, Any]:
    """What the data set says of itself."""
    poses = resources.files("handpose.synthetic") / "gesture_poses.csv"
    with resources.as_file(poses) as path:
        return {
            "what": WHAT,
            "recipe": dataclasses.asdict(recipe),
            "hand_model": digest(mano / "MANO_RIGHT.npz"),
            "gesture_poses": digest(path),
        }


def _write_subjects(path: Path, captures: Iterable[Capture]) -> None:
    """subject.txt: who was there in which capture."""
    lines = [f"{c.split} Capture{c.number} {c.subject}" for c in captures]
    path.write_text("\n".join(["# split capture subject", *lines]) + "\n", encoding="utf-8")


def _note(folder: Path, reason: str) -> str:
    """Leave a note in a folder that is not filled, and return it for the manifest."""
    note = f"not made: {reason}"
    (folder / "README.txt").write_text(f"{note}\n", encoding="utf-8")
    print(f"synthesize: {note}")
    return note


def _told(folder: Path) -> Path:
    """The part of the data set whose digest goes into the manifest: not every single image."""
    annotations = folder / "annotations"
    return annotations if annotations.is_dir() else folder


if __name__ == "__main__":
    sys.exit(run_stage(main, "synthesize"))
