from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.dag import Stage
from pipeline.live import watcher
from pipeline.live.flow_run import FlowRun, State
from pipeline.live.server import Server
from pipeline.runner.dvc_command import DvcCommand


@pytest.mark.parametrize(
    ("kinds", "left", "whole"),
    [
        ({"a": "COMPLETED", "b": "COMPLETED"}, set(), "COMPLETED"),
        ({"a": "COMPLETED"}, {"b"}, "CRASHED"),  # killed between two stages
        ({"a": "COMPLETED"}, None, "CRASHED"),
        ({"a": "COMPLETED", "b": "RUNNING"}, {"b"}, "CRASHED"),  # runner killed
        ({"a": "COMPLETED", "b": "RUNNING"}, set(), "COMPLETED"),  # its end could not be reported
        ({"a": "COMPLETED", "b": "FAILED"}, {"b"}, "FAILED"),
        ({"a": "COMPLETED", "b": "FAILED"}, set(), "FAILED"),
        ({"a": "CANCELLED"}, {"a", "b"}, "CANCELLED"),
        ({"a": "FAILED", "b": "RUNNING"}, {"a", "b"}, "FAILED"),
        ({"a": "FAILED", "b": "PENDING"}, {"a", "b"}, "FAILED"),  # never reached
        ({"a": "PENDING", "b": "COMPLETED"}, set(), "COMPLETED"),  # left as it was
    ],
)
def test_verdict(kinds: dict[str, str], left: set[str] | None, whole: str) -> None:
    state, stages = watcher.verdict(kinds, left)
    assert state.kind == whole
    assert {name for name, kind in kinds.items() if kind == "RUNNING"} <= set(stages)
    assert all(state.kind in {"COMPLETED", "CRASHED"} for state in stages.values())
    unreached = {name for name, kind in kinds.items() if kind == "PENDING" and name in (left or ())}
    assert not unreached & set(stages)


def test_only_a_run_with_nothing_left_to_do_shows_as_completed() -> None:
    for kind in ("COMPLETED", "RUNNING", "PENDING", "FAILED", "CRASHED", "CANCELLED"):
        assert watcher.verdict({"a": kind}, {"a"})[0].kind != "COMPLETED"
        assert watcher.verdict({"a": kind}, None)[0].kind != "COMPLETED"


def test_a_stage_may_report_its_own_end(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saves its state first, which takes longer than the watcher's question to dvc."""
    run = FlowRun.of_command(
        Server(prefect.api), {"a": Stage("a", "a", (), ())}, key="1", name="dvc repro", tags=[]
    )
    run.task("a")
    run.set_task_state("a", State("RUNNING"))

    end_report = State("CRASHED", message="dvc was killed")
    timer = threading.Timer(0.5, run.set_task_state, ("a", end_report))
    timer.start()
    watcher.close(run, {"a"})
    timer.join()
    assert prefect.task("a")["state"]["message"] == "dvc was killed"


def test_the_run_is_closed_once(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "END_REPORT_S", 0.0)
    dag = {"a": Stage("a", "a", (), ())}
    run = FlowRun.of_command(Server(prefect.api), dag, key="1", name="dvc repro", tags=[])
    run.task("a")
    run.set_task_state("a", State("RUNNING"))
    watcher.close(run, {"a"})
    assert run.state() == "CRASHED"
    assert prefect.task("a")["state_type"] == "CRASHED"
    run.set_state(State("FAILED"))
    run.set_task_state("a", State("RUNNING"))
    watcher.close(run, {"a"})
    assert run.state() == "FAILED", "a final state stays"
    assert prefect.task("a")["state_type"] == "CRASHED", "but no stage runs on in it"


def toy(folder: Path) -> Path:
    """A DVC pipeline of two stages, done by nobody yet."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n  no_scm = true\n  analytics = false\n")
    (folder / "params.yaml").write_text("{}\n")
    stage = "  {0}:\n    cmd: echo -m pipeline.stage {0}\n    deps: [{1}]\n    outs: [{0}]\n"
    text = stage.format("b", "a") + "  a:\n    cmd: x y z a\n    outs: [a]\n"
    (folder / "dvc.yaml").write_text("stages:\n" + text)
    return folder


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("dvc", "repro"), {"a", "b"}),
        (("dvc", "repro", "b"), {"a", "b"}),
        (("dvc", "repro", "-s", "b"), {"b"}),
        (("dvc", "repro", "dvc.yaml:a"), {"a"}),
    ],
)
def test_what_is_left_is_asked_of_dvc(
    tmp_path: Path, words: tuple[str, ...], left: set[str]
) -> None:
    assert watcher.pending(toy(tmp_path), DvcCommand(1, 0, words)) == left


def test_an_experiments_copy_that_was_put_away_is_done(tmp_path: Path) -> None:
    command = DvcCommand(1, 0, ("dvc", "exp", "run", "--temp"))
    assert watcher.pending(tmp_path / ".dvc" / "tmp" / "exps" / "gone", command) == set()
    assert watcher.pending(tmp_path / "gone", command) is None
