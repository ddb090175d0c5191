"""What stands in the way of more cores: `python -m bench.scaling [IMAGES] [--real]`.

Synthesize, ingest and shard run on synthetic data in a temporary folder. The work of their workers
is done here and timed apart; tasks and results are pickled as for a process. A stage's own time
does not depend on the size of the pictures: it is found with tiny ones, of which two numbers are
run. What grows is time an image, the rest is start; to it is added what the pool of processes takes
for a task. Workers' time is that of a run with pictures as large as the demo's or, with --real,
InterHand2.6M's. Threads of the stage that write and hash beside it count with the workers.

The serial share is the own time of all time; with n workers a stage takes

    start + first + images x max(own, workers' / n)

since it works while its workers do. `first` is what must be done before its workers can begin: one
process reads the largest split of ingest, as many annotations as InterHand2.6M's has. From that
come the speeds to expect, which are not measured. All are CPU times of one thread: wall time means
little on a machine that does other work too.

Of evaluate it takes networks (the demo's encoder, once for each network, without what the pose
networks add), metrics and statistics a sample. Torch and the search for nearest vertices divide
the work among threads, but for singular values, and for the calls themselves, which are taken for
all that one sample costs beyond its share of a batch; statistics use one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml

from bench.evaluate import MESHES, meshes
from bench.measure import cpu, one_thread
from handpose.evaluation.protocols import COLUMNS, Prediction, Truth, score
from handpose.evaluation.scores import STAGE_1, Scores
from handpose.files import atomic_folder
from handpose.nets.gesture_net import GestureNet
from handpose.synthetic.stand_in import write_stand_in
from stages import ingest, label, shard, synthesize
from stages.evaluation import summary
from stages.ingestion import candidates, chunks
from stages.params import load_params
from stages.paths import SAMPLES, STAND_IN, SYNTHETIC
from stages.sharding.workers import in_order

Batch = TypeVar("Batch", Prediction, Truth)

ROOT = Path(__file__).parents[1]
WORKERS = 2
CORES = (2, 16, 64)
VIEWS = 8
"""Photos of one frame, which share its joints and its fit; in InterHand2.6M there are 20."""
NETWORKS, CLASSES = 3, 50
"""Encoders that see each sample: Stage 1's and those of both runs."""
MODELS_SCORED = 4
"""Meshes that are scored of each sample: two runs, two mean poses."""
EVALUATED_AT_A_TIME = 64
ROUNDS = 3
"""Runs of what is quick, of which the one with the least own time counts."""
STATISTICS = 40_000

PLANNED = {"synthesize": 100_000, "ingest": 1_410_699, "shard": 1_410_699}
"""Images for which times are expected: those of InterHand2.6M with one hand."""
FIRST_ANNOTATIONS = 1_361_062
"""Annotations of official train, which are read before its photos can be opened."""

TASKS = 1000
MORE = 10

TINY, DEMO, REAL = ((64, 48), 96, 128), ((200, 160), 96, 128), ((512, 334), 256, 342)
"""Long and short side of pictures, and side of the view in a crop and of the crop, px."""


class Cost(NamedTuple):
    """CPU seconds of a stage's main thread, and of its workers and other threads."""

    own: float
    workers: float
    reading: float = 0.0  # of the workers', before the others can begin


class Accounts:
    """Stands for the pool of processes: does the tasks here, and takes the time apart."""

    def __init__(self, overhead: float) -> None:
        """`overhead`: own seconds of the pool for a task."""
        self.overhead = overhead
        self.workers, self.reading, self.tasks = 0.0, 0.0, 0

    def in_order(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        *_: object,
        finished: Callable[[Any], None] | None = None,
        **__: object,
    ) -> Iterator[Any]:
        """As `stages.sharding.workers.in_order`."""
        for task in tasks:
            sent = pickle.dumps(task)
            before = thread_time()
            result = pickle.dumps(function(pickle.loads(sent)))
            seconds = thread_time() - before
            self.workers += seconds
            self.reading += seconds * (function is candidates.read_candidates)
            self.tasks += 1
            if finished:
                finished(task)
            yield pickle.loads(result)

    def cost(self, stage: Callable[[], object]) -> Cost:
        """Of this run of the stage."""
        workers, reading, tasks = self.workers, self.reading, self.tasks
        main, whole = thread_time(), cpu()
        with contextlib.redirect_stdout(io.StringIO()):
            stage()
        main, whole = thread_time() - main, cpu() - whole
        tasks, workers = self.tasks - tasks, self.workers - workers
        own = main - workers + tasks * self.overhead
        return Cost(own, workers + whole - main, self.reading - reading)


