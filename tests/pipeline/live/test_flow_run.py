from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.dag import Stage
from pipeline.live.flow_run import FlowRun, State, slug
from pipeline.live.server import Server

DAG = {
    "a": Stage("a", "a", (), ("x",)),
    "b": Stage("b", "b", ("x",), ("y",)),
    "c": Stage("c", "c", ("y",), ("z",)),
}


def begun(prefect: Any, key: str = "1") -> FlowRun:
    return FlowRun.of_command(Server(prefect.api), DAG, key=key, name="dvc repro", tags=["here"])


def edges(prefect: Any, stage: str) -> list[str]:
    ids = [entry["id"] for entry in prefect.task(stage)["task_inputs"]["__parents__"]]
    return [prefect.task_runs[number]["name"] for number in ids]


def test_all_stages_of_a_command_share_one_run_and_only_the_first_begins_it(prefect: Any) -> None:
    first, second = begun(prefect), begun(prefect)
    assert first.id == second.id
    assert (first.created, second.created) == (True, False)
    assert begun(prefect, key="2").id != first.id
    assert first.state() == "RUNNING"


def test_edges_come_from_the_nearest_stages_that_ran(prefect: Any) -> None:
    begun(prefect).task("a")
    begun(prefect).task("c")
    assert edges(prefect, "c") == ["a"]


def test_parents_can_be_made_as_pending(prefect: Any) -> None:
    run = begun(prefect)
    run.task("c", create_parents=True)
    assert edges(prefect, "c") == ["b"]
    assert edges(prefect, "b") == ["a"]
    assert run.refresh() == dict.fromkeys("abc", "PENDING")


def test_a_stage_has_one_task_run_however_often_it_is_asked_for(prefect: Any) -> None:
    assert begun(prefect).task("b") == begun(prefect).task("b")


def test_states_lines_and_artifacts_arrive(prefect: Any) -> None:
    run = begun(prefect)
    run.task("a")
    run.set_task_state("a", State("COMPLETED", "Cached", "as it was"))
    run.log([(datetime(2026, 1, 2, tzinfo=UTC), 40, "oh" * 20_000)], "a")
    number = run.artifact("progress", "Pose_scratch @1", 3.0, stage="a", description="3/100")
    run.update(number, 4.0, "4/100")
    assert prefect.task("a")["state"] == {
        "type": "COMPLETED",
        "name": "Cached",
        "message": "as it was",
    }
    (line,) = prefect.logs
    assert line["task_run_id"] == prefect.task("a")["id"]
    assert len(line["message"]) == 20_000
    (artifact,) = prefect.artifacts.values()
    assert artifact["key"] == "pose-scratch-1"
    assert (artifact["data"], artifact["description"]) == (4.0, "4/100")


def test_slugs_are_what_prefect_takes() -> None:
    assert slug("ablate@0-r18_S!") == "ablate-0-r18-s"
