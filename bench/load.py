"""What reading batches costs: `python -m bench.load [SAMPLES] [--rounds N]`.

CPU time per sample of one thread, medians of alternating rounds, of 256 px batches against

- decode: `cv2.imdecode` of the same JPEGs, in memory: the floor;
- straightforward: what InterHand2.6M's official loader does to a sample: `cv2.imread` of the photo,
  to RGB and floats, a copy, mirrored, one warp, colours and limits in floats, `ToTensor`; then
  joints, camera and `default_collate`, as a loader must. (One without augmentation warps too.)

Then how fast several threads make batches (wall time), and how long a training step still waits if
it takes as long as one thread needs for a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from torch.utils.data import default_collate
from torchvision.transforms.functional import (  # type: ignore[import-untyped]  # it has no types
    to_tensor,
)

from bench.measure import cpu, medians, one_thread, peak_mb, table, wall
from bench.photos import samples, write_photos
from bench.shard import SHARD
from handpose.data import lossless
from handpose.data.augment import Augmentation
from handpose.data.crop import affine, square
from handpose.data.labels import ClassIds
from handpose.data.loading import Loading
from handpose.data.shards import Index, Shards
from stages.params import ShardParams
from stages.sharding.tars import TarTask, write

VIEW = SHARD.view_px
BATCH = 64
AUGMENTATION = Augmentation(rotation_deg=30, scale=0.25, shift=0.05, colour=0.2, flip=0.5)
"""As in the profile interhand26m."""
LABELS = {"0003_fake_gun": ClassIds(1, 2, 28, 37)}


def write_shards(work: Path, rows: pa.Table, shard: ShardParams) -> Shards:
    """Shards of these samples: one split, one tar."""
    folder = work / shard.lossless
    (folder / "tars").mkdir(parents=True)
    written = write(TarTask(folder / "tars" / "train-000000.tar", rows, work, shard))
    index = Index(shard.crop_px, shard.view_px, {"train": (written.tar,)})
    (folder / "index.json").write_text(json.dumps(index.to_json()), "utf-8")
    return Shards.open(folder)


def jpegs(shards: Shards) -> list[bytes]:
    """All images of the shards, as they are stored."""
    with tarfile.open(shards.folder / "tars" / "train-000000.tar") as tar:
        members = [member for member in tar if member.name.endswith(".jpg")]
        return [stream.read() for m in members if (stream := tar.extractfile(m)) is not None]


def decode(contents: list[bytes]) -> int:
    for content in contents:
        cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    return len(contents)


def load(shards: Shards, *, augmented: bool, loading: Loading | None = None) -> int:
    """A pass over the data, as training makes it."""
    batches = shards.batches(
        "train",
        batch=BATCH,
        image_px=VIEW,
        labels=LABELS,
        epoch=0,
        augmentation=AUGMENTATION if augmented else None,
        loading=loading or Loading(),
    )
    return sum(len(batch) for batch in batches)


def straightforward(data: Path, rows: list[dict[str, Any]], *, augmented: bool) -> int:
    """The steps of InterHand2.6M's official loader, joints and camera moved, in batches."""
    rng = np.random.default_rng(0)
    for start in range(0, len(rows), BATCH):
        batch = [_one(data, row, rng, augmented) for row in rows[start : start + BATCH]]
        default_collate(batch)
    return len(rows)


