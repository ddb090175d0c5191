"""Runs within some minutes, with stages that do in a moment what the real ones do in minutes."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.__main__ import main
from pipeline.experiment.grid import FILE
from pipeline.experiment.runs import RESULTS
from tests.pipeline.experiment.made_up_results import result
from tests.pipeline.experiment.test_grid import SMALL, written

STAGE = """
import json, sys, time
from pathlib import Path

import yaml

if __name__ == "__main__":
    params = yaml.safe_load(Path("params.yaml").read_text())
    name, run = Path(sys.argv[0]).stem, sys.argv[1] if len(sys.argv) > 1 else ""
    seed = params["pose"]["seed"]
    print(f"{name} {run} begins", flush=True)
    if name in ("pretrain", "pose"):
        assert Path("data/shard/index.json").is_file() and Path("labels/gesture_map.csv").is_file()
        folder = Path("models/pretrain") if name == "pretrain" else Path("models/pose") / run
        folder.mkdir(parents=True)
        (folder / "curves.csv").write_text(f"step,loss\\n1,{seed}.5\\n")
    if name == "pose" and seed == 1:
        time.sleep(300)  # never in time
    if name == "pose" and seed == 2:
        sys.exit("pose: cannot")
    if name == "shard":
        Path("data/shard").mkdir(parents=True)
        Path("data/shard/index.json").write_text("{}")
    if name == "score":
        Path("results/scores").mkdir(parents=True)
        content = SCORES | {"run": run, "steps": params["pose"]["batch"]}
        Path(f"results/scores/{run}.json").write_text(json.dumps(content))
