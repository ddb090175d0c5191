"""The plan in words."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.dvc_internals import DepChange, FileVersion
from pipeline.plan.forecast import Fate, Forecast
from pipeline.plan.plan import MOST_CHANGES, PlanError, check, format_bytes, format_seconds, plan
from stages.code_digest import digest_of

DVC_YAML = """
stages:
  label:
    cmd: cp map.csv labels.csv && cp took.json manifest.json
    deps: [map.csv]
    outs: [labels.csv, manifest.json]
  train:
    cmd: cp labels.csv model
    deps: [labels.csv]
    params: [train.lr]
    outs: [model]
"""


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that ran once and was committed; its first stage says that it took 75 s."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "dvc.yaml": DVC_YAML,
        "params.yaml": "train: {lr: 0.1}\n",
        "map.csv": "folder,class\na,open\nb,fist\n",
        "took.json": json.dumps({"seconds": 75}),
    }.items():
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q")
    Repo.init(str(tmp_path))
    Repo(str(tmp_path)).reproduce()
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_plan_says_what_why_and_how_long(repo: Path) -> None:
    assert plan(repo).lines[-1] == "Nothing to do: all 2 stages are as dvc.lock has them."

    (repo / "map.csv").write_text("folder,class\na,open\nb,claw\n")
    (repo / "params.yaml").write_text("train: {lr: 0.2}\n")
    found = plan(repo)
    text = "\n".join(found.lines)
    assert not found.stops
    assert re.search(r"^> label +runs +about 75 s, 42 B$", text, re.MULTILINE), text
    assert "- b,fist\n        + b,claw" in text
    assert re.search(r"^> train +runs +for an unknown time, 27 B$", text, re.MULTILINE), text
    assert "train.lr: 0.1 -> 0.2\n      after label" in text
    assert found.lines[-4:-2] == [
        "2 of 2 stages would run.",
        "Time: at least 75 s, unknown for train, and a few seconds for each to start.",
    ]
    assert "Disk: about 69 B, by the last recorded runs, once here" in text
    assert "no run is recorded" not in text

    (repo / "dvc.yaml").write_text(DVC_YAML.replace("model", "net"))
    text = "\n".join(plan(repo, ["train"]).lines)
    assert re.search(r"^> train +runs +time and size unknown: no run", text, re.MULTILINE), text
    assert "Time: at least 75 s, unknown for train" in text
    assert "Disk: at least 42 B, unknown for train" in text


@pytest.mark.parametrize(
    ("took", "time"),
    [
        ([75, 5], "about 80 s, by the last recorded runs"),
        ([75], "about 75 s, by the last recorded run"),
        ([75, None], "at least 75 s, unknown for b"),
        ([0.0, None], "at least 0.1 s, unknown for b"),
        ([None, None], "unknown"),
        ([75, float("nan")], "at least 75 s, unknown for b"),
        ([75, -1], "at least 75 s, unknown for b"),
        ([75, "long"], "at least 75 s, unknown for b"),
    ],
)
def test_a_time_that_is_not_known_is_not_counted_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: list[object], time: str
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    found = []
    for name, seconds in zip("ab", took, strict=False):
        manifest = tmp_path / f"{name}.json"
        manifest.write_text(json.dumps({} if seconds is None else {"seconds": seconds}))
        found.append(Forecast(name, Fate.RUNS, manifest=manifest, recorded=True, size=None))
    monkeypatch.setattr("pipeline.plan.plan.forecast", lambda root, targets: found)
    lines = plan(tmp_path).lines
    assert lines[-2:] == [
        f"Time: {time}, and a few seconds for each to start.",
        "Disk: unknown, once here and once in DVC's cache.",
    ]


def test_one_stage_is_not_called_stages(repo: Path) -> None:
    assert plan(repo, ["label"]).lines[-1] == "Nothing to do: label is as dvc.lock has it."


def test_targets_are_dvcs(repo: Path) -> None:
    assert [line.split()[1] for line in plan(repo, ["label"]).lines if line[:1] == "="] == ["label"]


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml"])
def test_a_git_conflict_is_reported_with_line_and_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / name).write_text("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n")
    with pytest.raises(PlanError, match=rf"{name}:2: a git conflict.*git (checkout|diff)"):
        check(tmp_path)


def test_outside_a_clone_it_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"dvc\.yaml: not found; run this in the folder"):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (DepChange("first", "a"), "dvc.lock has no run of it"),
        (DepChange("command", "echo"), "its command changed: echo"),
        (DepChange("always", "a"), "always_changed is set in dvc.yaml"),
        (DepChange("output", "a.txt", new="deleted"), "a.txt: deleted"),
        (DepChange("parameter", "a.b", [1], None), "a.b: [1] -> (not there)"),
        (DepChange("code", "handpose/a.py", "old", "new"), "handpose/a.py: changed"),
        (DepChange("code", "handpose/a.py", None, "new"), "handpose/a.py: new in its code"),
        (DepChange("code", "handpose/a.py", "old"), "handpose/a.py: no longer part of its code"),
        (
            DepChange("input", "new.py", None, FileVersion("0123456789", 5)),
            "new.py: (new) -> 5 B 01234567",
        ),
    ],
)
def test_every_reason_has_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: DepChange, expected: str
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    one = Forecast("a", Fate.RUNS, changes=[change])
    monkeypatch.setattr("pipeline.plan.plan.forecast", lambda root, targets: [one])
    assert f"      {expected}" in plan(tmp_path).lines


def test_changed_code_is_named_with_its_lines_and_the_rest_counted(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "leaf.py").write_text("A = 1\nB = 1\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "code")
    changes = [DepChange("code", "leaf.py", digest_of("A = 1\nB = 1\n"), "new")]
    (repo / "leaf.py").write_text("# a comment\nA = 2\nB = 1\nC = 1\n")
    changes += [DepChange("code", f"{k}.py", "old", "new") for k in range(MOST_CHANGES + 1)]
    one = Forecast("train", Fate.RUNS, changes=changes)
    monkeypatch.setattr("pipeline.plan.plan.forecast", lambda root, targets: [one])
    lines = plan(repo).lines
    assert lines[1:3] == ["      leaf.py", "        1 line removed, 2 added"]
    assert "      ... and 2 more" in lines


def test_where_dvc_would_stop_the_plan_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    one = Forecast("label", Fate.STOPS, fault="row 3 is wrong\nrow 4 too")
    monkeypatch.setattr("pipeline.plan.plan.forecast", lambda root, targets: [one])
    found = plan(tmp_path)
    assert found.stops
    assert found.lines[:3] == ["! label  stops", "      row 3 is wrong", "      row 4 too"]
    assert found.lines[-1] == "dvc repro would stop at label, and run nothing after it."


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.004, "0.1 s"), (2.34, "2.3 s"), (83.4, "83 s"), (260, "4 min 20 s"), (11100, "3 h 5 min")],
)
def test_seconds_are_written_as_people_do(seconds: float, written: str) -> None:
    assert format_seconds(seconds) == written


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (None, "unknown size"),
        (0, "0 B"),
        (512, "512 B"),
        (8_900, "8.9 kB"),
        (999_900, "1 MB"),
        (4_513_613, "4.51 MB"),
    ],
)
def test_bytes_are_written_in_thousands(size: int | None, written: str) -> None:
    assert format_bytes(size) == written
