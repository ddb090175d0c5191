"""Runs of a grid on a machine that is available for minutes, in parallel, without DVC and git.

Stages are run as programs in a folder for each run. What has not ended when time is up is stopped,
and the results that are there come back in one file, which `result_import.py` takes into a clone.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import SEEDED
from pipeline.experiment.runs import STAGES, ExperimentRun, content_of
from pipeline.profiles.overrides import override
from stages.code_digest import stage_digest
from stages.paths import SCORES, STAGE_1_MODEL, STAGE_2_MODELS

RESULTS_FILE, CURVES_FILE, LOG = "results.json", "curves.csv", "log.txt"

DATA_STAGES = ("synthesize", "inputs", "ingest", "label", "shard", "shift")

GRACE_S = 15.0
"""Between asking a stage to stop and killing it."""

POLL_S = 0.2


class TimedError(HandPoseError):
    """Data cannot be made, or nothing ended in time."""


@dataclass
class TimedRuns:
    """Runs that share a machine until a deadline."""

    root: Path  # with the code, params.yaml and labels/
    work: Path  # a new folder
    jobs: int
    deadline: float  # of time.monotonic()
    show: Callable[[str], None]
    machine: Machine
    done: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # of the files in `out`

    def run(self, runs: Sequence[ExperimentRun], out: Path) -> list[dict[str, Any]]:
        """Make the data, train and score, and write `results.json` and `curves.csv` into `out`.

        They are written anew whenever a run ends, so that a killed command leaves what it has. The
        log of a run that fails or is late is copied there too.

        Returns:
            The results, in the order in which they came.

        Raises:
            TimedError: a data stage failed, or no run ended in time.
            RunsError: there is no gesture map.
        """
        out.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True)
        code = {stage: stage_digest(stage, self.root) for stage in STAGES}
        labels = {run.name: run.labels_digest(self.root) for run in runs}
        folders: dict[str, Path] = {}
        for run in runs:
            if (key := run.resolved.data_settings) not in folders:
                folders[key] = self._make_data(run, self.work / f"data-{len(folders)}")
        with ThreadPoolExecutor(self.jobs) as pool:
            tasks = [
                pool.submit(
                    self._one, run, folders[run.resolved.data_settings], code, labels[run.name], out
                )
                for run in runs
            ]
            for task in tasks:
                task.result()
        if not self.done:
            raise TimedError(
                f"no run finished in time; the logs of those that were begun are in {out}. Give "
                "it more minutes, fewer jobs, or a smaller grid"
            )
        return self.done

    def _make_data(self, run: ExperimentRun, folder: Path) -> Path:
        begun = time.monotonic()
        self._write_params(run, folder, self.machine.cores)
        (folder / "labels").symlink_to(self.root / "labels")
        for stage in DATA_STAGES:
            if self._stage(folder, [stage], self.machine.cores) != 0:
                raise TimedError(f"stage {stage} failed: {_last_line(folder / LOG)}")
        self.show(f"data for {run.resolved.name}: {time.monotonic() - begun:.0f} s")
        return folder

    def _one(
        self, run: ExperimentRun, data: Path, code: dict[str, str], labels: str, out: Path
    ) -> None:
        """Train and score one run; what fails or is late is reported and left out."""
        begun = time.monotonic()
        cores = max(1, self.machine.cores // self.jobs)
        folder = self.work / f"run-{run.resolved.name}-{run.seed}"
        changed = self._write_params(run, folder, cores)
        for name in ("data", "labels"):
            (folder / name).symlink_to(data / name)
        model = run.resolved.variant.run
        stages = [["pose", model], ["score", model]]
        for words in [["pretrain"], *stages] if model == "pretrained" else stages:
            if time.monotonic() > self.deadline:
                self.show(f"{run.name}: not begun in time: {' '.join(words)}")
                return
            if exit_code := self._stage(folder, words, cores):
                why = "stopped: time is up" if time.monotonic() > self.deadline else "failed"
                self.show(f"{run.name}: {' '.join(words)} {why} (exit code {exit_code}): "
                          f"{_last_line(folder / LOG)}")  # fmt: skip
                shutil.copy(folder / LOG, out / f"{run.resolved.name}-{run.seed}.log")
                return
        scores = json.loads((folder / SCORES / f"{model}.json").read_text("utf-8"))
        machine = asdict(self.machine) | {"omp_num_threads": str(cores)}
        result = content_of(run, changed, machine, code, labels, scores)
        with self._lock:
            self.done.append(result)
            self._write(out)
        self.show(f"{run.name}: done after {time.monotonic() - begun:.0f} s")

    def _write_params(self, run: ExperimentRun, folder: Path, cores: int) -> list[str]:
        folder.mkdir()
        shutil.copy(self.root / "params.yaml", folder)
        settings = [
            *run.resolved.overrides,
            *(f"{section}.seed={run.seed}" for section in SEEDED),
        ]
        changed = override(settings, folder / "params.yaml")
        loaders = [f"{section}.loader_workers={cores - 1}" for section in (*SEEDED, "evaluate")]
        if self.machine.gpu:  # each training would take all cores for its batches
            override(loaders, folder / "params.yaml")
        return changed

    def _stage(self, folder: Path, words: Sequence[str], cores: int) -> int:
        """Exit code of `python -m stages.<words>` in this folder, asked to stop at the deadline."""
        environ = os.environ | {
            "PYTHONPATH": str(self.root),
            "OMP_NUM_THREADS": str(cores),
        }
        command = [sys.executable, "-m", f"stages.{words[0]}", *words[1:]]
        with (folder / LOG).open("ab") as log:
            stage = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                while stage.poll() is None and time.monotonic() < self.deadline:
                    time.sleep(POLL_S)
                if stage.poll() is None:
                    stage.send_signal(signal.SIGTERM)
                    stage.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                stage.kill()
            finally:
                if stage.poll() is None:
                    stage.kill()
                    stage.wait()
        return stage.wait()

    def _write(self, out: Path) -> None:
        with atomic_file(out / RESULTS_FILE) as partial:
            partial.write_text(json.dumps(self.done, indent=1) + "\n", encoding="utf-8")
        rows = list(self._curves())
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic_file(out / CURVES_FILE) as partial,
            partial.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def _curves(self) -> Iterator[dict[str, str]]:
        """The training curves of the runs that ended, with variant, seed and stage."""
        for result in self.done:
            folder = self.work / f"run-{result['variant']}-{result['seed']}"
            for stage, path in (
                ("pretrain", STAGE_1_MODEL),
                ("pose", STAGE_2_MODELS[result["run"]]),
            ):
                curves = folder / path / "curves.csv"
                if not curves.is_file():
                    continue
                with curves.open(encoding="utf-8", newline="") as stream:
                    for row in csv.DictReader(stream):
                        yield {
                            "variant": result["variant"],
                            "seed": str(result["seed"]),
                            "stage": stage,
                            **row,
                        }


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
