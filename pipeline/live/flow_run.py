"""One `dvc repro` as Prefect shows it: a flow run, a task run per stage, logs and artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipeline.dag import Stage, nearest, parents
from pipeline.live.server import Server

FLOW = "dvc repro"
"""Name of the flow under which all runs are listed."""

Kind = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED"]
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
MOST_CHARACTERS = 20_000
"""Of one log line; Prefect refuses a line of a megabyte."""


@dataclass(frozen=True)
class State:
    """A state as Prefect knows it; the UI shows the name (Cached is a kind of COMPLETED)."""

    kind: Kind
    name: str = ""
    message: str = ""

    def body(self) -> dict[str, str]:
        """As the API takes it."""
        name = self.name or self.kind.title()
        return {"type": self.kind, "name": name, "message": self.message}


@dataclass
class FlowRun:
    """A flow run on a server. Every method may raise `ServerError`."""

    server: Server
    id: str
    dag: Mapping[str, Stage]
    created: bool = False  # by this process
    tasks: dict[str, str] = field(default_factory=dict)  # stage -> id of its task run

    @classmethod
    def of_command(
        cls, server: Server, dag: Mapping[str, Stage], *, key: str, name: str, tags: list[str]
    ) -> FlowRun:
        """The flow run of the DVC command that `key` identifies, created if there is none."""
        flow = server.call("POST", "/flows/", {"name": FLOW, "tags": ["handpose"]})
        answer = server.call(
            "POST",
            "/flow_runs/",
            {
                "flow_id": flow["id"],
                "name": name,
                "tags": ["handpose", *tags],
                "idempotency_key": key,
                "state": State("PENDING").body(),
            },
        )
        run = cls(server, answer["id"], dag)
        if answer["state_type"] == "PENDING":
            run.created = True
            run.set_state(State("RUNNING"))
        return run

    @property
    def page(self) -> str:
        """Address of its page."""
        return f"{self.server.ui}/runs/flow-run/{self.id}"

    def state(self) -> str:
        """Its kind now."""
        return str(self.server.call("GET", f"/flow_runs/{self.id}")["state_type"])

    def set_state(self, state: State) -> None:
        """Set the state of the whole run."""
        body = {"state": state.body(), "force": True}
        self.server.call("POST", f"/flow_runs/{self.id}/set_state", body)

    def task(self, stage: str, *, create_parents: bool = False) -> str:
        """Id of a stage's task run, created if there is none, with edges from the stages before it.

        Args:
            stage: its name.
            create_parents: create the stages before it too, as pending; the caller must set their
                states later. Otherwise edges come from the nearest stages that ran.
        """
        if stage not in self.tasks:
            self.refresh()
        if stage in self.tasks:
            return self.tasks[stage]
        if create_parents:
            before = parents(self.dag, stage)
            for name in sorted(before, key=list(self.dag).index):
                self.task(name, create_parents=True)
        else:
            before = nearest(self.dag, stage, set(self.tasks))
        edges = [
            {"input_type": "task_run", "id": self.tasks[name]}
            for name in self.dag
            if name in before
        ]
        answer = self.server.call(
            "POST",
            "/task_runs/",
            {
                "flow_run_id": self.id,
                "name": stage,
                "task_key": stage,
                "dynamic_key": stage,  # a second request gets the same task run
                "task_inputs": {"__parents__": edges},
                "state": State("PENDING").body(),
            },
        )
        self.tasks[stage] = answer["id"]
        return self.tasks[stage]

    def refresh(self) -> dict[str, str]:
        """Kind of the state of each task run, by stage."""
        answer = self.server.call(
            "POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [self.id]}}, "limit": 200}
        )
        self.tasks |= {task["name"]: task["id"] for task in answer}
        return {task["name"]: task["state_type"] for task in answer}

    def set_task_state(self, stage: str, state: State) -> None:
        """Set the state of one stage, which must have a task run."""
        body = {"state": state.body(), "force": True}
        self.server.call("POST", f"/task_runs/{self.tasks[stage]}/set_state", body)

    def log(self, lines: Iterable[tuple[datetime, int, str]], stage: str | None = None) -> None:
        """Send lines as (time, level as in `logging`, text), of a stage or of the whole run."""
        task = self.tasks[stage] if stage else None
        self.server.call(
            "POST",
            "/logs/",
            [
                {
                    "name": stage or "dvc",
                    "level": level,
                    "message": text[:MOST_CHARACTERS],
                    "timestamp": when.isoformat(),
                    "flow_run_id": self.id,
                    "task_run_id": task,
                }
                for when, level, text in lines
            ],
        )

    def artifact(self, kind: str, key: str, data: Any, *, stage: str, description: str = "") -> str:
        """Id of a new artifact: progress, markdown, table or image."""
        answer = self.server.call(
            "POST",
            "/artifacts/",
            {
                "type": kind,
                "key": slug(key),
                "data": data,
                "description": description,
                "flow_run_id": self.id,
                "task_run_id": self.tasks[stage],
            },
        )
        return str(answer["id"])

    def update(self, artifact: str, data: Any, description: str) -> None:
        """Change the value of an artifact."""
        body = {"data": data, "description": description}
        self.server.call("PATCH", f"/artifacts/{artifact}", body)


def slug(text: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
