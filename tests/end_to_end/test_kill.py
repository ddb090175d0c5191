"""Kill what you like, when you like: `dvc repro` goes on, and the weights are the same bytes.

A run of each training stage is killed again and again: each time another process (the stage, its
runner, dvc; or all that a terminal reaches, by Ctrl-C), by another signal, at another point. The
process is held there (`hold/sitecustomize.py`), so that nothing depends on who is faster.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.lab import Breakpoint, Lab

pytestmark = pytest.mark.end_to_end

SHELL = {"pretrain": "/bin/sh", "pose_scratch": "/bin/bash"}
"""What DVC runs a stage in: the first may stay above it (dash does), the second gives way to it."""
MODULE = {"pretrain": "stages.pretrain", "pose_scratch": "stages.pose"}
OUT = {"pretrain": "models/pretrain", "pose_scratch": "models/pose/scratch"}
PER_EPOCH, EPOCHS = 11, 2
STEPS = PER_EPOCH * EPOCHS
TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
OFTEN, SELDOM = 0, 600  # seconds between checkpoints: after every step, or at an epoch's end alone


class Kill(NamedTuple):
    """A kill, and the step after which the next `dvc repro` goes on."""

    who: str
    number: signal.Signals
    at: str
    step: int  # held before this step, where that is a step
    goes_on: int
    every_s: int = OFTEN

    def where(self, stage: str, begin: int) -> Breakpoint:
        """The breakpoint in a process that begins after the step `begin`."""
        if self.at == "saving by dvc":
            return Breakpoint("bin/dvc", "dvc.stage:Stage.commit", 1, stage)
        call, count, text = {
            "a step": ("handpose.training.fit:gradient_step", self.step - begin, ""),
            "validation": ("handpose.training.fit:TrainingState.end_epoch", 1, ""),
            "saving a checkpoint": ("os:replace", 1, "checkpoint.pt"),
            "writing model.json": ("os:replace", 1, "model.json"),
            "writing curves.csv": ("os:replace", 1, "curves.csv"),
        }[self.at]
        return Breakpoint(MODULE[stage], call, count, text)


KILLS = {
    "pretrain": [
        Kill("stage", TERM, "a step", 5, 5, SELDOM),  # before any checkpoint
        Kill("dvc", KILL, "a step", 8, 8),
        Kill("stage", KILL, "validation", PER_EPOCH, PER_EPOCH),
        Kill("runner", KILL, "a step", 14, 14),
        Kill("all", INT, "a step", 17, 17),
        Kill("stage", KILL, "saving a checkpoint", 18, 17),
        Kill("dvc", KILL, "saving a checkpoint", 18, 18),
        Kill("dvc", KILL, "validation", STEPS, STEPS, SELDOM),
        Kill("stage", KILL, "writing model.json", STEPS, STEPS),
        Kill("all", INT, "writing curves.csv", STEPS, STEPS),
        Kill("dvc", KILL, "saving by dvc", STEPS, STEPS),
    ],
    "pose_scratch": [
        Kill("stage", KILL, "a step", 5, 0, SELDOM),  # before any checkpoint: all is lost
        Kill("all", INT, "a step", 5, 5, SELDOM),
        Kill("runner", TERM, "a step", 9, 9),
        Kill("dvc", TERM, "a step", 14, 14),
        Kill("all", KILL, "a step", 17, 14, SELDOM),  # the machine went down
        Kill("dvc", KILL, "a step", 17, 17),
        Kill("all", INT, "validation", STEPS, STEPS, SELDOM),
        Kill("runner", KILL, "writing model.json", STEPS, STEPS),
        Kill("dvc", TERM, "writing curves.csv", STEPS, STEPS),
        Kill("all", INT, "saving by dvc", STEPS, STEPS),
    ],
}


@pytest.fixture(scope="module")
def ready(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with two epochs to train, which no cache has: the tiny run had one."""
    folder = tmp_path_factory.mktemp("ready") / "clone"
    shutil.copytree(tiny_run, folder, symlinks=True)
    fit = {"epochs": EPOCHS, "batch": 32, "threads": 1, "checkpoint_every_s": SELDOM}
    Lab(folder, {}).configure(pretrain=fit, pose=fit, pose_scratch={"epochs": EPOCHS})
    return folder


@pytest.fixture
def lab(ready: Path, tmp_path: Path, environ_of: Callable[[Path], dict[str, str]]) -> Iterator[Lab]:
    folder = tmp_path / "clone"
    shutil.copytree(ready, folder, symlinks=True)
    lab = Lab(folder, environ_of(folder))
    yield lab
    lab.close()
    shutil.rmtree(folder)  # a hundred megabytes


