"""Shards of the shifted test sets: a split each, in the form in which `shard` writes the data's.

A photo is rendered, annotated, boxed and cut as one of the synthetic data set is by `synthesize`,
`ingest` and `shard`, so that a set differs by its shift alone. Any number of workers writes the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from handpose.cores import usable_cores
from handpose.data.annotation_table import Camera, HandsInWorld, ManoFit
from handpose.data.camera_frame import RestWrist, to_camera_frame
from handpose.data.records import FIELDS
from handpose.data.shards import Index, Tar, write_tar
from handpose.files import atomic_folder, digest
from handpose.hand.skeleton import FROM_INTERHAND
from handpose.synthetic.articulation import own_gesture_table, read_gesture_poses
from handpose.synthetic.dataset_plan import DatasetSpec, SequencePlan
from handpose.synthetic.sequence import SequenceRenderer
from handpose.synthetic.shifted_recipe import ShiftedTest, shifted_tests
from handpose.synthetic.writer import FrameRecord, ImageRecord
from stages.hand_model import hand_files, joint_definition, load_hand_model
from stages.params import DataParams, HandParams, Params, ShardParams
from stages.running.artifacts import write_json
from stages.running.progress import Progress
from stages.sharding.crops import cut
from stages.sharding.workers import in_order

FREE_MOTION = "rom"
"""Kind of all samples: whatever the gesture map says of their folders, they are not labelled."""

Stored = tuple[bytes, dict[str, Any]]
"""A crop as JPEG, and its label."""


class ShiftedCapture(NamedTuple):
    """The sequences of a capture to render, with everything a worker needs."""

    spec: DatasetSpec
    hand: HandParams
    data: DataParams
    shard: ShardParams
    min_valid_joints: int
    sequences: list[SequencePlan]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(sequence.images for sequence in self.sequences)


class Cut(NamedTuple):
    """The samples of a capture, and how many images have too few joints in them."""

    samples: list[Stored]
    rejected: int


def write_shifted_shards(
    folder: Path, params: Params, severities: Sequence[float]
) -> dict[str, int]:
    """Write `index.json` and `tars/` of the test sets of these severities; returns their counts.

    Args:
        folder: is replaced.
        params: the sections hand, data, synthesize, shard, ingest, evaluate.
        severities: 0 to 1; without any there is no set.

    Raises:
        HandPoseError: the hand model cannot be read, a photo of a backdrop is missing, or a worker
            was killed.
    """
    tests = shifted_tests(severities)
    tasks = {test.name: shifted_captures(test, params) for test in tests}
    progress = Progress("shift", sum(t.images for own in tasks.values() for t in own), "images")
    counts: dict[str, int] = {}
    rejected = 0
    rendering = in_order(
        render_capture,
        (task for own in tasks.values() for task in own),
        params.synthesize.workers or usable_cores(),
        "synthesize.workers",
        finished=lambda task: progress.step(task.images),
    )
    with atomic_folder(folder) as partial, closing(rendering) as rendered:
        (partial / "tars").mkdir()
        tars: dict[str, tuple[Tar, ...]] = {}
        for name, own in tasks.items():
            done = list(islice(rendered, len(own)))
            samples = _mixed([one for cut_ in done for one in cut_.samples], params.shard.seed)
            for number, (_, label) in enumerate(samples, start=sum(counts.values())):
                label["sample_id"] = number
            tars[name] = (write_tar(partial / "tars" / f"{name}-000000.tar", samples),)
            counts[name] = len(samples)
            rejected += sum(cut_.rejected for cut_ in done)
        index = Index(params.shard.crop_px, params.shard.view_px, tars)
        write_json(partial / "index.json", index.to_json())
    if rejected:
        print(f"shift: {rejected} images have too few joints in them and are left out", flush=True)
    return counts | ({"rejected": rejected} if rejected else {})


def shifted_captures(test: ShiftedTest, params: Params) -> list[ShiftedCapture]:
    """What is to be rendered of a test set, capture by capture."""
    shift, settings = params.evaluate.shift, params.synthesize.keywords(without={"workers"})
    spec = test.spec(DatasetSpec(**settings), shift.people, shift.images)
    by_capture: dict[int, list[SequencePlan]] = {}
    for sequence in test.sequences(spec):
        by_capture.setdefault(sequence.capture.number, []).append(sequence)
    return [
        ShiftedCapture(
            spec, params.hand, params.data, params.shard, params.ingest.min_valid_joints, own
        )
        for own in by_capture.values()
    ]


def shifted_key(params: Params, severities: Sequence[float], code: str) -> str:
    """What decides the content of the test sets, as a word: the same sets have the same.

    Args:
        params: as of `write_shifted_shards`.
        severities: likewise.
        code: digest of the code that makes them.
    """
    specs = [
        asdict(task.spec)
        for test in shifted_tests(severities)
        for task in shifted_captures(test, params)[:1]
    ]
    shard = params.shard.model_dump(mode="json", exclude={"workers", "samples_per_tar"})
    table = own_gesture_table(params.hand.mano)
    read = [*hand_files(params.hand), *([table] if table else [])]
    files = [digest(path) for path in read]
    joints = joint_definition(params.hand, params.data).record()
    least = params.ingest.min_valid_joints
    content = json.dumps([list(severities), specs, shard, files, joints, least, code])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def render_capture(task: ShiftedCapture) -> Cut:
    """Render the images of a capture in this process, and cut the hands out of them."""
    renderer, rest_wrist = _tools(task.spec, task.hand, task.data)
    found, rejected = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for sequence in task.sequences:
            records = renderer.render_sequence(sequence, Path(folder))
            rows, lost = _rows(sequence, records, rest_wrist, task.min_valid_joints)
            split = Path(folder) / sequence.capture.split
            found += [cut(row, split, task.shard) for row in rows]
            rejected += lost
    return Cut(found, rejected)


@lru_cache(maxsize=1)
def _tools(
    spec: DatasetSpec, hand: HandParams, data: DataParams
) -> tuple[SequenceRenderer, RestWrist]:
    """Of this process; one thread, so that bytes do not depend on the thread count."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    mano = load_hand_model(hand, data)
    # the relaxed hand and free motion are those of the table of all gestures
    return SequenceRenderer(
        spec, mano, read_gesture_poses(own_gesture_table(hand.mano))
    ), RestWrist(mano.rest_wrist)


