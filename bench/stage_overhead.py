"""What the stage runner costs: `python bench/stage_overhead.py [ROUNDS]`.

A stage that does nothing is run by itself (the baseline), through the runner with reports off,
with no server there, and, if one answers at PREFECT_API_URL, with reports. Medians of
alternating rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOBODY = "http://127.0.0.1:9/api"

DVC = """stages:
  idle: {cmd: python -m pipeline.stage idle, outs: [idle]}
"""
PLAY_DVC = (
    "import os, subprocess, sys, time; t = time.perf_counter();"
    "subprocess.run(sys.argv[1:], env={**os.environ, 'DVC_STAGE': 'idle'},"
    " stdout=subprocess.DEVNULL, check=True); print(time.perf_counter() - t)"
)
"""A process that stands in for DVC, as the parent of the stage's command."""


def toy(folder: Path, seconds: float) -> None:
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").touch()
    (folder / "stages" / "idle.py").write_text(
        f"import time\nif __name__ == '__main__':\n    time.sleep({seconds})\n"
    )
    for package in ("pipeline", "handpose"):
        (folder / package).symlink_to(ROOT / package)
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "params.yaml").write_text("{}\n")


def seconds(folder: Path, command: list[str], api: str) -> float:
    env = {**os.environ, "PYTHONPATH": str(folder), "PREFECT_API_URL": api}
    runner = "from pathlib import Path; from pipeline import stage;" + (
        "import sys; stage.STAGES = Path('stages'); sys.exit(stage.main(['idle']))"
    )
    words = command or [sys.executable, "-c", runner]
    done = subprocess.run(
        [sys.executable, "-c", PLAY_DVC, *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    alone = [sys.executable, "-m", "stages.idle"]
    ways = {
        "the stage alone": (alone, ""),
        "runner, reports off": ([], ""),
        "runner, no server": ([], NOBODY),
    }
    if server := os.environ.get("PREFECT_API_URL"):
        ways["runner, server up"] = ([], server)
    with tempfile.TemporaryDirectory() as name:
        toy(Path(name), seconds=0.5)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (command, api) in ways.items():
                times[way].append(seconds(Path(name), command, api))
    base = statistics.median(times["the stage alone"])
    for way, values in times.items():
        middle = statistics.median(values)
        print(f"{way:22} {middle * 1e3:7.1f} ms  +{(middle - base) * 1e3:6.1f} ms")


if __name__ == "__main__":
    main()
