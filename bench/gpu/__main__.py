"""What an NVIDIA GPU gives both training stages: `python -m bench.gpu [--minutes 7] [--out FILE]`.

One command for a machine with one GPU and torch, torchvision, timm (with PyYAML), pyarrow, opencv,
scipy, pydantic, smplx and webdataset: no DVC, no Prefect, no data, no network. Networks, losses,
steps and loading are the product's, in the paper's profile (256 px, bf16) from random weights.

The items run one after the other, the most informative first, each in a process of its own with its
own time limit, so that a failure costs no other item. Each prints as it goes, and all figures are
in one JSON file, also if the time ran out. `--item NAME ...` runs some of them; `--quick` runs
with tiny networks, also on a CPU, to test the benchmark itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from bench.gpu.ceilings import ceilings, machine
from bench.gpu.loading import fed, loader
from bench.gpu.record import Record
from bench.gpu.scoring import inference, scoring
from bench.gpu.setting import TOP, Setting
from bench.gpu.steps import equality, kernels, steps
from bench.measure import wall
from handpose.training.compilation import keep_kernels_in

LEAST_S = 8.0
"""An item is not begun with less time left: torch alone takes seconds to import."""


class Item(NamedTuple):
    """Something to measure, and the seconds that it may take."""

    measure: Callable[[Setting, Record], None]
    limit_s: float


STAGE_1 = partial(steps, stage="pretrain", backbone="hrnet_w32")
STAGE_2 = partial(steps, stage="pose", backbone="hrnet_w32")

ITEMS = {
    "machine": Item(machine, 20),
    "ceilings": Item(ceilings, 25),
    "stage 1 W32": Item(partial(STAGE_1, names=("eager", "graph")), 75),
    "stage 2 W32": Item(partial(STAGE_2, names=("eager", "graph")), 75),
    "loader": Item(loader, 60),
    "stage 1 W32 compiled": Item(partial(STAGE_1, names=("compiled graph", "compiled")), 130),
    "fed": Item(fed, 60),
    "equality": Item(equality, 45),
    "kernels": Item(kernels, 45),
    "inference": Item(inference, 40),
    "scoring": Item(scoring, 30),
    "stage 2 W32 compiled": Item(partial(STAGE_2, names=("compiled graph", "compiled")), 130),
    "stage 1 W48": Item(partial(STAGE_1, names=("graph", "eager"), backbone="hrnet_w48"), 75),
    "stage 2 W48": Item(partial(STAGE_2, names=("graph", "eager"), backbone="hrnet_w48"), 75),
}
"""By name, in the order in which they are measured."""


def main() -> None:
    """Measure all items, or the chosen ones, or (as a child process) a single one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.0, help="for all items together")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--item", nargs="+", choices=list(ITEMS), default=list(ITEMS))
    parser.add_argument("--quick", action="store_true", help="tiny: measures nothing")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        one(options.item[0], Setting(options.work, options.quick))
        return
    if not options.quick and not torch.cuda.is_available():
        raise SystemExit(
            "bench.gpu: torch finds no GPU here. `nvidia-smi` shows what the driver sees; "
            "`python -m bench.gpu --quick` tests the benchmark on a CPU"
        )
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        every(options.item, Setting(Path(folder), options.quick), options.minutes, options.out)


def every(names: list[str], setting: Setting, minutes: float, out: Path) -> None:
    """Measure these items in processes of their own, and keep what is known after each of them."""
    end = wall() + 60 * minutes
    found: dict[str, dict[str, object]] = {}
    for name in names:
        left = end - wall()
        if left < LEAST_S:
            found[name] = {"status": "not begun: the time was up", "figures": {}}
            print(f"{name}: not begun, the time was up", flush=True)
            _write(found, out)
            continue
        limit_s = min(ITEMS[name].limit_s, left)
        print(f"{name} (at most {limit_s:.0f} s, {left:.0f} s left for all)", flush=True)
        begun = wall()
        status = child(name, setting, limit_s)
        print(f"  {status} after {wall() - begun:.0f} s", flush=True)
        figures = file_of(name, setting.work)
        found[name] = {
            "status": status,
            "seconds": round(wall() - begun, 1),
            "figures": json.loads(figures.read_text()) if figures.exists() else {},
        }
        _write(found, out)
    print(f"all figures: {out}")


def _write(found: dict[str, dict[str, object]], out: Path) -> None:
    unfinished = out.with_suffix(".part")
    unfinished.write_text(json.dumps(found, indent=1))
    unfinished.rename(out)


def child(name: str, setting: Setting, limit_s: float) -> str:
    """Measure an item in a new process; how that ended."""
    command = [sys.executable, "-m", "bench.gpu", "--item", name, "--work", str(setting.work)]
    if setting.quick:
        command.append("--quick")
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    process = subprocess.Popen(
        command, cwd=TOP, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return f"ended by its limit of {limit_s:.0f} s"
    if process.returncode == 0:
        return "done"
    lines = [line for line in errors.splitlines() if line.strip()]
    print("\n".join(f"  | {line}" for line in lines[-12:]), flush=True)
    return f"failed: {lines[-1] if lines else f'exit code {process.returncode}'}"


def one(name: str, setting: Setting) -> None:
    """Measure this item in this process."""
    torch.backends.cudnn.benchmark = True  # as `device.prepare_device` sets it
    keep_kernels_in(setting.work / "kernels")
    record = Record(file_of(name, setting.work))
    ITEMS[name].measure(setting, record)
    if setting.device.type == "cuda":
        record.add("memory", peak_gib=torch.cuda.max_memory_allocated() / 2**30)


def file_of(name: str, work: Path) -> Path:
    """Where an item keeps its figures."""
    return work / f"{name.replace(' ', '-')}.json"


if __name__ == "__main__":
    main()
