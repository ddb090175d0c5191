"""`handpose table` with made-up trainings."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.clones import machine_record
from pipeline.clones.training_clone import CloneError, TrainingClone, data_stages
from pipeline.dag import read_dag
from pipeline.plan.plan import format_seconds
from pipeline.readme_block import README
from pipeline.table.results_page import FACTS, PAGE, stale
from pipeline.table.table import CLONES, TableError, parse_seeds
from tests.pipeline.table.made_up_metrics import metrics


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds whose training ran, which takes no time here; the results are made up."""
    seeds: list[int] = []
    monkeypatch.setattr(TrainingClone, "make_data", lambda self, on_line: on_line("data"))

    def train(
        self: TrainingClone, on_line: Callable[[str], None], environ: Mapping[str, str]
    ) -> None:
        seeds.append(self.seed)
        on_line(f"threads: {environ.get('OMP_NUM_THREADS')}")
        on_line("Running stage 'pose':")
        path = self.folder / "results" / "metrics.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(metrics(self.seed)), encoding="utf-8")

    monkeypatch.setattr(TrainingClone, "train", train)
    return seeds


def test_all_files_say_the_same_and_name_the_commit(
    clone: Path, git: Any, trained: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", "--seeds", "2,0,1", "--jobs", "1"]) == 0
    assert trained == [2, 0, 1]
    assert stale(clone) == []
    facts = json.loads((clone / FACTS).read_text("utf-8"))
    assert facts["commit"] == git("rev-parse", "HEAD")
    assert facts["uncommitted"] == []
    command = "handpose table --seeds 2,0,1 --jobs 1"
    assert (facts["seeds"], facts["command"]) == ([2, 0, 1], command)
    node = facts["metrics"]["pose"]["test"]["pretrained"]["wrist_mpjpe_mm"]
    assert node["value"] == [32.0, 30.0, 31.0]
    changed = {line[3:] for line in git("status", "--porcelain").splitlines()}
    assert {name.strip() for name in changed} >= {"docs/"}
    output = capfd.readouterr().out
    assert "3 seeds, one after another" in output
    assert "seed 2: Running stage 'pose':" in output and "seed 0: threads: None" in output
    assert output.count("data") == 1
    assert "| full model | 31.0 | 30.0 to 32.0 |" in output


def test_seeds_side_by_side_share_the_cores_and_the_table_says_so(
    clone: Path,
    trained: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(machine_record, "usable_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for words, at_once, threads in (("--jobs 2", 2, "2"), ("", 3, "1"), ("--jobs 9", 3, "1")):
        shutil.rmtree(clone / CLONES, ignore_errors=True)
        assert main(["table", *words.split()]) == 0
        output = capfd.readouterr().out
        assert f"3 seeds, {at_once} at once" in output
        assert f"seed 1: threads: {threads}" in output
        facts = json.loads((clone / FACTS).read_text("utf-8"))
        assert facts["command"] == f"handpose table --seeds 0,1,2 --jobs {at_once}"
        assert facts["machine"]["omp_num_threads"] == threads
    assert main(["table", "--jobs", "2"]) == 2
    message = capfd.readouterr().err
    assert "omp_num_threads 1 (here 2)" in message, "its digits are of one thread"


def test_its_own_files_do_not_count_as_changes(clone: Path, trained: list[int]) -> None:
    assert main(["table"]) == 0
    first = [(clone / name).read_text("utf-8") for name in (README, FACTS, PAGE)]
    assert main(["table"]) == 0
    assert [(clone / name).read_text("utf-8") for name in (README, FACTS, PAGE)] == first
    assert sorted(trained) == [0, 0, 1, 1, 2, 2]


def test_a_tree_with_changes_is_refused_or_named(
    clone: Path, trained: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "code.py").write_text("changed\n", encoding="utf-8")
    assert main(["table"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("handpose: code.py is not committed: ")
    assert "--allow-dirty" in error
    assert trained == []
    assert main(["table", "--allow-dirty"]) == 0
    assert json.loads((clone / FACTS).read_text("utf-8"))["uncommitted"] == ["code.py"]
    assert "with a changed file, not committed" in (clone / README).read_text("utf-8")
    assert stale(clone) == []


def test_a_readme_without_a_place_is_refused_before_training(
    clone: Path, trained: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / README).write_text("# Title\n", encoding="utf-8")
    assert main(["table"]) == 2
    assert "expected one line <!-- results" in capsys.readouterr().err
    assert trained == []


def test_a_folder_that_is_no_clone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["table"]) == 2
    assert "run this in the folder of the clone" in capsys.readouterr().err


def test_a_seed_that_fails_writes_nothing(
    clone: Path, git: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: TrainingClone, on_line: object, environ: object) -> None:
        if self.seed:
            raise CloneError(f"seed {self.seed}: no")

    monkeypatch.setattr(TrainingClone, "make_data", lambda self, on_line: None)
    monkeypatch.setattr(TrainingClone, "train", fail)
    assert main(["table", "--jobs", "1"]) == 2
    assert capsys.readouterr().err == "handpose: seed 1: no\nseed 2: no\n"
    assert not git("status", "--porcelain")


def test_one_at_a_time(clone: Path, trained: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    (clone / CLONES).mkdir(parents=True)
    with (clone / CLONES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        assert main(["table"]) == 2
    assert "another `handpose table` (process 4711) runs here" in capsys.readouterr().err
    assert main(["table"]) == 0


def test_time_and_disk_are_those_of_the_run_in_the_clone(
    clone: Path, trained: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table"]) == 0
    assert "Time and disk are unknown" in capsys.readouterr().out
    dag = read_dag(clone)
    own = set(dag) - data_stages(dag)
    for out in (clone / out for name in own for out in dag[name].outs if "manifest" in out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text('{"seconds": 50}', encoding="utf-8")
    (clone / "results" / "predictions.parquet").write_bytes(b"x" * 5_000_000)
    assert main(["table"]) == 0
    output = capsys.readouterr().out
    assert "seed 1: work/table/seed-1 exists; training resumes there" in output
    expected = format_seconds(50 * len(own))
    assert f"A new seed takes about {expected}, as the run in this clone did, and 5 MB" in output


@pytest.mark.parametrize("text", ["", "0,1", "0,1,1", "0,0,1,2", "0,1,x", "0,1,-2", "0,1,2,"])
def test_seeds_that_make_no_range_are_refused(text: str) -> None:
    with pytest.raises(TableError, match="3 or more different whole numbers"):
        parse_seeds(text)


def test_seeds_are_read_in_their_order() -> None:
    assert parse_seeds("5, 0,1") == [5, 0, 1]
