"""A seed's clone: what it takes from the clone above it, and what it keeps."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import dvc_internals
from pipeline.clones import training_clone
from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import CloneError, Source, TrainingClone, data_stages
from pipeline.dag import read_dag
from tests.pipeline.table.made_up_metrics import MACHINE

HERE = Machine(**MACHINE)  # type: ignore[arg-type]


def clone_of(source: Source, seed: int, *settings: str) -> TrainingClone:
    return TrainingClone(
        source, Path("work/table") / f"seed-{seed}", f"seed {seed}", seed, settings
    )


def prepared(root: Path, seed: int = 1) -> Path:
    made = clone_of(Source.of(root, (Path("README.md"),)), seed)
    made.prepare(HERE)
    return made.folder


def params(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    return found


def test_only_the_training_seeds_differ(clone: Path, git: Any) -> None:
    folder = prepared(clone, seed=7)
    expected = params(clone)
    assert (expected["pretrain"]["seed"], expected["pose"]["seed"]) == (0, 0)
    expected["pretrain"]["seed"] = expected["pose"]["seed"] = 7
    assert params(folder) == expected
    assert git("rev-parse", "HEAD", folder=folder) == git("rev-parse", "HEAD")
    assert git("diff", "--name-only", folder=folder) == "params.yaml"
    assert not git("status", "--porcelain"), "nothing is left in the clone above"


def test_a_clone_may_have_other_settings_and_its_own_environment(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clone_of(Source.of(clone, ()), 3, "pose.lr=0.002", "pose.seed=8")
    assert made.prepare(HERE)
    found = params(made.folder)["pose"]
    assert (found["lr"], found["seed"]) == (0.002, 3), "the seed is that of the clone"
    calls = []

    def run(root: Path, words: list[str], on_line: Any, environ: dict[str, str]) -> int:
        calls.append((words, environ))
        return 0

    monkeypatch.setattr(training_clone, "run_repro", run)
    made.repro(["pose"], print, {"OMP_NUM_THREADS": "1"})
    assert calls == [(["pose"], {"PREFECT_API_URL": "", "OMP_NUM_THREADS": "1"})]


def test_the_cache_is_that_of_the_clone_above(clone: Path) -> None:
    local = clone / ".dvc" / "config.local"
    local.write_text("[cache]\n    type = 'reflink,copy'\n", encoding="utf-8")
    folder = prepared(clone)
    found = dvc_internals.config(folder).read()["cache"]
    assert Path(found["dir"]) == clone / ".dvc" / "cache"
    assert found["type"] == "reflink,copy"


def test_what_was_trained_stays_when_the_commit_moves(clone: Path, git: Any) -> None:
    folder = prepared(clone)
    kept = [folder / name for name in ("dvc.lock", "work/pose/checkpoint", "models/pose/model")]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("trained", encoding="utf-8")
    (clone / "dvc.lock").write_text("of the clone above", encoding="utf-8")
    (clone / "code.py").unlink()
    (clone / "new.py").write_text("second\n", encoding="utf-8")
    git("add", "-A")
    git("commit", "-qm", "second")
    assert prepared(clone) == folder
    assert [path.read_text("utf-8") for path in kept] == ["trained"] * 3
    assert git("rev-parse", "HEAD", folder=folder) == git("rev-parse", "HEAD")
    assert (folder / "new.py").is_file()
    assert not (folder / "code.py").exists()


def test_data_that_were_made_above_are_known_and_models_are_not(clone: Path, git: Any) -> None:
    stages = {name: {"cmd": name} for name in ("synthesize", "shard", "pretrain", "evaluate")}
    lock = clone / "dvc.lock"
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
    assert Source.of(clone, ()).changed == [], "it records runs, and is no change"
    git("add", "dvc.lock")
    git("commit", "-qm", "a run")
    found = yaml.safe_load((prepared(clone) / "dvc.lock").read_text("utf-8"))
    assert found == {"schema": "2.0", "stages": {k: stages[k] for k in ("synthesize", "shard")}}
    lock.write_text("<<<<<<< HEAD\n", encoding="utf-8")
    assert yaml.safe_load((prepared(clone, 2) / "dvc.lock").read_text("utf-8"))["stages"] == {}


def test_changes_come_along_and_go_again(clone: Path, git: Any) -> None:
    (clone / "code.py").unlink()
    (clone / "a folder").mkdir()
    (clone / "a folder" / "new.py").write_text("new\n", encoding="utf-8")
    values = (clone / "params.yaml").read_text("utf-8")
    (clone / "params.yaml").write_text(values.replace("lr: 0.001", "lr: 0.0005"), encoding="utf-8")
    (clone / "README.md").write_text("not counted", encoding="utf-8")
    source = Source.of(clone, (Path("README.md"),))
    assert sorted(source.changed) == ["a folder/new.py", "code.py", "params.yaml"]
    folder = prepared(clone)
    assert (folder / "a folder" / "new.py").is_file()
    assert not (folder / "code.py").exists()
    assert (params(folder)["pose"]["lr"], params(folder)["pose"]["seed"]) == (0.0005, 1)
    git("checkout", "-q", ".")
    git("clean", "-qfd")
    prepared(clone)
    assert (folder / "code.py").is_file()
    assert not (folder / "a folder").exists()
    assert params(folder)["pose"]["lr"] == 0.001


def test_a_commit_made_meanwhile_does_not_count(clone: Path, git: Any) -> None:
    source = Source.of(clone, ())
    git("commit", "-q", "--allow-empty", "-m", "meanwhile")
    made = clone_of(source, 0)
    made.prepare(HERE)
    assert git("rev-parse", "HEAD", folder=made.folder) == source.commit


def test_a_preparation_that_was_killed_is_done_again(clone: Path) -> None:
    folder = clone / "work" / "table" / "seed-1"
    folder.mkdir(parents=True)
    (folder / "work").mkdir()
    (folder / "work" / "machine.json").write_text("{", encoding="utf-8")
    assert params(prepared(clone))["pose"]["seed"] == 1


def test_data_that_no_stage_makes_are_found_from_there(clone: Path) -> None:
    text = (clone / "params.yaml").read_text("utf-8")
    text = text.replace("root: data/synthetic ", "root: data/my hands ")
    (clone / "params.yaml").write_text(text, encoding="utf-8")
    folder = prepared(clone)
    assert params(folder)["data"]["root"] == str(clone / "data" / "my hands")
    assert params(folder)["hand"]["mano"] == "data/stand_in"


def test_another_machine_is_refused(clone: Path) -> None:
    prepared(clone)
    other = dataclasses.replace(HERE, cpu="Another CPU", torch="2.16.0")
    found = r"cpu A CPU @ 2.60GHz \(here Another CPU\), torch 2.15.0 .*delete that folder"
    with pytest.raises(CloneError, match=found):
        clone_of(Source.of(clone, ()), 1).prepare(other)


def test_this_machine_is_described() -> None:
    found = Machine.here()
    assert found.cpu
    assert found.cores >= 1
    assert found.differences(dataclasses.asdict(found)) == []
    assert len(found.differences({})) >= 5


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path, clone: Path) -> None:
    (clone / "inside").mkdir()
    with pytest.raises(CloneError, match="run this in the folder of the clone"):
        Source.of(clone / "inside", ())


def test_the_stages_before_the_training_are_the_same_for_every_seed(clone: Path) -> None:
    assert data_stages(read_dag(clone)) == {
        "code",
        "synthesize",
        "inputs",
        "ingest",
        "label",
        "shard",
    }


def test_training_takes_nothing_trained_from_the_cache(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def run(root: Path, words: list[str], *_: Any) -> int:
        calls.append((root, words))
        return 255 if len(calls) == 4 else 0

    monkeypatch.setattr(training_clone, "run_repro", run)
    made = clone_of(Source.of(clone, ()), 1)
    made.prepare(HERE)
    made.train(print)
    data = ["code", "ingest", "inputs", "label", "shard", "synthesize"]
    assert calls == [(made.folder, data), (made.folder, ["--no-run-cache"])]
    with pytest.raises(CloneError, match=r"seed 1: .*exit code 255.*again resumes it"):
        made.train(print)


def test_results_that_cannot_be_read_are_named(clone: Path) -> None:
    made = clone_of(Source.of(clone, ()), 1)
    with pytest.raises(CloneError, match=r"metrics\.json: cannot be read"):
        made.metrics()
    path = made.folder / "results" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert made.metrics() == {"a": 1}