def _one(
    data: Path, row: dict[str, Any], rng: np.random.Generator, augmented: bool
) -> dict[str, Any]:
    photo = np.asarray(cv2.imread(str(data / row["image"])))
    image = photo[:, :, ::-1].copy().astype(np.float32).copy()  # RGB; copied once more there too
    region, mirror, Q, gain = square(row["bbox"], SHARD.box_scale), np.eye(3), np.eye(3), np.ones(3)
    if augmented and rng.random() < 0.5:
        image, last = image[:, ::-1], image.shape[1] - 1
        region = region._replace(x=last - region.x)
        mirror, Q = np.array([[-1, 0, last], [0, 1, 0], [0, 0, 1]]), np.diag([-1.0, 1, 1])
    A = affine(region, VIEW)
    if augmented:
        angle, zoom = rng.uniform(-30, 30), rng.uniform(0.75, 1.25)
        turn = np.vstack([cv2.getRotationMatrix2D((VIEW / 2, VIEW / 2), angle, zoom), [0, 0, 1]])
        A, gain = turn @ A, rng.uniform(0.8, 1.2, 3)
        Q[:2] = turn[:2, :2] / zoom @ Q[:2]
    warped = cv2.warpAffine(image, A[:2], (VIEW, VIEW), flags=cv2.INTER_LINEAR)
    coloured = np.clip(warped * gain[None, None], 0, 255)
    fields = {key: np.array(row[key], np.float32) for key in ("hand_pose", "betas")}
    root = Q @ cv2.Rodrigues(np.array(row["global_orient"]))[0] @ Q.T
    return fields | {
        "image": to_tensor(coloured.astype(np.float32)) / 255,
        "K": (A @ mirror @ np.reshape(row["K"], (3, 3)) @ Q.T).astype(np.float32),
        "joints_cam": (np.reshape(row["joints_cam"], (21, 3)) @ Q.T).astype(np.float32),
        "joint_valid": np.array(row["joint_valid"]),
        "global_orient": cv2.Rodrigues(root)[0][:, 0].astype(np.float32),
        "is_left": row["is_left"],
        "sample_id": row["sample_id"],
    }


def compare(work: Path, count: int, rounds: int, mode: str) -> Shards:
    rows = samples(work, sorted((work / "images").rglob("*.jpg")), count)
    shard = SHARD.model_copy(update={"lossless": mode})
    shards, listed = write_shards(work, rows, shard), rows.to_pylist()
    contents = jpegs(shards)
    size = np.mean([len(content) for content in contents]) / 1000
    print(f"\nlossless {mode}: {count} samples, JPEGs of {size:.1f} KB")
    ways: dict[str, Callable[[], int]] = {
        "decode": partial(decode, contents),
        "ours": partial(load, shards, augmented=False),
        "ours, augmented": partial(load, shards, augmented=True),
        "straightforward": partial(straightforward, work, listed, augmented=False),
        "straightforward, augmented": partial(straightforward, work, listed, augmented=True),
    }
    seconds = medians(ways, rounds, cpu)
    print(table(seconds, ["decode", "straightforward, augmented"]))
    return shards


def threads(shards: Shards, rounds: int) -> None:
    print("\nsamples a second, augmented (wall time)")
    for count in (0, 1, 2, 4):
        way = partial(load, shards, augmented=True, loading=Loading(threads=count))
        seconds = medians({"": way}, rounds, wall)[""]
        print(f"{count} threads: {1 / seconds:6.0f}   ({os.cpu_count()} cores)")


def waiting(shards: Shards) -> None:
    """How long a step waits for its batch, while the step itself does not use the CPU."""
    print(f"\nshare of time spent waiting, batches of {BATCH}, steps that leave the CPU alone")
    alone = BATCH * medians({"": partial(load, shards, augmented=True)}, 1, wall)[""]
    for count in (0, 1, 2):
        batches = iter(
            shards.batches(
                "train",
                batch=BATCH,
                image_px=VIEW,
                labels=LABELS,
                epoch=0,
                augmentation=AUGMENTATION,
                loading=Loading(threads=count),
            )
        )
        next(batches)
        waited, start = 0.0, wall()
        steps = shards.index.count("train") // BATCH - 1
        for _ in range(steps):
            time.sleep(1.5 * alone)
            asked = wall()
            next(batches)
            waited += wall() - asked
        print(f"{count} threads, steps of {1500 * alone:.0f} ms: {waited / (wall() - start):5.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What reading batches costs.")
    parser.add_argument("samples", nargs="?", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    one_thread()
    work = Path(tempfile.mkdtemp(prefix="bench-load-"))
    try:
        write_photos(work, 100, progressive=True)
        shards = compare(work, options.samples, options.rounds, "never")
        if lossless.available():
            compare(work, options.samples, options.rounds, "always")
        threads(shards, min(3, options.rounds))
        waiting(shards)
        print(f"peak memory {peak_mb():.0f} MB")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
