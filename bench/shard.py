"""What cutting crops costs: `python -m bench.shard [SAMPLES] [--rounds N]`.

CPU time per sample of one process, medians of alternating rounds, against

- floor: `cv2.imdecode`, a slice of the photo's own pixels, `cv2.imencode`, nothing else;
- floor, resampled: the same with `cv2.warpAffine` to `crop_px` instead of the slice;
- floor, lossless: libjpeg-turbo's transform alone, which checks no image and writes no label;
- straightforward: `cv2.imread`, a warp in floats, `webdataset.ShardWriter` with its JSON;

then how much faster two processes are than one, and the largest one's memory; beside it the same of
the bare codec, which shares nothing at all: what two processes of this machine can give. Wall time
also without the time that a process waited for a core (/proc/thread-self/schedstat).
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import cv2
import numpy as np
import pyarrow as pa
import webdataset as wds

from bench.measure import cpu, medians, one_thread, peak_mb, table
from bench.photos import samples, write_photos
from handpose.data import lossless
from handpose.data.crop import Square, affine, square
from stages.params import ShardParams
from stages.sharding.tars import TarTask, write
from stages.sharding.workers import in_order

SHARD = ShardParams(
    box_scale=1.4,
    view_px=256,
    crop_px=342,
    jpeg_quality=95,
    lossless="never",
    samples_per_tar=5000,
    seed=0,
    workers=1,
)
"""As the profile interhand26m has it."""


def region_of(row: dict[str, Any]) -> Square:
    """The region of a photo that is stored."""
    return square(row["bbox"], SHARD.box_scale * SHARD.crop_px / SHARD.view_px)


def crop_matrix(row: dict[str, Any]) -> Any:
    """Photo -> stored crop, as warpAffine takes it."""
    return affine(region_of(row), SHARD.crop_px)[:2]


def codec(contents: list[bytes], rows: list[dict[str, Any]], *, resampled: bool) -> int:
    """Decode, crop, encode: the minimum for a crop."""
    side = SHARD.crop_px
    for index, row in enumerate(rows):
        content = np.frombuffer(contents[index % len(contents)], np.uint8)
        photo = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))
        if resampled:
            crop = cv2.warpAffine(photo, crop_matrix(row), (side, side))
        else:
            x, y, side_px = region_of(row)
            rows_, columns = (
                slice(max(int(c - side_px / 2), 0), int(c + side_px / 2)) for c in (y, x)
            )
            crop = photo[rows_, columns]
        cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, SHARD.jpeg_quality])
    return len(rows)


def transform(contents: list[bytes], rows: list[dict[str, Any]]) -> int:
    """The minimum for a lossless crop."""
    for index, row in enumerate(rows):
        x, y, side = region_of(row)
        size = (row["width"], row["height"])
        low, high = ([int(c + half * side / 2) for c in (x, y)] for half in (-1, 1))
        box = (max(low[0], 0), max(low[1], 0), min(high[0], size[0]), min(high[1], size[1]))
        assert lossless.crop(contents[index % len(contents)], box, size) is not None
    return len(rows)


def straightforward(folder: Path, root: Path, rows: list[dict[str, Any]]) -> int:
    """A straightforward implementation."""
    side = (SHARD.crop_px, SHARD.crop_px)
    quality = [cv2.IMWRITE_JPEG_QUALITY, SHARD.jpeg_quality]
    with wds.ShardWriter(str(folder / "plain-%06d.tar"), maxcount=5000, verbose=0) as writer:
        for row in rows:
            photo = np.asarray(cv2.imread(str(root / row["image"])))
            floats = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB).astype(np.float32)
            crop = cv2.warpAffine(floats, crop_matrix(row), side)
            bgr = cv2.cvtColor(np.clip(crop, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, quality)[1].tobytes()
            writer.write({"__key__": f"{row['sample_id']:09d}", "jpg": jpeg, "json": row})
    return len(rows)


def ours(folder: Path, root: Path, rows: pa.Table, mode: str) -> int:
    """The stage's own, one tar."""
    shard = SHARD.model_copy(update={"lossless": mode})
    written = write(TarTask(folder / f"{mode}.tar", rows, root, shard))
    assert written.tar.samples == rows.num_rows
    return written.tar.samples


def without_library(way: Callable[[], int]) -> int:
    """As on a machine where libturbojpeg is not installed."""
    with mock.patch.object(lossless, "_library", lambda: None):
        return way()


class Timed(NamedTuple):
    """A tar and when it was written, on the clock that all processes share."""

    start: float
    end: float
    waited: float  # s, for a core
    samples: int


