"""The stage `code`, and what real DVC does after a change of code, on a small project."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.plan.forecast import Fate, forecast
from stages import code
from stages.code_digest import RECORDS, ROOT, entry_points, stage_digest, stage_record

DVC_YAML = """
stages:
  code:
    cmd: python -m stages.code
    deps: [handpose, stages]
    meta: {rehearse: true}
    outs: [data/code/one.json, data/code/two.json, data/code/manifest.json]
  one:
    cmd: python -m stages.one
    deps: [data/code/one.json]
    meta: {rehearse: true}
    outs: [one.txt]
  two:
    cmd: python -m stages.two
    deps: [data/code/two.json, one.txt]
    outs: [two.txt]
"""
REAL = (
    *("stages/code.py", "stages/code_digest.py"),
    *("stages/running/artifacts.py", "stages/running/command.py"),
    *("handpose/errors.py", "handpose/files.py", "handpose/stop_signal.py"),
)
ENTRY_POINT = """
from pathlib import Path
from handpose.{leaf} import VALUE
if __name__ == "__main__":
    Path("{name}.txt").write_text(str(VALUE))
"""


def test_a_record_for_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code.main()
    for stage in entry_points():
        path = RECORDS / f"{stage}.json"
        assert path.exists() == (stage != "code")
        if path.exists():
            assert path.read_text() == stage_record(stage)
            assert json.loads(path.read_text())["digest"] == stage_digest(stage)
    counts = json.loads((RECORDS / "manifest.json").read_text())["counts"]
    assert counts["label"] == len(json.loads((RECORDS / "label.json").read_text())["files"])


class Project:
    """A repository with two stages, each of which imports a leaf of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in REAL:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        for leaf, name in (("left", "one"), ("right", "two")):
            (root / f"handpose/{leaf}.py").write_text("VALUE = 1\n")
            (root / f"stages/{name}.py").write_text(ENTRY_POINT.format(leaf=leaf, name=name))
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / ".dvcignore").write_text("__pycache__\n")

    def edit(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def repro(self) -> set[str]:
        """What DVC ran or restored, after the forecast has said so."""
        expected = {one.stage for one in forecast(self.root, []) if one.fate is not Fate.UNCHANGED}
        done = {stage.name for stage in Repo(str(self.root)).reproduce()}
        assert done <= expected
        return done


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # two edits within a second
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    Repo.init(str(tmp_path), no_scm=True)
    return project


def test_dvc_runs_what_imports_the_change_and_nothing_for_a_comment(project: Project) -> None:
    assert project.repro() == {"code", "one", "two"}
    assert project.repro() == set()

    project.edit("handpose/left.py", '"""Now with a docstring."""\n\nVALUE = 1  # and a comment\n')
    assert project.repro() == {"code"}, "a comment runs no stage"
    assert Repo(str(project.root)).status() == {}

    project.edit("handpose/right.py", "VALUE = 2\n")
    one, two = forecast(project.root, [])[1:]
    assert one.fate is Fate.UNCHANGED
    assert [(c.kind, c.name) for c in two.changes] == [("code", "handpose/right.py")]
    assert project.repro() == {"code", "two"}

    project.edit("handpose/left.py", "VALUE = 2\n")
    code_, one, two = forecast(project.root, [])
    assert code_.rehearsed and one.rehearsed, "from the record that the rehearsal of `code` wrote"
    assert [(c.kind, c.name) for c in one.changes] == [("code", "handpose/left.py")]
    assert (two.fate, two.after) == (Fate.RUNS, []), "what comes out of one is known to be new"
    assert [(c.kind, c.name) for c in two.changes] == [("input", "one.txt")]
    assert project.repro() == {"code", "one", "two"}

    project.edit("handpose/left.py", "VALUE = 1\n")
    assert {one.stage: one.fate for one in forecast(project.root, [])} == {
        "code": Fate.RUNS,  # its inputs as a whole are new, since the docstring is gone
        "one": Fate.RESTORED,
        "two": Fate.RESTORED,
    }
    project.repro()
    assert (project.root / "one.txt").read_text() == "1"