"""

STAGES = ("synthesize", "inputs", "ingest", "label", "shard", "shift", "pretrain", "pose", "score")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stages, parameters and a grid, and neither git nor DVC."""
    folder = tmp_path / "machine"
    folder.mkdir()
    grids = {"a": SMALL["grids"]["a"] | {"seeds": [0, 1, 2]}}
    written(folder, grids=grids)
    (folder / "labels").mkdir()
    (folder / "labels" / "gesture_map.csv").write_text("a map\n")
    (folder / "stages").mkdir()
    (folder / "handpose").mkdir()
    for package in ("stages", "handpose"):
        (folder / package / "__init__.py").write_text("")
    keys = ("test", "weights", "seconds", "gates", "people")
    scores = {key: value for key, value in result("x", 0, 30.0).items() if key in keys}
    for name in STAGES:
        text = STAGE.replace("SCORES", repr(scores)) + f"\n# {name}\n"
        (folder / "stages" / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def set_seeds(root: Path, *seeds: int) -> None:
    grid = yaml.safe_load((root / FILE).read_text("utf-8"))
    grid["grids"]["a"]["seeds"] = list(seeds)
    (root / FILE).write_text(yaml.safe_dump(grid, sort_keys=False))


def timed(*words: str) -> int:
    return main(["experiment", "timed", "a", "--out", "out", *words])


def test_what_ends_in_time_comes_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert timed("--minutes", "0.3", "--jobs", "6") == 0
    said = capsys.readouterr().out
    found = json.loads((root / "out" / "results.json").read_text("utf-8"))
    variants = list(SMALL["grids"]["a"]["variants"])
    assert {(one["variant"], one["seed"]) for one in found} == {(name, 0) for name in variants}
    for name in variants:
        assert f"{name}, seed 1: pose pretrained stopped: time is up" in said
        assert f"{name}, seed 2: pose pretrained failed (exit code 1): pose: cannot" in said
    assert f"{len(variants)} of {3 * len(variants)} runs of a ended" in said
    with (root / "out" / "curves.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["variant"] for row in rows} == set(variants)
    assert {row["stage"] for row in rows} == {"pretrain", "pose"}
    assert {row["loss"] for row in rows} == {"0.5"}, "of runs that ended alone"
    slow = next((one for one in found if one["variant"] == "slow"), found[0])
    assert slow["settings"]["pose"]["batch"] == slow["steps"] == 8, "each with its own parameters"
    assert {one["labels"] for one in found} == {hashlib.sha256(b"a map\n").hexdigest()}


def test_if_nothing_ends_in_time_that_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_seeds(root, 1)
    assert timed("--minutes", "0.1", "--jobs", "6") == 2
    assert "no run finished in time" in capsys.readouterr().err
    assert not (root / "out" / "results.json").exists()


def test_the_log_of_a_run_that_fails_is_kept(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside the folder of the runs, which is deleted."""
    set_seeds(root, 1)
    (root / "stages" / "pose.py").write_text("import sys\nsys.exit('pose: a fault')\n")
    (root / "stages" / "pretrain.py").write_text("import sys\nsys.exit('pretrain: a fault')\n")
    assert timed() == 2
    said = capsys.readouterr()
    assert "no run finished in time; the logs of those that were begun are in" in said.err
    logs = [*(root / "out").glob("*.log")]
    assert len(logs) == said.out.count(" failed (exit code 1)") > 0
    assert all(log.read_text("utf-8").endswith(": a fault\n") for log in logs)


def test_a_data_stage_that_fails_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "stages" / "ingest.py").write_text("import sys\nsys.exit('ingest: no such folder')\n")
    assert timed() == 2
    assert "stage ingest failed: ingest: no such folder" in capsys.readouterr().err


def test_without_a_gesture_map_nothing_is_begun(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "labels" / "gesture_map.csv").unlink()
    assert timed() == 2
    assert "gesture_map.csv: not found; label.map of full names it" in capsys.readouterr().err


def test_an_unknown_grid_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "timed", "b"]) == 2
    assert "no grid is called 'b'; there are: a" in capsys.readouterr().err


WITHOUT = """
import sys
for name in ("dvc", "prefect", "smplx", "httpx"):
    sys.modules[name] = None
import pipeline.__main__, pipeline.experiment.timed_runs, pipeline.experiment.commands
import pipeline.experiment.runs
"""


def test_neither_dvc_nor_prefect_is_needed() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)


# --- and into a clone ----------------------------------------------------------------------------


@pytest.fixture
def brought(root: Path) -> Path:
    """Results, in the folder that they came from, which is a repository now."""
    set_seeds(root, 0)
    assert timed("--jobs", "2") == 0
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True
        )
    return root / "out" / "results.json"


def take(file: Path) -> int:
    return main(["experiment", "import", str(file)])


def test_results_get_the_commit_of_the_clone(
    root: Path, brought: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take(brought) == 0
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    for one in json.loads(brought.read_text("utf-8")):
        path = root / RESULTS / one["variant"] / "seed-0.json"
        found = json.loads(path.read_text("utf-8"))
        assert found == one | {"commit": head.stdout.strip(), "uncommitted": []}
    assert main(["experiment", "list"]) == 0
    assert "seeds 0 done" in capsys.readouterr().out
    assert take(brought) == 0
    assert "has a result already, left as it is" in capsys.readouterr().out


def test_a_copy_of_a_result_that_is_there_is_refused(
    root: Path, brought: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take(brought) == 0
    set_seeds(root, 0, 1)
    found = json.loads(brought.read_text("utf-8"))
    brought.write_text(json.dumps([one | {"seed": 1} for one in found]))
    assert take(brought) == 2
    assert "seed-0.json, so one of them is a copy" in capsys.readouterr().err
    assert not list((root / RESULTS).rglob("seed-1.json")), "nothing is taken"
    trained = [one | {"seed": 1, "weights": f"of {one['variant']}, 1"} for one in found]
    brought.write_text(json.dumps(trained))
    assert take(brought) == 0


def other_code(root: Path, brought: Path) -> Any:
    path = root / "stages" / "pose.py"
    path.write_text(path.read_text() + "\nx = 1\n")


def other_grid(root: Path, brought: Path) -> Any:
    text = (root / FILE).read_text("utf-8")
    grid = yaml.safe_load(text)
    grid["base"] = grid["base"] | {"pose.lr": 0.005}
    (root / FILE).write_text(yaml.safe_dump(grid, sort_keys=False))


def no_such_seed(root: Path, brought: Path) -> Any:
    found = json.loads(brought.read_text("utf-8"))
    brought.write_text(json.dumps([one | {"seed": 7} for one in found]))


def no_json(root: Path, brought: Path) -> Any:
    brought.write_text("{")


def no_people(root: Path, brought: Path) -> Any:
    change_first(brought, people={})


def odd_code(root: Path, brought: Path) -> Any:
    change_first(brought, code=[])


def odd_variant(root: Path, brought: Path) -> Any:
    change_first(brought, variant=["full"])


def other_run(root: Path, brought: Path) -> Any:
    change_first(brought, run="scratch")


def other_labels(root: Path, brought: Path) -> Any:
    (root / "labels" / "gesture_map.csv").write_text("edited\n")


def no_labels(root: Path, brought: Path) -> Any:
    (root / "labels" / "gesture_map.csv").unlink()


def copied(root: Path, brought: Path) -> Any:
    set_seeds(root, 0, 1)
    first, *others = json.loads(brought.read_text("utf-8"))
    brought.write_text(json.dumps([first, *others, first | {"seed": 1}]))


def change_first(brought: Path, **changes: Any) -> None:
    first, *others = json.loads(brought.read_text("utf-8"))
    brought.write_text(json.dumps([first | changes, *others]))


def not_there(root: Path, brought: Path) -> Any:
    brought.unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_code, "was trained with other code of pose than this clone has"),
        (
            other_grid,
            "with other parameters than it has here: pose.lr 0.001 (now 0.005)",
        ),
        (no_such_seed, "seed 7, run pretrained is in no grid of experiments/grid.yaml"),
        (no_people, "(of test split it has no people)"),
        (odd_code, "(its code is [], expected dict)"),
        (odd_variant, "(its variant is ['full'], expected str)"),
        (other_run, "run scratch is in no grid of experiments/grid.yaml"),
        (other_labels, "other labels than this clone has: SHA-256 "),
        (no_labels, "of labels/gesture_map.csv, which is not there now; check out the commit"),
        (copied, ", seed 0, so one of them is a copy, and each seed counts once"),
        (no_json, "is not a results.json of `handpose experiment timed`"),
        (not_there, "not found; `handpose experiment timed` writes it"),
    ],
)
def test_what_does_not_belong_here_is_refused(
    root: Path, brought: Path, change: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(root, brought)
    assert take(brought) == 2
    assert words in capsys.readouterr().err
    assert not list((root / RESULTS).rglob("*.json")), "nothing is taken"