def waited_for_a_core() -> float:
    """Seconds that this thread could have run and did not."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def codec_alone(task: TarTask) -> int:
    """The minimum that `write` has to do."""
    rows = task.rows.to_pylist()
    contents = [(task.root / row["image"]).read_bytes() for row in rows]
    return codec(contents, rows, resampled=True)


def write_tar(task: TarTask) -> int:
    return write(task).tar.samples


def timed(function: Callable[[TarTask], int], task: TarTask) -> Timed:
    one_thread()
    start, waited = time.monotonic(), waited_for_a_core()
    count = function(task)
    return Timed(start, time.monotonic(), waited_for_a_core() - waited, count)


def rates(
    function: Callable[[TarTask], int], tasks: list[TarTask], workers: int
) -> tuple[float, float]:
    """Samples a second while every process is at work, and if none ever waited for a core.

    Their start, once a run, is left out.
    """
    done = list(in_order(partial(timed, function), iter(tasks), workers))
    window = (max(t.start for t in done[:workers]), min(t.end for t in done[-workers:]))
    inside = [t for t in done if t.start >= window[0] and t.end <= window[1]]
    count = sum(t.samples for t in inside)
    at_work = sum(t.end - t.start - t.waited for t in inside)
    return count / (window[1] - window[0]), workers * count / at_work


def compare(work: Path, count: int, rounds: int, *, progressive: bool) -> None:
    paths = write_photos(work, 100, progressive=progressive)
    rows = samples(work, paths, count)
    listed, contents = rows.to_pylist(), [path.read_bytes() for path in paths]
    kind = "progressive" if progressive else "baseline"
    print(
        f"\n{kind} photos of {np.mean([len(c) for c in contents]) / 1000:.1f} KB, {count} samples"
    )
    ways: dict[str, Callable[[], int]] = {
        "floor": partial(codec, contents, listed, resampled=False),
        "floor, resampled": partial(codec, contents, listed, resampled=True),
        "straightforward": partial(straightforward, work, work, listed),
        "ours, resampled": partial(ours, work, work, rows, "never"),
        "ours, re-encoded": partial(without_library, partial(ours, work, work, rows, "auto")),
    }
    baselines = ["floor", "floor, resampled", "straightforward"]
    if lossless.available():
        ways["floor, lossless"] = partial(transform, contents, listed)
        ways["ours, lossless"] = partial(ours, work, work, rows, "always")
        baselines.insert(2, "floor, lossless")
    print(table(medians(ways, rounds, cpu), baselines))
    files = {"plain": "plain-000000", "resampled": "never", "re-encoded": "auto"}
    for name, file in (files | {"lossless": "always"}).items():
        if (tar := work / f"{file}.tar").is_file():
            print(f"{name}: {tar.stat().st_size / count / 1000:.1f} KB a sample in the tar")


def scale(work: Path, rounds: int) -> None:
    print("\nsamples a second, one and two processes: wall time; less waiting for a core")
    rows = samples(work, sorted((work / "images").rglob("*.jpg")), 250)
    ways = {"codec alone": (codec_alone, "never"), "ours, resampled": (write_tar, "never")}
    if lossless.available():
        ways["ours, lossless"] = (write_tar, "always")
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):  # they take turns
        for name, (function, mode) in ways.items():
            shard = SHARD.model_copy(update={"lossless": mode})
            tasks = [TarTask(work / f"{n:06d}.tar", rows, work, shard) for n in range(24)]
            found[name].append([*rates(function, tasks[:12], 1), *rates(function, tasks, 2)])
    for name, runs in found.items():
        one, one_alone, two, two_alone = np.median(runs, axis=0)
        gain, gain_alone = np.median([(r[2] / r[0], r[3] / r[1]) for r in runs], axis=0)
        print(
            f"{name:15}: {one:5.0f} and {two:5.0f}, {gain:.2f} times;"
            f" {one_alone:5.0f} and {two_alone:5.0f}, {gain_alone:.2f} times"
        )
    print(
        f"peak memory: this process {peak_mb():.0f} MB, "
        f"a worker {peak_mb(resource.RUSAGE_CHILDREN):.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What cutting crops costs.")
    parser.add_argument("samples", nargs="?", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    one_thread()
    for progressive in (False, True):
        work = Path(tempfile.mkdtemp(prefix="bench-shard-"))
        try:
            compare(work, options.samples, options.rounds, progressive=progressive)
            if progressive:
                scale(work, options.rounds)
        finally:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
