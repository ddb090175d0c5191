"""Runs of a grid: what is done, kept, resumed and refused."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import CloneError, TrainingClone, alone
from pipeline.experiment import runs as runs_module
from pipeline.experiment.grid import FILE, read_grids
from pipeline.experiment.runs import ExperimentRun, Runner, RunsError, runs_of
from tests.pipeline.experiment.test_grid import SMALL
from tests.pipeline.table.made_up_metrics import MACHINE

HERE = Machine(**MACHINE)  # type: ignore[arg-type]
SCORED = {"seconds": {}, "steps": 5, "gates": [], "people": {"1": {"images": 3}}}
Calls = list[tuple[str, list[str], dict[str, str]]]


@pytest.fixture
def grid_clone(clone: Path, git: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed clone with a grid of two variants and two seeds."""
    (clone / FILE).parent.mkdir()
    (clone / "labels").mkdir()
    (clone / "labels" / "gesture_map.csv").write_text("a map\n", encoding="utf-8")
    grids = {"a": SMALL["grids"]["a"] | {"seeds": [0, 1]}}
    (clone / FILE).write_text(yaml.safe_dump(SMALL | {"grids": grids}), encoding="utf-8")
    git("add", "-A")
    git("commit", "-qm", "a grid")
    monkeypatch.setattr(runs_module, "stage_digest", lambda stage, root: f"code of {stage}")
    return clone


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What `dvc repro` was asked for; it leaves scores with the learning rate of the clone."""
    found: Calls = []
    lock = threading.Lock()

    def repro(
        self: TrainingClone,
        words: Sequence[str],
        on_line: Callable[[str], None],
        environ: dict[str, str] | None = None,
    ) -> None:
        with lock:
            found.append((self.name, list(words), environ or {}))
        on_line("trains")
        if "@" not in words[0]:  # of one run
            return
        params = yaml.safe_load((self.folder / "params.yaml").read_text("utf-8"))
        if params["pose"]["seed"] == 99:
            raise CloneError(f"{self.name}: failed")
        run = words[0].partition("@")[2]
        path = self.folder / "results" / "scores" / f"{run}.json"
        path.parent.mkdir(parents=True)
        lr, seed = params["pose"]["lr"], params["pose"]["seed"]
        scores = {"run": run, "test": "t", "weights": f"of {lr}, {seed}", "lr": lr, **SCORED}
        path.write_text(json.dumps(scores))

    monkeypatch.setattr(TrainingClone, "repro", repro)
    return found


def all_runs(root: Path) -> list[ExperimentRun]:
    grids = read_grids(root)
    return runs_of(root, grids, grids.grids["a"])


def test_each_run_is_kept_under_git_and_its_clone_is_deleted(
    grid_clone: Path, calls: Calls, git: Any
) -> None:
    lines: list[str] = []
    runs = all_runs(grid_clone)
    assert [run.name for run in runs] == [
        "full, seed 0", "slow, seed 0", "full, seed 1", "slow, seed 1"
    ]  # fmt: skip
    assert Runner(grid_clone, HERE, 2, lines.append).run(runs) == []
    assert calls[0][1][0] == "code", "data first, once"
    trained = {(name, words[0], environ["OMP_NUM_THREADS"]) for name, words, environ in calls[1:]}
    target, threads = "experiments/dvc.yaml:score@pretrained", str(max(1, HERE.cores // 2))
    assert trained == {(run.name, target, threads) for run in runs}
    for run in runs:
        found = run.result(grid_clone)
        assert found is not None
        assert found["lr"] == (0.0005 if run.resolved.name == "slow" else 0.001)
        assert (found["seed"], found["commit"]) == (run.seed, git("rev-parse", "HEAD"))
        assert found["code"]["pose"] == "code of pose"
        assert found["labels"] == hashlib.sha256(b"a map\n").hexdigest()
        assert found["settings"]["pose"]["batch"] == 8 and "seed" not in found["settings"]["pose"]
        assert not (grid_clone / "work" / "experiments" / run.resolved.name / "seed-0").exists()
    assert "slow, seed 1: trains" in lines
    assert git("status", "--porcelain") == "?? experiments/results/"


def test_one_failure_does_not_stop_the_others(grid_clone: Path, calls: Calls) -> None:
    runs = all_runs(grid_clone)
    runs[0] = ExperimentRun(runs[0].resolved, 99)
    failed = Runner(grid_clone, HERE, 1, lambda _: None).run(runs)
    assert failed == ["full, seed 99: failed"]
    assert [run.result(grid_clone) is not None for run in runs] == [False, True, True, True]


def test_two_commands_at_once_are_refused(grid_clone: Path, calls: Calls) -> None:
    runner = Runner(grid_clone, HERE, 1, lambda _: None)
    with (
        alone(grid_clone / "work" / "experiments", "handpose experiment run"),
        pytest.raises(CloneError, match=r"another `handpose experiment run` \(process \d+\) runs"),
    ):
        runner.run(all_runs(grid_clone))
    assert calls == []


def test_a_result_of_other_parameters_is_refused(grid_clone: Path, calls: Calls) -> None:
    runs = all_runs(grid_clone)
    Runner(grid_clone, HERE, 1, lambda _: None).run(runs[:1])
    path = grid_clone / runs[0].file
    found = json.loads(path.read_text())
    del found["settings"]["pose"]["clip_norm"]
    path.write_text(json.dumps(found))
    assert runs[0].result(grid_clone) is not None, "a key that was not there had its default"
    found["settings"]["pose"]["lr"] = 0.5
    path.write_text(json.dumps(found))
    with pytest.raises(RunsError, match=r"other parameters .*: pose\.lr 0\.5 \(now 0\.001\)"):
        runs[0].result(grid_clone)
    path.write_text(json.dumps(found | {"seed": 7}))
    words = (
        "is of variant full, run pretrained, seed 7, expected variant full, run pretrained, seed 0"
    )
    with pytest.raises(RunsError, match=words):
        runs[0].result(grid_clone)
    path.write_text(json.dumps(found | {"people": {}}))
    with pytest.raises(RunsError, match=r"is not a result \(of test split it has no people\)"):
        runs[0].result(grid_clone)
    path.write_text("{")
    with pytest.raises(RunsError, match="is not a result"):
        runs[0].result(grid_clone)


def test_labels_are_those_that_were_trained(grid_clone: Path, calls: Calls) -> None:
    """Not those of the folder, if they were edited meanwhile."""
    runs = all_runs(grid_clone)[:1]
    runner = Runner(grid_clone, HERE, 1, lambda _: None)
    labels = grid_clone / "labels" / "gesture_map.csv"
    labels.write_text("edited\n", encoding="utf-8")
    assert runner.run(runs) == []
    with pytest.raises(RunsError, match=r"other labels: SHA-256 \w{12} of labels/gesture_map\.csv"):
        runs[0].result(grid_clone)
    labels.write_text("a map\n", encoding="utf-8")
    assert runs[0].result(grid_clone) is not None, "restored"


def test_a_run_without_a_gesture_map_fails(grid_clone: Path, calls: Calls, git: Any) -> None:
    git("rm", "-q", "labels/gesture_map.csv")
    git("commit", "-qm", "no map")
    (failed,) = Runner(grid_clone, HERE, 1, lambda _: None).run(all_runs(grid_clone)[:1])
    assert "gesture_map.csv: not found; label.map of full names it" in failed


def test_shifted_test_sets_are_made_once_before_all_runs(
    grid_clone: Path, calls: Calls, git: Any
) -> None:
    grids = yaml.safe_load((grid_clone / FILE).read_text("utf-8"))
    grids["base"] |= {"evaluate.shift.severities": [0.5]}
    (grid_clone / FILE).write_text(yaml.safe_dump(grids), encoding="utf-8")
    git("commit", "-qam", "shifted")
    assert Runner(grid_clone, HERE, 2, lambda _: None).run(all_runs(grid_clone)) == []
    words = [words for _, words, _ in calls]
    made = ["experiments/dvc.yaml:shift"]
    assert words[1] == made and words.count(made) == 1
