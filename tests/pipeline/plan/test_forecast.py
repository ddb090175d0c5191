"""What is forecast is what DVC then does, on a small pipeline of shell commands."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.plan.forecast import Fate, ForecastError, forecast

UNCHANGED, RESTORED, RUNS, STOPS = Fate.UNCHANGED, Fate.RESTORED, Fate.RUNS, Fate.STOPS

PIPELINE = """
stages:
  label:
    cmd: echo label >> {log}; sort map.txt > label.txt; cut -c1 label.txt > members.txt
    deps: [map.txt]
    outs: [label.txt, members.txt]
    meta: {{rehearse: true}}
  shard:
    cmd: echo shard >> {log}; mkdir -p shards/a && cp members.txt shards/a/x && echo > shards/y
    deps: [members.txt]
    outs: [shards]
  train:
    cmd: echo train >> {log}; cat shards/a/x label.txt | tee label.log > model.txt
    deps: [shards/a, label.txt]
    params: [train.lr, train.deep]
    outs: [model.txt]
"""
PARAMS = "train:\n  lr: 1\n  deep:\n    a: 1\n    b: [1, 2]\nother: 1\n"


class Toy:
    """A repository with this pipeline; every command leaves a line in a log."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root / "toy", root / "ran.log"
        self.root.mkdir()
        self.write("dvc.yaml", PIPELINE.format(log=self.log))
        self.write("params.yaml", PARAMS)
        self.write("map.txt", "a open\nb fist\n")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text("utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def forecast(self, *targets: str) -> dict[str, Fate]:
        return {one.stage: one.fate for one in forecast(self.root, list(targets))}

    def repro(self, *targets: str) -> dict[str, Fate]:
        """What DVC did with each stage that it looked at."""
        self.log.write_text("")
        repo = Repo(str(self.root))
        done = {stage.name for stage in repo.reproduce(list(targets) or None)}
        ran = self.log.read_text().split()
        names = self.forecast(*targets)
        return {
            name: RUNS if name in ran else RESTORED if name in done else UNCHANGED for name in names
        }

    def holds(self, *targets: str) -> dict[str, Fate]:
        """The forecast, after DVC has proved it right."""
        planned = self.forecast(*targets)
        assert self.repro(*targets) == planned
        return planned


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy(tmp_path)
    monkeypatch.chdir(toy.root)
    Repo.init(str(toy.root), no_scm=True)
    return toy


@pytest.fixture
def done(toy: Toy) -> Toy:
    """After a first run."""
    assert set(toy.holds().values()) == {RUNS}
    return toy


def test_what_has_run_is_unchanged(done: Toy) -> None:
    assert set(done.holds().values()) == {UNCHANGED}


EDITS: dict[str, tuple[Callable[[Toy], None], list[Fate]]] = {
    "rows in another order": (
        lambda toy: toy.write("map.txt", "b fist\na open\n"),
        [RUNS, UNCHANGED, UNCHANGED],
    ),
    "another class": (
        lambda toy: toy.edit("map.txt", "open", "claw"),
        [RUNS, UNCHANGED, RUNS],
    ),
    "a row dropped": (lambda toy: toy.write("map.txt", "a open\n"), [RUNS, RUNS, RUNS]),
    "a parameter": (
        lambda toy: toy.edit("params.yaml", "a: 1", "a: 2"),
        [UNCHANGED, UNCHANGED, RUNS],
    ),
    "a parameter that nobody reads": (
        lambda toy: toy.edit("params.yaml", "other: 1", "other: 2"),
        [UNCHANGED] * 3,
    ),
    "a command": (
        lambda toy: toy.edit("dvc.yaml", "cat shards", "cat ./shards"),
        [UNCHANGED, UNCHANGED, RUNS],
    ),
    "an output gone": (
        lambda toy: (toy.root / "model.txt").unlink(),
        [UNCHANGED, UNCHANGED, RESTORED],
    ),
    "an output edited by hand": (
        lambda toy: toy.write("label.txt", "x"),
        [RESTORED, UNCHANGED, UNCHANGED],
    ),
    "the folder gone": (
        lambda toy: shutil.rmtree(toy.root / "shards"),
        [UNCHANGED, RESTORED, UNCHANGED],
    ),
    "dvc.lock gone": (
        lambda toy: (toy.root / "dvc.lock").unlink(),
        [RESTORED] * 3,
    ),
    "the cache gone": (
        lambda toy: shutil.rmtree(toy.root / ".dvc/cache/files"),
        [RUNS] * 3,
    ),
    "a stage that always runs": (
        lambda toy: toy.edit(
            "dvc.yaml", "    outs: [model.txt]", "    always_changed: true\n    outs: [model.txt]"
        ),
        [UNCHANGED, UNCHANGED, RUNS],
    ),
    "an output more": (
        lambda toy: toy.edit("dvc.yaml", "outs: [model.txt]", "outs: [model.txt, label.log]"),
        [UNCHANGED, UNCHANGED, RUNS],
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_does_what_was_forecast(done: Toy, edit: str) -> None:
    change, expected = EDITS[edit]
    change(done)
    assert list(done.forecast().values()) == expected
    done.holds()


@pytest.mark.parametrize("edit", ["rows in another order", "another class", "a row dropped"])
def test_undoing_an_edit_runs_nothing(done: Toy, edit: str) -> None:
    before = (done.root / "map.txt").read_text()
    EDITS[edit][0](done)
    done.repro()
    done.write("map.txt", before)
    assert RUNS not in done.holds().values()


def test_a_stage_after_a_running_one_is_listed_as_after_it(done: Toy) -> None:
    done.edit("map.txt", "b fist", "c fist")
    found = {one.stage: one for one in forecast(done.root, [])}
    assert found["label"].rehearsed
    assert found["shard"].after == []
    assert [change.name for change in found["shard"].changes] == ["members.txt"]
    assert found["train"].after == ["shard"], "what shard will write is not known"
    assert done.log.read_text().split()[3:] == ["label"], "the quick stage alone was run aside"


def test_a_forecast_writes_nothing(done: Toy) -> None:
    done.edit("map.txt", "open", "claw")
    before = {
        p: p.read_bytes() for p in done.root.rglob("*") if p.is_file() and ".dvc" not in p.parts
    }
    done.forecast()
    assert before == {p: p.read_bytes() for p in before}
    assert {p for p in done.root.rglob("*") if p.is_file() and ".dvc" not in p.parts} == set(before)


def test_every_reason_is_reported_with_old_and_new(done: Toy) -> None:
    done.edit("params.yaml", "b: [1, 2]", "b: [1, 3]")
    done.edit("params.yaml", "lr: 1", "lr: 0.5")
    train = forecast(done.root, ["train"])[-1]
    assert [(c.kind, c.name, c.old, c.new) for c in train.changes] == [
        ("parameter", "train.deep.b", [1, 2], [1, 3]),
        ("parameter", "train.lr", 1, 0.5),
    ]


def test_targets_bring_what_they_need_and_no_more(done: Toy) -> None:
    done.edit("map.txt", "open", "claw")
    assert list(done.holds("shard")) == ["label", "shard"]


def test_a_frozen_stage_is_taken_as_it_is(done: Toy) -> None:
    done.edit("dvc.yaml", "    outs: [shards]", "    frozen: true\n    outs: [shards]")
    done.edit("map.txt", "b fist", "c fist")
    assert done.holds() == {"shard": UNCHANGED, "label": RUNS, "train": RUNS}
    shutil.rmtree(done.root / "shards")
    (only,) = forecast(done.root, ["shard"])
    assert only.fate is STOPS
    assert "dvc unfreeze shard" in only.fault


def test_where_dvc_would_stop_the_forecast_stops(done: Toy) -> None:
    (done.root / "map.txt").unlink()
    (only,) = forecast(done.root, [])
    assert only.fate is STOPS
    assert "map.txt" in only.fault


def test_a_parameter_that_is_missing_stops(done: Toy) -> None:
    done.edit("params.yaml", "  lr: 1\n", "")
    last = forecast(done.root, [])[-1]
    assert (last.stage, last.fate) == ("train", STOPS)
    assert "train.lr" in last.fault


def test_a_fault_in_a_rehearsal_is_reported(done: Toy) -> None:
    done.edit(
        "dvc.yaml", "; sort map.txt", "; echo row 3 is wrong >&2; false; exit 1; sort map.txt"
    )
    (only,) = forecast(done.root, [])
    assert only.fate is STOPS
    assert only.fault == "row 3 is wrong"


def test_unknown_targets_and_broken_files_are_reported(done: Toy) -> None:
    with pytest.raises(ForecastError, match="nope"):
        forecast(done.root, ["nope"])
    done.write("dvc.yaml", textwrap.dedent("stages:\n  a: [1"))
    with pytest.raises(ForecastError, match=r"dvc\.yaml"):
        forecast(done.root, [])


def test_a_downloaded_zip_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").touch()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(ForecastError, match=r"a downloaded ZIP\?.*git init && git add -A"):
        forecast(tmp_path, [])
