from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.live import reporter as module
from pipeline.live import watcher
from pipeline.live.reporter import ATTACH, Reporter, ended
from pipeline.runner.dvc_command import DvcCommand

DVC = """
stages:
  first: {cmd: python -m pipeline.stage first, outs: [a]}
  last: {cmd: python -m pipeline.stage last, deps: [a], outs: [results/summary.txt, results/plots]}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: Any) -> Path:
    """A pipeline of two stages whose reports go to the small server; nobody is left to watch."""
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "dvc.yaml").write_text(DVC)
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    monkeypatch.delenv(ATTACH, raising=False)
    monkeypatch.setattr(module, "BEAT_S", 0.05)
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    monkeypatch.setattr(watcher, "start", lambda *_: None)
    return tmp_path


class Lines(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


def report(root: Path, stage: str, lines: Lines) -> Reporter:
    return Reporter(root, stage, DvcCommand(1, 2, ("dvc", "repro")), lines)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_stage_is_seen_from_its_begin_to_its_end(root: Path, prefect: Any) -> None:
    lines = Lines()
    one = report(root, "first", lines)
    wait_for(lambda: prefect.task_runs)
    one.line(20, "first: 50/200 images, 10/s, 15 s left")
    wait_for(lambda: prefect.artifacts)
    one.line(40, "a warning")
    one.end(0, "")
    two = report(root, "last", lines)
    two.end(0, "")
    (run,) = prefect.flow_runs.values()
    assert run["state_type"] == "RUNNING", "the watcher closes it, no stage can"
    assert run["name"] == "dvc repro"
    assert prefect.task("first")["history"] == ["PENDING", "RUNNING", "COMPLETED"]
    edges = prefect.task("last")["task_inputs"]["__parents__"]
    assert [edge["id"] for edge in edges] == [prefect.task("first")["id"]]
    assert [(log["level"], log["message"]) for log in prefect.logs] == [
        (20, "first: 50/200 images, 10/s, 15 s left"),
        (40, "a warning"),
    ]
    (progress,) = prefect.artifacts.values()
    assert (progress["type"], progress["data"]) == ("progress", 100.0)
    assert lines == [f"prefect: {prefect.api.removesuffix('/api')}/runs/flow-run/{run['id']}"]


def test_results_are_shown_when_their_stage_ended_well(root: Path, prefect: Any) -> None:
    (root / "results" / "plots").mkdir(parents=True)
    (root / "results" / "summary.txt").write_text("full model 32.3")
    (root / "results" / "plots" / "confusion.png").write_bytes(b"\x89PNG")
    report(root, "last", Lines()).end(1, "")
    assert not prefect.artifacts
    report(root, "last", Lines()).end(0, "")
    shown = {artifact["key"]: artifact["data"] for artifact in prefect.artifacts.values()}
    assert "full model 32.3" in shown["summary"]
    assert shown["confusion"].startswith("data:image/png;base64,")


def test_a_stage_of_handpose_run_joins_its_flow_run(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect.flow_runs["theirs"] = {"state_type": "RUNNING", "history": []}
    monkeypatch.setenv(ATTACH, "theirs")
    report(root, "last", Lines()).end(0, "")
    assert set(prefect.flow_runs) == {"theirs"}
    assert prefect.task("first")["state_type"] == "PENDING", "handpose run will set its state"
    assert prefect.task("last")["state_type"] == "COMPLETED"


def test_without_a_server_nothing_is_logged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    lines = Lines()
    report(root, "first", lines).end(0, "")
    assert not lines


def test_a_server_that_goes_and_comes_back_gets_all_lines(root: Path, prefect: Any) -> None:
    lines = Lines()
    one = report(root, "first", lines)
    wait_for(lambda: prefect.task_runs)
    prefect.status = 503
    for number in range(250):
        one.line(20, f"line {number}")
    wait_for(lambda: lines[1:])
    prefect.status = 200
    wait_for(lambda: len(prefect.logs) == 250)
    one.end(0, "")
    assert [log["message"] for log in prefect.logs] == [f"line {n}" for n in range(250)]
    assert "does not answer (503" in lines[1]
    assert len(lines) == 2, "it is logged once"


def test_a_slow_server_delays_the_end_by_no_more_than_the_patience(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    lines = Lines()
    one = report(root, "first", lines)
    wait_for(lambda: prefect.task_runs)
    prefect.delay_s = 5.0
    begun = time.monotonic()
    one.end(0, "")
    assert time.monotonic() - begun < 2.0
    assert "results are not affected" in lines[-1]


def test_a_refusal_is_told_and_ends_the_reports(root: Path, prefect: Any) -> None:
    lines = Lines()
    one = report(root, "first", lines)
    wait_for(lambda: prefect.task_runs)
    prefect.status = 401
    one.line(20, "text")
    wait_for(lambda: lines[1:])
    one.end(0, "")
    assert "refused a report (401" in lines[1]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0, "COMPLETED"),
        (1, "FAILED"),
        (2, "FAILED"),
        (130, "CANCELLED"),
        (143, "CANCELLED"),
        (137, "CRASHED"),
    ],
)
def test_what_exit_codes_mean(code: int, kind: str) -> None:
    state = ended(code, "pose: params.yaml: lr is -1")
    assert state.kind == kind
    if kind == "FAILED":
        assert state.message == "pose: params.yaml: lr is -1"


def test_a_stage_stopped_because_dvc_was_killed_is_crashed(root: Path, prefect: Any) -> None:
    report(root, "first", Lines()).end(143, "", abandoned=True)
    assert prefect.task("first")["state_type"] == "CRASHED"
