"""What a training step costs besides its arithmetic: `python -m bench.train`.

    python -m bench.train                                          # the demo's network, on the CPU
    python -m bench.train --backbone hrnet_w32 --px 256 --batch 64 --bf16  # on a GPU

Stage 1's steps, medians of alternating rounds (CPU time of one thread on a CPU, wall time on a
GPU, which is synchronised only at the end of a round):

- ceiling: forward, loss, backward, clipping, AdamW, written down by hand, on a random batch that
  lies on the device;
- step: `fit.gradient_step` on the same batch: the history and the checks come on top;
- fed: the same with augmented batches of the loader, as training takes them.

What fed costs more than step is the share of the time that is spent waiting for data. Then steps
with other precisions and layouts than the product's (fp32, channels last), and with torch.compile.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from bench.load import AUGMENTATION, LABELS, write_shards
from bench.measure import cpu, medians, one_thread, peak_mb, wall
from bench.photos import samples, write_photos
from bench.shard import SHARD
from handpose.data.loading import Loading
from handpose.data.shards import Shards
from handpose.distributed import SINGLE_PROCESS
from handpose.nets.gesture_net import GestureNet
from handpose.sample import HandBatch
from handpose.training.fit import FitSettings, Objective, TrainingState, gradient_step
from handpose.training.loss.gesture_loss import GestureLoss
from stages.params import load_params
from stages.pretrain import forward

LOSS = GestureLoss(0.5, 0, 1, 0.5)
COARSE, FINE = 54, 70
TRAINING_IMAGES = 687_548
"""Of InterHand2.6M's training split at 5 fps with one hand, whoever annotated them."""


ROUNDS = 1000
"""More than are measured: the loader reads a round's shards so often."""


@dataclass(frozen=True)
class Setup:
    """What is trained, and on what."""

    backbone: str
    px: int
    batch: int
    steps: int
    device: torch.device
    bf16: bool  # of the product's steps; the variants have both

    def net(self) -> nn.Module:
        """Stage 1's network of `params.yaml` with another backbone."""
        torch.manual_seed(0)
        encoder = load_params().encoder.keywords()
        encoder |= {"backbone": self.backbone, "image_px": self.px}
        return GestureNet(**encoder, coarse_classes=COARSE, fine_classes=FINE).to(self.device)

    def run(self, bf16: bool | None = None) -> TrainingState:
        """A training run that has not begun."""
        bf16 = self.bf16 if bf16 is None else bf16
        settings = FitSettings(1, 10**9, lambda _: 1e-4, 0.02, clip_norm=5.0, bf16=bf16)
        net = self.net()
        return TrainingState(net, settings, Objective(net, forward, LOSS, bf16), SINGLE_PROCESS)


def shards_of(work: Path, setup: Setup) -> Shards:
    """Enough crops for a round of steps, with a border of a third."""
    write_photos(work, 100, progressive=True)
    photos = sorted((work / "images").rglob("*.jpg"))
    rows = samples(work, photos, setup.steps * setup.batch)
    border = 2 * round(setup.px / 6)
    shard = SHARD.model_copy(update={"view_px": setup.px, "crop_px": setup.px + border})
    return write_shards(work, rows, shard)


def loaded(shards: Shards, setup: Setup) -> Iterator[HandBatch]:
    """One epoch without end, as training reads it: a loader's start is not measured."""
    endless = replace(shards.index, splits={"train": shards.index.splits["train"] * ROUNDS})
    return Shards(shards.folder, endless).batches(
        "train",
        batch=setup.batch,
        image_px=setup.px,
        labels=LABELS,
        epoch=0,
        augmentation=AUGMENTATION,
        loading=Loading.on(setup.device),
    )


def random_images(batch: HandBatch) -> HandBatch:
    """The batch with noise as images, on its device."""
    noise = torch.randint_like(batch.image, 256)
    return HandBatch(**vars(batch) | {"image": noise})


def by_hand(run: TrainingState, batch: HandBatch, steps: int) -> int:
    """The minimum for a gradient step."""
    for _ in range(steps):
        with torch.autocast(run.device.type, torch.bfloat16, enabled=run.settings.bf16):
            output = run.model(batch.image)
        terms = LOSS(output, batch)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        nn.utils.clip_grad_norm_(run.weights, run.settings.clip_norm or math.inf)
        run.optimiser.step()
        run.optimiser.zero_grad()
    return _waited_for(run, steps * len(batch))


