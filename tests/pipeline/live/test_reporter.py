from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.live import reporter as module
from pipeline.live import server, watcher
from pipeline.live.flow_run import FlowRun
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
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)  # a loaded machine answers late
    monkeypatch.setattr(server, "CONNECT_S", 10.0)
    monkeypatch.setattr(server, "HEALTH_S", 10.0)
    monkeypatch.setattr(watcher, "start", lambda *_: None)
    return tmp_path


class Lines(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


def report(root: Path, stage: str, lines: Lines) -> Reporter:
    return Reporter(root, stage, DvcCommand(1, 2, ("dvc", "repro")), lines)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
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


def test_a_stage_that_ends_while_its_progress_is_on_its_way_still_shows_100_percent(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has it, and its answer has not arrived."""
    create, arrived = FlowRun.artifact, threading.Event()

    def slowly(run: FlowRun, *values: Any, **more: Any) -> str:
        number = create(run, *values, **more)
        arrived.set()
        time.sleep(0.2)
        return number

    monkeypatch.setattr(FlowRun, "artifact", slowly)
    one = report(root, "first", Lines())
    one.line(20, "first: 50/200 images, 10/s, 15 s left")
    assert arrived.wait(60)
    one.end(0, "")
    (progress,) = prefect.artifacts.values()
    assert progress["data"] == 100.0


def test_progress_that_a_server_did_not_take_is_sent_again(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, refused = FlowRun.artifact, threading.Event()

    def at_second_try(run: FlowRun, *values: Any, **more: Any) -> str:
        if not refused.is_set():
            refused.set()
            raise server.ServerError("503 Service Unavailable", refused=False)
        return create(run, *values, **more)

    monkeypatch.setattr(FlowRun, "artifact", at_second_try)
    one = report(root, "first", Lines())
    one.line(20, "first: 50/200 images, 10/s, 15 s left")
    wait_for(lambda: prefect.artifacts)
    one.end(1, "")
    (progress,) = prefect.artifacts.values()
    assert progress["data"] == 25.0


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
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_HOME", str(root))
    monkeypatch.setattr(server, "DEFAULT", "http://127.0.0.1:9/api")
    lines = Lines()
    report(root, "first", lines).end(0, "")
    assert not lines


def away(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    return "nothing answers at http://127.0.0.1:9/api, which PREFECT_API_URL names"


def another_auth(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    prefect.auth = "Basic x"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    return "refuses reports (401 Unauthorized); PREFECT_API_AUTH_STRING is not that server's"


def without_api(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PREFECT_API_URL", prefect.api.removesuffix("/api"))
    return f"is not the address of its API; did you mean {prefect.api}?"


def broken(prefect: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    prefect.status = 503
    return "does not answer as a Prefect server does (503"


@pytest.mark.parametrize("trouble", [away, another_auth, without_api, broken])
def test_reports_that_a_named_server_does_not_take_are_mentioned_once(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    (root / ".dvc" / "tmp").mkdir(parents=True)
    expected = trouble(prefect, monkeypatch)
    lines = Lines()
    for stage in ("first", "last"):
        report(root, stage, lines).end(0, "")
    assert len(lines) == 1
    assert expected in lines[0]
    assert "is not reported" in lines[0]
    Reporter(root, "first", DvcCommand(1, 3, ("dvc", "repro")), lines).end(0, "")
    assert len(lines) == 2, "the next command says it again"


def test_what_listens_at_the_default_port_is_nobodys_business_unless_it_asks_for_a_key(
    root: Path, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_HOME", str(root))
    monkeypatch.setattr(server, "DEFAULT", prefect.api)
    lines = Lines()
    prefect.status = 404
    report(root, "first", lines).end(0, "")
    assert not lines
    prefect.status, prefect.auth = 200, "Basic x"
    report(root, "first", lines).end(0, "")
    (line,) = lines
    assert f"export PREFECT_API_URL={prefect.api} and PREFECT_API_AUTH_STRING" in line


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


def test_a_refusal_is_reported_and_ends_the_reports(root: Path, prefect: Any) -> None:
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
