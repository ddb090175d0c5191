"""What reading batches costs: `python -m bench.load [SAMPLES] [--rounds N] [--workers]`.

CPU time per sample of one thread, medians of alternating rounds, of 256 px batches against

- decode: `cv2.imdecode` of the same JPEGs, in memory: the floor;
- straightforward: what InterHand2.6M's official loader does to a sample: `cv2.imread` of the photo,
  to RGB and floats, a copy, mirrored, one warp, colours and limits in floats, `ToTensor`; then
  joints, camera and `default_collate`, as a loader must. (One without augmentation warps too.)

Then how many images a second (wall time) the ways to feed a GPU make, whose warp is the GPU's: in
the training process, by threads, by our processes, and by torch's DataLoader, an item of which is a
whole batch; from shards in memory, in pinned memory if there is a GPU. `--workers` is that alone.
Last, how long a training step waits if it takes one and a half times as long as making its batch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms.functional import (  # type: ignore[import-untyped]  # it has no types
    to_tensor,
)

from bench.measure import cpu, medians, one_thread, peak_mb, table, wall
from bench.photos import samples, write_photos
from bench.shard import SHARD
from handpose.cores import usable_cores
from handpose.data import lossless, tar
from handpose.data.augment import Augmentation
from handpose.data.batch_warp import UnwarpedBatch
from handpose.data.crop import affine, square
from handpose.data.labels import ClassIds
from handpose.data.loading import AHEAD, MOST_PROCESSES, Loading, ahead
from handpose.data.preprocess import Preprocessor
from handpose.data.processes.batch_processes import BatchProcesses
from handpose.data.shards import Index, Shards
from handpose.data.tar import EncodedSample
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
    with tarfile.open(shards.folder / "tars" / "train-000000.tar") as opened:
        members = [member for member in opened if member.name.endswith(".jpg")]
        return [stream.read() for m in members if (stream := opened.extractfile(m)) is not None]


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


class Batches(Dataset[UnwarpedBatch]):
    """For torch's DataLoader, whose sampler gives the encoded samples of a batch as its index."""

    def __init__(self, preprocessor: Preprocessor) -> None:
        """`preprocessor` makes the batches."""
        self.preprocessor = preprocessor

    def __getitem__(self, index: list[EncodedSample]) -> UnwarpedBatch:
        return self.preprocessor.unwarped_batch(index)


def as_it_is(batch: Any) -> Any:
    return batch


def made_ahead(
    function: Callable[[list[EncodedSample]], object],
    tasks: list[list[EncodedSample]],
    threads: int,
    most: int,
) -> Iterator[object]:
    return ahead(function, iter(tasks), threads, most)


def count(batches: Callable[[], Iterable[object]], batch: int) -> int:
    return batch * sum(1 for _ in batches())


def workers(shards: Shards, batch: int, rounds: int) -> None:
    """Every way with 1, 2, 4, ... workers, alternating."""
    pinned = torch.cuda.is_available()
    encoded = list(tar.read(shards.folder / "tars" / "train-000000.tar"))
    tasks = [encoded[i : i + batch] for i in range(0, len(encoded) - batch + 1, batch)]
    preprocessor = Preprocessor(
        image_px=VIEW,
        view_px=shards.index.view_px,
        labels=LABELS,
        canonical=False,
        augmentation=AUGMENTATION,
        seeds=(0, 0),
    )

    def here(task: list[EncodedSample]) -> UnwarpedBatch:
        made = preprocessor.unwarped_batch(task)
        return made.pinned() if pinned else made

    passes: dict[str, Callable[[], Iterable[object]]] = {"here": partial(map, here, tasks)}
    with contextlib.ExitStack() as ended:
        numbers = [n for n in (1, 2, 4, 8, MOST_PROCESSES, 15) if n <= max(2, usable_cores() - 1)]
        for n in numbers:
            passes[f"{n:2} threads"] = partial(made_ahead, here, tasks, n, AHEAD * n)
        for n in numbers:
            processes = BatchProcesses(n)
            ended.callback(processes.close)
            call = processes.calling(preprocessor.unwarped_batch, pinned=pinned)
            call(tasks[0])
            passes[f"{n:2} processes"] = partial(made_ahead, call, tasks, AHEAD * n, AHEAD * n)
        for n in numbers:
            loader = DataLoader(
                Batches(preprocessor),
                sampler=tasks,
                batch_size=None,
                num_workers=n,
                persistent_workers=True,
                collate_fn=as_it_is,
                pin_memory=pinned,
                multiprocessing_context="forkserver",
            )
            passes[f"{n:2} of a DataLoader"] = partial(iter, loader)
        ways = {name: partial(count, one, batch) for name, one in passes.items()}
        for way in ways.values():
            way()  # a DataLoader starts its processes in its first pass
        seconds = medians(ways, rounds, wall)
    print(f"\nimages/s for a GPU, batches of {batch}, {usable_cores()} cores (wall time)")
    for name, value in seconds.items():
        print(f"{name:18} {1 / value:8.0f}  {seconds['here'] / value:5.2f}x here")


def waiting(shards: Shards) -> None:
    """How long a step waits for its batch, while the step itself does not use the CPU."""
    print(f"\nshare of time spent waiting, batches of {BATCH}, steps that leave the CPU alone")
    alone = BATCH * medians({"": partial(load, shards, augmented=True)}, 1, wall)[""]
    loadings = {f"{n} threads": Loading(threads=n) for n in (0, 1, 2)}
    loadings["1 process"] = Loading.on(torch.device("cpu"), workers=1)
    for name, loading in loadings.items():
        batches = iter(
            shards.batches(
                "train",
                batch=BATCH,
                image_px=VIEW,
                labels=LABELS,
                epoch=0,
                augmentation=AUGMENTATION,
                loading=loading,
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
        print(f"{name}, steps of {1500 * alone:.0f} ms: {waited / (wall() - start):5.1%}")
        with loading:
            del batches


def main() -> None:
    parser = argparse.ArgumentParser(description="What reading batches costs.")
    parser.add_argument("samples", nargs="?", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=BATCH, help="of what is made for a GPU")
    parser.add_argument("--workers", action="store_true", help="what is made for a GPU alone")
    options = parser.parse_args()
    one_thread()
    work = Path(tempfile.mkdtemp(prefix="bench-load-"))
    try:
        write_photos(work, 100, progressive=True)
        if options.workers:
            rows = samples(work, sorted((work / "images").rglob("*.jpg")), options.samples)
            workers(write_shards(work, rows, SHARD), options.batch, options.rounds)
            return
        shards = compare(work, options.samples, options.rounds, "never")
        if lossless.available():
            compare(work, options.samples, options.rounds, "always")
        workers(shards, options.batch, min(3, options.rounds))
        waiting(shards)
        print(f"peak memory {peak_mb():.0f} MB")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