def ready(_: int) -> int:
    """A task without work: its worker has imported what this module does."""
    return os.getpid()


def pool_cost() -> tuple[float, float]:
    """CPU seconds of a worker's start, and of the own process for a task."""
    with contextlib.closing(in_order(ready, range(TASKS), WORKERS)) as results:
        next(results)
        before = cpu()
        for _ in results:
            pass
        task = (cpu() - before) / TASKS
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (children.ru_utime + children.ru_stime) / WORKERS, task


def set_params(frames: int, px: tuple[int, int], view_px: int, crop_px: int) -> None:
    """The demo's parameters but for people, pictures and crops."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    people = {"main_subjects": 4, "short_subjects": 0, "frames": frames, "workers": 2}
    raw["synthesize"] |= people | {"image_px": list(px), "cameras_per_instant": VIEWS}
    raw["ingest"]["exclusions"] = str(ROOT / "labels" / "exclusions.csv")
    raw["ingest"] |= {"validation_subjects": [1], "test_subjects": [2, 3]}
    raw["shard"] |= {"view_px": view_px, "crop_px": crop_px, "workers": 2}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


def run(
    frames: int, accounts: Accounts, px: tuple[int, int], view_px: int, crop_px: int
) -> dict[str, tuple[int, Cost]]:
    """Images and cost of each stage; the current folder gets the parameters and the data."""
    set_params(frames, px, view_px, crop_px)
    params = load_params()
    with atomic_folder(STAND_IN) as folder:
        write_stand_in(folder)
    with atomic_folder(SYNTHETIC) as folder:
        costs = {"synthesize": accounts.cost(lambda: synthesize.synthesize(params, folder))}
    costs["ingest"] = min(accounts.cost(ingest.main) for _ in range(ROUNDS))  # by the own time
    accounts.cost(label.main)
    costs["shard"] = min(accounts.cost(shard.main) for _ in range(ROUNDS))
    made = len(list((SYNTHETIC / "images").rglob("*.jpg")))
    used = pq.read_metadata(SAMPLES).num_rows
    return {name: (made if name == "synthesize" else used, one) for name, one in costs.items()}


@contextlib.contextmanager
def workplace(accounts: Accounts) -> Iterator[None]:
    """A temporary folder to work in, where the accounts stand for the pool of every stage."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-scaling-") as name,
        contextlib.chdir(name),
        mock.patch.object(chunks, "FEWEST_FOR_PROCESSES", 0),
        mock.patch.object(chunks, "in_order", accounts.in_order),
        mock.patch.object(candidates, "in_order", accounts.in_order),
        mock.patch.object(synthesize, "in_order", accounts.in_order),
        mock.patch.object(shard, "in_order", accounts.in_order),
    ):
        shutil.copytree(ROOT / "labels", "labels")
        yield


def report(name: str, runs: list[dict[str, tuple[int, Cost]]], start: float) -> None:
    """The line of a stage from a run of real pictures and two of tiny ones; `start` in s."""
    real, few, many = (run[name] for run in runs)
    own = (many[1].own - few[1].own) / (many[0] - few[0])
    workers = real[1].workers / real[0]
    begin = start + max(few[1].own - few[0] * own, 0)
    planned = PLANNED[name]
    first = FIRST_ANNOTATIONS * many[1].reading / many[0]
    rates = [planned / (begin + first + planned * max(own, workers / n)) for n in CORES]
    print(
        f"{name:10} {own * 1e6:8.0f} {workers * 1e6:9.0f} {own / (own + workers):8.2%} {begin:8.1f}"
        f"{first:8.1f}" + "".join(f"{rate:9,.0f}" for rate in rates) + f"   of {planned:,}"
    )


def metrics_cost() -> Cost:
    """CPU seconds a sample of all metrics: what one thread must do, and what can be divided."""
    few, many = (min(scoring(count) for _ in range(ROUNDS)) for count in (1, MESHES))
    calls = (sum(few) - sum(many) / MESHES) / EVALUATED_AT_A_TIME
    alone = many.own / MESHES + calls
    return Cost(MODELS_SCORED * alone, MODELS_SCORED * many.workers / MESHES)


def networks_cost() -> Cost:
    """CPU seconds a sample of the encoders: the calls, and what is divided among threads."""
    encoder = load_params().encoder.keywords()
    net = GestureNet(**encoder, coarse_classes=CLASSES, fine_classes=CLASSES)
    net.eval()

    def forward(count: int) -> float:
        images = torch.zeros(count, 3, net.image_px, net.image_px)
        before = cpu()
        net(images)
        return cpu() - before

    with torch.inference_mode():
        few, many = (
            min(forward(count) for _ in range(ROUNDS)) for count in (1, EVALUATED_AT_A_TIME)
        )
    share = many / EVALUATED_AT_A_TIME
    return Cost(NETWORKS * (few - share) / EVALUATED_AT_A_TIME, NETWORKS * share)


