"""Generate the stand-in hand and a synthetic InterHand2.6M: `python -m stages.synthesize`.

Writes `data/stand_in/` (the licence-free hand model), `data/synthetic/` (`images/` and
`annotations/` in InterHand2.6M's layout) and `data/synthesize_manifest.json`. If the parameters
point to another hand model or data set, that part is not generated; its folder holds a note.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch

from handpose.cores import usable_cores
from handpose.files import atomic_folder, digest
from handpose.interhand.annotations import official_splits
from handpose.synthetic.articulation import own_gesture_table, read_gesture_poses
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, SequencePlan, plan
from handpose.synthetic.scene.photo_backdrop import PHOTOS
from handpose.synthetic.sequence import SequenceRenderer
from handpose.synthetic.stand_in import write_stand_in
from handpose.synthetic.writer import FrameText, InterHandWriter, frame_text, write_skeleton
from stages.hand_model import joint_definition, load_hand_model
from stages.params import DataParams, HandParams, Params, load_params
from stages.paths import STAND_IN, SYNTHESIZE_MANIFEST, SYNTHETIC, is_same_path
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import stage_command
from stages.running.progress import Progress
from stages.sharding.workers import in_order

WHAT = "synthetic hands in InterHand2.6M's layout, made by handpose; this is not InterHand2.6M"


IMAGES_PER_TASK = 16
"""Images after which no further sequence is added to a task."""


class RenderTask(NamedTuple):
    """Consecutive sequences of one capture to render, with everything a worker needs."""

    spec: DatasetSpec
    hand: HandParams
    data: DataParams
    sequences: list[SequencePlan]
    folder: Path

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(sequence.images for sequence in self.sequences)


def main() -> None:
    """Write the hand model, the data set and the manifest."""
    started = time.monotonic()
    params = load_params()
    counts: dict[str, Any] = {}
    own_hand, own_data = (
        is_same_path(params.hand.mano, STAND_IN),
        is_same_path(params.data.root, SYNTHETIC),
    )
    if not own_data and params.data.format == "interhand":
        official_splits(Path(params.data.root))  # raises before existing outputs are deleted
    if not own_hand:
        load_hand_model(params.hand, params.data)
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
    write_manifest(
        SYNTHESIZE_MANIFEST,
        started=started,
        counts=counts,
        outputs=[STAND_IN, _digested(SYNTHETIC)],
    )


def synthesize(params: Params, root: Path) -> dict[str, int]:
    """Write the data set to `root` and return the number of images of each split."""
    settings = params.synthesize.keywords(without={"workers"})
    spec, hand, data = DatasetSpec(**settings), params.hand, params.data
    captures = list(plan(spec, read_gesture_poses(own_gesture_table(hand.mano))))
    annotations = root / "annotations"
    tasks = [
        [RenderTask(spec, hand, data, group, root / "images") for group in grouped(sequences)]
        for _, sequences in captures
    ]
    total = sum(task.images for own in tasks for task in own)
    workers = params.synthesize.workers or usable_cores()
    images: Counter[str] = Counter()
    progress: Progress | None = None  # created late: its clock starts when the workers do

    def finished(task: RenderTask) -> None:
        nonlocal progress
        progress = progress or Progress("synthesize", total, "images")
        progress.step(task.images)

    rendering = in_order(
        render,
        chain.from_iterable(tasks),
        workers,
        "synthesize.workers",
        finished=finished,
        size=lambda task: task.images // (2 * IMAGES_PER_TASK),  # the rest keeps its order
    )
    with closing(rendering) as rendered:
        for split in dict.fromkeys(capture.split for capture, _ in captures):
            with InterHandWriter(annotations / split, split) as writer:
                for (capture, _), own in zip(captures, tasks, strict=True):
                    if capture.split != split:
                        continue
                    writer.add_capture(capture.number, capture.rig.cameras)
                    for text in chain.from_iterable(islice(rendered, len(own))):
                        writer.add(text)
                images[split] = writer.count
    write_skeleton(annotations / "skeleton.txt")
    _write_subjects(annotations / "subject.txt", [capture for capture, _ in captures])
    write_json(annotations / "synthetic.json", _description(spec, hand, data))
    return dict(images)


def grouped(sequences: Iterable[SequencePlan]) -> Iterator[list[SequencePlan]]:
    """The sequences of a capture in tasks: few enough that the parent has little to send."""
    group: list[SequencePlan] = []
    for sequence in sequences:
        group.append(sequence)
        if sum(one.images for one in group) >= IMAGES_PER_TASK:
            yield group
            group = []
    if group:
        yield group


def render(task: RenderTask) -> list[FrameText]:
    """Render sequences in this process, and return what is to be written about them."""
    renderer = _renderer(task.spec, task.hand, task.data)
    rendered = (renderer.render_sequence(sequence, task.folder) for sequence in task.sequences)
    return [frame_text(record) for records in rendered for record in records]


@cache
def _renderer(spec: DatasetSpec, hand: HandParams, data: DataParams) -> SequenceRenderer:
    """The renderer of this process; one thread, so that bytes do not depend on the thread count."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return SequenceRenderer(
        spec, load_hand_model(hand, data), read_gesture_poses(own_gesture_table(hand.mano))
    )


def _description(spec: DatasetSpec, hand: HandParams, data: DataParams) -> dict[str, Any]:
    """The provenance of the data set, for `synthetic.json`."""
    poses = resources.files("handpose.synthetic") / "gesture_poses.csv"
    photos = {f"{photo.package}: {photo.file}": photo for photo in PHOTOS if spec.photo_backdrops}
    credits = {
        name: {"credit": photo.credit, "digest": digest(photo.path())}
        for name, photo in photos.items()
    }
    with resources.as_file(poses) as path:
        return {
            "what": WHAT,
            "recipe": dataclasses.asdict(spec),
            "hand_model": digest(Path(hand.mano) / "MANO_RIGHT.npz"),
            "joints": joint_definition(hand, data).record(),
            "gesture_poses": digest(own_gesture_table(hand.mano) or path),
            **({"photos": credits} if credits else {}),
        }


def _write_subjects(path: Path, captures: Iterable[Capture]) -> None:
    """Write subject.txt: the subject of each capture."""
    lines = [f"{c.split} Capture{c.number} {c.subject}" for c in captures]
    path.write_text("\n".join(["# split capture subject", *lines]) + "\n", encoding="utf-8")


def _note(folder: Path, reason: str) -> str:
    """Write a note into a folder that is not generated; returns it for the manifest."""
    note = f"not made: {reason}"
    (folder / "README.txt").write_text(f"{note}\n", encoding="utf-8")
    print(f"synthesize: {note}")
    return note


def _digested(folder: Path) -> Path:
    """The part of the data set whose digest goes into the manifest: the annotations, not images."""
    annotations = folder / "annotations"
    return annotations if annotations.is_dir() else folder


if __name__ == "__main__":
    sys.exit(stage_command(main, "synthesize"))
