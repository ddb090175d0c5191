"""What the flow makes of DVC's lines; tests/end_to_end/test_prefect.py runs it on a real server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.dag import Stage
from pipeline.live.flow import FlowError, FlowLog, serve, start
from pipeline.live.flow_run import FlowRun
from pipeline.live.server import Server
from pipeline.profiles.overrides import OverrideError

ROOT = Path(__file__).parents[3]
DAG = {
    "a": Stage("a", "a", (), ("x",)),
    "b": Stage("b", "b", ("x",), ("y",)),
    "c": Stage("c", "c", ("y",), ("z",)),
}


@pytest.fixture
def flow_log(prefect: Any) -> FlowLog:
    run = FlowRun.of_command(Server(prefect.api), DAG, key="1", name="dvc repro", tags=[])
    return FlowLog(run)


def test_stages_that_did_not_run_are_shown_as_they_were(prefect: Any, flow_log: FlowLog) -> None:
    flow_log.line("Stage 'a' didn't change, skipping")
    flow_log.line("Stage 'b' is cached - skipping run, checking out outputs")
    flow_log.line("Running stage 'c':")
    names = {task["name"]: task["state"]["name"] for task in prefect.task_runs.values()}
    assert names == {"a": "Cached", "b": "Restored"}, "c reports itself"
    assert prefect.task("b")["task_inputs"]["__parents__"][0]["id"] == prefect.task("a")["id"]
    assert flow_log.summary() == "1 ran, 1 cached, 1 restored"


def test_a_stage_that_ran_before_a_retry_stays_what_it_was(prefect: Any, flow_log: FlowLog) -> None:
    flow_log.line("Running stage 'a':")
    flow_log.line("Stage 'a' didn't change, skipping")
    assert not prefect.task_runs


def test_a_stage_reports_its_own_lines(
    prefect: Any, flow_log: FlowLog, capsys: pytest.CaptureFixture[str]
) -> None:
    flow_log.line("Running stage 'a':")
    flow_log.line("a: 10/20 images")
    flow_log.line("ERROR: failed to reproduce 'a': failed to run: x, exited with 2")
    assert [log["message"].split(":")[0] for log in prefect.logs] == ["Running stage 'a'", "ERROR"]
    assert "a: 10/20 images" in capsys.readouterr().out
    assert flow_log.error.endswith("exited with 2")


def test_a_server_that_went_away_is_reported_once_and_stops_nothing(
    prefect: Any, flow_log: FlowLog, capsys: pytest.CaptureFixture[str]
) -> None:
    prefect.status = 503
    for stage in "abc":
        flow_log.line(f"Stage '{stage}' didn't change, skipping")
    assert capsys.readouterr().out.count("does not answer") == 1
    assert flow_log.summary() == "3 cached"
    flow_log.finish()
    assert "prefect: 6 reports could not be sent" in capsys.readouterr().out


def test_what_a_busy_server_did_not_take_is_sent_again_in_order(
    prefect: Any, flow_log: FlowLog, capsys: pytest.CaptureFixture[str]
) -> None:
    prefect.status = 503
    for stage in "ab":
        flow_log.line(f"Stage '{stage}' didn't change, skipping")
    assert not prefect.task_runs
    prefect.status = 200
    flow_log.finish()
    names = {task["name"]: task["state"]["name"] for task in prefect.task_runs.values()}
    assert names == {"a": "Cached", "b": "Cached"}
    assert [log["message"].split("'")[1] for log in prefect.logs] == ["a", "b"]
    flow_log.finish()
    assert len(prefect.logs) == 2, "each is sent once"


def test_a_report_that_is_refused_does_not_hold_up_the_next(
    prefect: Any, flow_log: FlowLog
) -> None:
    prefect.status = 422
    flow_log.line("Stage 'a' didn't change, skipping")
    prefect.status = 200
    flow_log.line("Stage 'b' didn't change, skipping")
    assert [log["message"].split("'")[1] for log in prefect.logs] == ["b"]


def test_what_cannot_run_is_refused_before_anything_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FlowError, match=r"no stage is called pos; dvc\.yaml has code, synthesize"):
        start(["pos"], [], 0)
    with pytest.raises(OverrideError, match="no such key"):
        start(["pose"], ["pose.larning=1"], 0)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_without_a_server_the_remedy_is_named(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert main([command]) == 2
    assert "handpose ui" in capsys.readouterr().err


def test_what_is_no_schedule_or_no_number_of_retries_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for cron in ("bogus", "99 3 * * *"):
        with pytest.raises(FlowError, match=r"is not a schedule; expected .*0 3 \* \* \*"):
            serve([], cron)
    assert main(["run", "--retries", "-1"]) == 2
    message = "Invalid value for '--retries': Input should be greater than or equal to 0"
    assert message in capsys.readouterr().err


def test_a_reader_that_is_gone_stops_no_run(
    prefect: Any, flow_log: FlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    flow_log.line("Running stage 'a':")
    assert flow_log.summary() == "1 ran"
    assert prefect.logs[-1]["message"] == "Running stage 'a':"