def fit_steps(run: TrainingState, batches: Iterator[HandBatch], steps: int) -> int:
    """As the training loop takes them."""
    images = 0
    for _ in range(steps):
        batch = next(batches)
        gradient_step(run, batch)
        images += len(batch)
    return _waited_for(run, images)


def _waited_for(run: TrainingState, images: int) -> int:
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    return images


def feeding(setup: Setup, shards: Shards, rounds: int) -> HandBatch:
    """The first table; returns the random batch."""
    run, batches = setup.run(), loaded(shards, setup)
    batch = random_images(next(batches).to(setup.device))
    ways: dict[str, Callable[[], int]] = {
        "ceiling": partial(by_hand, run, batch, setup.steps),
        "step": partial(fit_steps, run, repeat(batch), setup.steps),
        "fed": partial(fit_steps, run, batches, setup.steps),
    }
    seconds = measured(setup, ways, rounds)
    for name, value in seconds.items():
        print(
            f"{name:8} {1 / value:8.1f} images/s  {1e3 * setup.batch * value:8.2f} ms a step"
            f"  {seconds['ceiling'] / value:5.1%} of the ceiling"
        )
    share = 1 - seconds["step"] / seconds["fed"]
    print(f"share of a fed step that is spent on getting its data: {share:.1%}")
    print(
        f"an epoch of {TRAINING_IMAGES} images, by that: {TRAINING_IMAGES * seconds['fed']:.0f} s"
    )
    return batch


def variants(setup: Setup, batch: HandBatch, rounds: int, *, compiled: bool) -> None:
    """Precisions and layouts, one after the other: each a network of its own."""
    print("\nimages/s of a step on a random batch (product: channels last; bf16 by `precision`)")
    layouts: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "channels last": nullcontext,
        "contiguous": lambda: mock.patch.object(torch, "channels_last", torch.contiguous_format),
    }
    for layout, patched in layouts.items():
        for precision in ("fp32", "bf16"):
            with patched():
                way = partial(fit_steps, setup.run(bf16=precision == "bf16"), repeat(batch))
                seconds = measured(setup, {"": partial(way, setup.steps)}, rounds)
            print(f"{precision}, {layout:14} {1 / seconds['']:8.1f}")
    if compiled:
        compile_(setup, batch, rounds)


def compile_(setup: Setup, batch: HandBatch, rounds: int) -> None:
    for precision in ("fp32", "bf16"):
        run = setup.run(bf16=precision == "bf16")
        run.model.compile()
        begun = wall()
        fit_steps(run, repeat(batch), 1)
        first = wall() - begun
        way = partial(fit_steps, run, repeat(batch), setup.steps)
        seconds = measured(setup, {"": way}, rounds)
        print(f"{precision}, torch.compile  {1 / seconds['']:8.1f}  (first step {first:.0f} s)")


def measured(setup: Setup, ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Seconds per image, after a round that is not counted."""
    for way in ways.values():
        way()
    return medians(ways, rounds, cpu if setup.device.type == "cpu" else wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="hrnet_w18_small")
    parser.add_argument("--px", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="the first table in bf16")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes")
    options = parser.parse_args()
    one_thread()
    torch.backends.cudnn.benchmark = True  # as `fit.prepare_device` sets it
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setup = Setup(options.backbone, options.px, options.batch, options.steps, device, options.bf16)
    precision = "bf16" if setup.bf16 else "fp32"
    print(f"{setup.backbone}, {setup.px} px, batch {setup.batch}, {precision}, on {device.type}")
    work = Path(tempfile.mkdtemp(prefix="bench-train-"))
    try:
        batch = feeding(setup, shards_of(work, setup), options.rounds)
        variants(setup, batch, options.rounds, compiled=options.compile)
    finally:
        shutil.rmtree(work)
    print(f"peak memory {peak_mb():.0f} MB")
    if device.type == "cuda":
        print(f"of the GPU {torch.cuda.max_memory_allocated() / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