def first_of(batch: Batch, count: int) -> Batch:
    """So many samples of a prediction or truth."""
    parts = {name: part[:count] for name, part in vars(batch).items() if part is not None}
    return replace(batch, **parts)


def scoring(count: int) -> Cost:
    """CPU seconds of one call with so many samples: its singular values, and all else."""
    prediction, truth, mano = meshes()
    prediction, truth = first_of(prediction, count), first_of(truth, count)
    alone = 0.0

    def svd(matrices: torch.Tensor) -> Any:
        nonlocal alone
        before = cpu()
        found = torch_svd(matrices)
        alone += cpu() - before
        return found

    torch_svd = torch.linalg.svd
    score(prediction, truth, mano)
    before = cpu()
    with mock.patch.object(torch.linalg, "svd", svd):
        score(prediction, truth, mano)
    return Cost(alone, cpu() - before - alone)


def statistics_cost() -> float:
    """CPU seconds a sample of the estimates of a split with twelve people and 140 cameras."""
    rng, n = np.random.default_rng(0), STATISTICS
    subjects, cameras = rng.integers(0, 12, n), rng.integers(400_000, 400_140, n).astype(np.str_)
    classes = {level: rng.integers(0, 54, n) for level in ("coarse", "fine")}
    found = {c.key: rng.random(n, np.float32) for c in COLUMNS}
    joints = ("joint_errors_mm", "pa_joint_errors_mm", "table2_joint_errors_mm")
    found |= {key: 50 * rng.random((n, 21), np.float32) for key in joints}
    scores = Scores(
        sample_id=np.arange(n),
        has_mano=np.ones(n, bool),
        joint_valid=np.ones((n, 21), bool),
        classes=classes,
        predicted=dict.fromkeys((STAGE_1, *summary.RUNS), classes),
        pose=dict.fromkeys(summary.MODELS, found),
        interventions={},
        joints={},
        facing=np.zeros(n, int),
        rotation=np.zeros(n),
        view={},
        confidence=np.zeros(n),
        vertex_errors_mm={},
        features={},
        logits={},
        feature_rows=np.arange(0),
    )
    names = [f"gesture {k}" for k in range(54)]
    gestures = summary.Classes(names, names, ["right"] * 54, {"coarse": 0, "fine": 0})
    intervals = summary.Intervals(0)
    before = cpu()
    summary.pose_estimates(scores, subjects, subjects > 5, intervals)
    summary.gesture_estimates(scores, subjects, gestures, intervals)
    summary.comparisons(scores, subjects, intervals)
    summary.joint_subgroups(scores, subjects, intervals)
    for groups in (subjects, cameras, np.array(names)[classes["coarse"]]):
        summary.subgroups(scores, groups, subjects, intervals)
    return (cpu() - before) / n


def main() -> None:
    parser = argparse.ArgumentParser(description="What stands in the way of more cores.")
    parser.add_argument("images", nargs="?", type=int, default=400)
    parser.add_argument("--real", action="store_true", help="pictures as in InterHand2.6M")
    options = parser.parse_args()
    one_thread()
    start, task = pool_cost()
    print(f"a worker's start {start:.1f} s, a task {task * 1e6:.0f} us of the stage's own process")
    accounts = Accounts(task)
    with workplace(accounts):
        images, full = options.images, REAL if options.real else DEMO
        runs = [run(images, accounts, *full)]
        runs += [run(n, accounts, *TINY) for n in (images, MORE * images)]
    print(
        "CPU: own and workers' us an image, serial share, start s, first s; "
        f"expected images/s on {', '.join(map(str, CORES))} cores"
    )
    for name in PLANNED:
        report(name, runs, start)
    networks, metrics, estimates = networks_cost(), metrics_cost(), statistics_cost()
    own, divided = networks.own + metrics.own + estimates, networks.workers + metrics.workers
    rates = [1 / (own + divided / n) for n in CORES]
    print(
        f"evaluate   {own * 1e6:8.0f} {divided * 1e6:9.0f} {own / (own + divided):8.2%} {'':17}"
        + "".join(f"{rate:9,.0f}" for rate in rates)
        + f"   us of its own: networks {networks.own * 1e6:.0f}, metrics {metrics.own * 1e6:.0f}, "
        f"statistics {estimates * 1e6:.0f}; all else: metrics {metrics.workers * 1e6:.0f}"
    )


if __name__ == "__main__":
    main()