@pytest.fixture(scope="module")
def whole(
    ready: Path,
    tmp_path_factory: pytest.TempPathFactory,
    environ_of: Callable[[Path], dict[str, str]],
) -> dict[str, dict[str, bytes]]:
    """Results of runs that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "clone"
    shutil.copytree(ready, folder, symlinks=True)
    lab = Lab(folder, environ_of(folder))
    lab.do("dvc repro pretrain pose_scratch")
    return {stage: results(lab, stage) for stage in MODULE}


def results(lab: Lab, stage: str) -> dict[str, bytes]:
    """What must not depend on any interruption, as far as it is there."""
    names = ("model.safetensors", "curves.csv")
    paths = [lab.folder / OUT[stage] / name for name in names]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def begun_at(output: str) -> int:
    """The step after which a stage went on, as it logs."""
    if "rewriting its results" in output:
        assert not re.search(r"epoch \d/2", output), "it did not train again"
        return STEPS
    found = re.search(rf"resumes after step (\d+)/{STEPS} ", output)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("stage", KILLS)
def test_a_run_that_is_killed_again_and_again_ends_the_same(
    lab: Lab, whole: dict[str, dict[str, bytes]], stage: str
) -> None:
    section, begin = stage.partition("_")[0], 0
    for kill in KILLS[stage]:
        lab.configure(**{section: {"checkpoint_every_s": kill.every_s}})
        point = kill.where(stage, begin)
        started = lab.start(f"dvc repro {stage}", point, SHELL=SHELL[stage])
        started.wait_held()
        assert begun_at(started.output()) == begin, kill
        started.kill(kill.who, kill.number)
        gone_s = started.wait_gone()
        print(f"{stage}: {kill.who} {kill.number.name} at {kill.at}: gone in {gone_s:.1f} s")
        assert started.process.returncode != 0, kill
        assert results(lab, stage).items() <= whole[stage].items(), "nothing half-written"
        begin = kill.goes_on
    output = lab.do(f"dvc repro {stage}")
    assert begun_at(output) == begin
    assert results(lab, stage) == whole[stage]
    assert not list((lab.folder / OUT[stage]).glob(".*")), "nothing temporary is left"
    assert "up to date" in lab.do(f"dvc status {stage}")
    assert "Running stage" not in lab.do(f"dvc repro {stage}")


def test_one_process_at_a_time_and_each_state_for_its_own_parameters_and_labels(
    lab: Lab, whole: dict[str, dict[str, bytes]]
) -> None:
    def killed_before(step: int) -> str:
        """Of a run that began anew, and was asked to stop."""
        started = lab.start(
            "dvc repro pretrain",
            Breakpoint(MODULE["pretrain"], "handpose.training.fit:gradient_step", step),
        )
        pid = started.wait_held()
        if step == 5:
            refused = lab.do("python -m stages.pretrain", expect=2)
            assert f"another run (process {pid}) is training here" in refused
        started.kill("all", INT)
        started.wait_gone()
        return started.output()

    assert begun_at(killed_before(5)) == 0
    lab.configure(pretrain={"lr": 0.002})
    output = killed_before(3)
    assert begun_at(output) == 0
    assert "1 other unfinished or unrecorded runs left" in output
    lab.configure(pretrain={"lr": 0.001})
    gestures = lab.folder / "labels" / "gesture_map.csv"
    labels = gestures.read_text("utf-8")
    for old in (",1,good_luck,28", ",28,good_luck,63"):  # a hand's class and its twin's
        assert old in labels
        renamed = gestures.read_text("utf-8").replace(old, old.replace("good_luck", "fortune"))
        gestures.write_text(renamed, "utf-8")
    assert begun_at(killed_before(2)) == 0
    gestures.write_text(labels, "utf-8")
    assert begun_at(lab.do("dvc repro pretrain")) == 5
    assert results(lab, "pretrain") == whole["pretrain"]


@pytest.mark.parametrize(
    ("stage", "who", "point"),
    [
        ("ingest", "stage", Breakpoint("stages.ingest", "os:replace", 1, "samples.parquet")),
        ("shard", "dvc", Breakpoint("stages.shard", "handpose.data.shards:write_tar", 2)),
        ("shard", "stage", Breakpoint("stages.shard", "os:replace", 1, ".tars.partial")),
    ],
)
def test_half_written_data_are_never_taken_for_whole(
    lab: Lab, stage: str, who: str, point: Breakpoint
) -> None:
    before = {path.name for path in (lab.folder / "data" / stage).iterdir()}
    lab.configure(ingest={"min_valid_joints": 7}, shard={"jpeg_quality": 94})
    started = lab.start(f"dvc repro {stage}", point)
    started.wait_held()
    started.kill(who, KILL)
    started.wait_gone()
    for name in ("samples.parquet", "tars", "index.json", "manifest.json"):
        assert not (lab.folder / "data" / stage / name).exists()
    assert not list((lab.folder / "data").rglob(".*.partial")), "nor under a temporary name"
    if who == "stage":
        assert f"{stage}: exit code 137, ended by SIGKILL: if nobody sent it" in started.output()

    lab.do(f"dvc repro {stage}")
    assert {path.name for path in (lab.folder / "data" / stage).iterdir()} == before
    assert "up to date" in lab.do(f"dvc status {stage}")


def test_workers_do_not_outlive_their_stage(lab: Lab) -> None:
    lab.configure(synthesize={"seed": 1, "workers": 2})
    point = Breakpoint("stages.synthesize", "handpose.synthetic.writer:InterHandWriter.add", 5)
    started = lab.start("dvc repro synthesize", point)
    started.wait_held()
    assert sum("spawn_main" in line for line in started.processes().values()) == 2
    started.kill("stage", KILL)
    started.wait_gone()
    assert not (lab.folder / "data" / "synthetic").exists()
    assert not list((lab.folder / "data").rglob(".*.partial")), "nor under a temporary name"
    assert "and lower synthesize.workers in params.yaml" in started.output()