def _rows(
    sequence: SequencePlan,
    records: Sequence[FrameRecord],
    rest_wrist: RestWrist,
    min_valid_joints: int,
) -> tuple[list[dict[str, Any]], int]:
    """What `cut` reads of each image, as a row of samples.parquet; and how many are not used."""
    views = [(record, image) for record in records for image in record.images]
    hands, unusable = to_camera_frame(
        _in_world(sequence, views), rest_wrist, min_valid_joints=min_valid_joints
    )
    columns = hands._asdict() | {"is_left": np.full(len(views), sequence.hand_type == "left")}
    lost = {one.row for one in unusable}
    rows = []
    for k, (record, image) in enumerate(views):
        if k in lost:
            continue
        own = {name: _plain(columns[name][k]) for name in FIELDS if name in columns}
        rows.append(
            own
            | {
                "sample_id": 0,
                "bbox": hands.bbox[k],
                "sequence": record.seq_name,
                "kind": FREE_MOTION,
                "subject": record.subject,
                "session": record.capture,
                "camera": image.camera,
                "frame": record.frame,
                "image": image.file_name,
                "width": image.size[0],
                "height": image.size[1],
            }
        )
    return rows, len(lost)


def _in_world(
    sequence: SequencePlan, views: Sequence[tuple[FrameRecord, ImageRecord]]
) -> HandsInWorld:
    """The hands of these images as they are annotated."""
    cameras = {camera.name: camera for camera in sequence.capture.rig.cameras}
    own = [cameras[image.camera] for _, image in views]
    side, half = sequence.hand_type, np.s_[21:] if sequence.hand_type == "left" else np.s_[:21]
    fits = [record.fits[side] if record.fits else None for record, _ in views]
    pose, shape, trans = (
        np.stack([getattr(fit, name) for fit in fits]) for name in ("pose", "shape", "trans")
    )
    return HandsInWorld(
        camera=Camera(*(np.stack([getattr(c, n) for c in own]) for n in ("K", "R", "centre"))),
        joints=np.stack([record.joints[half][FROM_INTERHAND] for record, _ in views]),
        joint_valid=np.stack([record.joint_valid[half][FROM_INTERHAND] for record, _ in views]),
        visible=np.stack([image.joint_valid[half][FROM_INTERHAND] for _, image in views]),
        size=np.array([image.size for _, image in views]),
        is_left=np.full(len(views), side == "left"),
        has_mano=np.ones(len(views), np.bool_),
        fit=ManoFit(pose[:, :3], pose[:, 3:], shape, trans),
    )


def _plain(value: Any) -> Any:
    """A value of a row as samples.parquet gives it: flags as they are, vectors flat float32."""
    if isinstance(value, np.bool_):
        return bool(value)
    return value if value.dtype == np.bool_ else value.astype(np.float32).ravel()


def _mixed(samples: list[Stored], seed: int) -> list[Stored]:
    """In one random order, so that an image's neighbour is mostly another person's."""
    return [samples[k] for k in np.random.default_rng(seed).permutation(len(samples))]
