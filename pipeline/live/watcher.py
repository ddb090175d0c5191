"""Closes a flow run once its DVC command has ended, however it ended.

`python -m pipeline.live.watcher API FLOW_RUN PID STARTED ROOT WORDS...`, started by the first stage
of a command, in a session of its own so that Ctrl-C does not reach it. A stage cannot close the
run, since it does not know whether another one follows; DVC knows nothing of Prefect; and only
DVC's parent gets its exit code. So the watcher asks DVC itself: if `dvc status` has nothing left to
do for the command's targets, the command succeeded.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.dag import read_dag
from pipeline.live.flow_run import FINAL, FlowRun, Kind, State
from pipeline.live.server import Server, ServerError
from pipeline.runner.dvc_command import DvcCommand

WORST: tuple[Kind, ...] = ("FAILED", "CRASHED", "CANCELLED")
"""The first of these that any stage has is the state of the run."""

KEEP_TRYING_S = 600.0
PAUSE_S = 3.0
END_REPORT_S = 10.0
"""A stage whose dvc was killed saves its state first and then reports itself how it ended."""


def start(run: FlowRun, command: DvcCommand, root: Path) -> None:
    """Start the watcher of this command."""
    headers = json.dumps(dict(run.server.headers))
    subprocess.Popen(
        [
            *(sys.executable, "-m", "pipeline.live.watcher", run.server.api, run.id),
            *(str(command.pid), str(command.started), str(root), *command.words),
        ],
        cwd=Path(__file__).parents[2],
        env={k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
        | {"HANDPOSE_PREFECT_HEADERS": headers},  # a key must not be on a command line
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(argv: list[str] | None = None) -> int:
    """Wait for the command's end, then set the states that are still missing."""
    api, flow_run, pid, started, folder, *words = sys.argv[1:] if argv is None else argv
    server = Server(api, json.loads(os.environ.get("HANDPOSE_PREFECT_HEADERS", "{}")))
    command, root = DvcCommand(int(pid), int(started), tuple(words)), Path(folder)
    dag = read_dag(root)
    _wait_for(command)
    left = pending(root, command)
    run = FlowRun(server, flow_run, dag)
    deadline = time.monotonic() + KEEP_TRYING_S
    while time.monotonic() < deadline:
        try:
            return close(run, left)
        except ServerError as error:
            if error.refused:
                return 1
        time.sleep(PAUSE_S)
    return 1


def _wait_for(command: DvcCommand) -> None:
    """Return when it has ended."""
    try:
        descriptor = command.open()
    except OSError:  # no such descriptors here
        while command.runs():
            time.sleep(PAUSE_S)
        return
    if descriptor is not None:
        select.select([descriptor], [], [])


def close(run: FlowRun, left: set[str] | None) -> int:
    """Set the final state of the run and of its stages, where they have none."""
    deadline = time.monotonic() + END_REPORT_S
    while "RUNNING" in run.refresh().values() and time.monotonic() < deadline:
        time.sleep(PAUSE_S / 3)
    whole, stages = verdict(run.refresh(), left)
    for stage, state in stages.items():
        run.set_task_state(stage, state)
    if run.state() not in FINAL:
        run.set_state(whole)
    return 0


def verdict(kinds: Mapping[str, str], left: set[str] | None) -> tuple[State, dict[str, State]]:
    """The final state of the run, and those of the stages that need a new one.

    Args:
        kinds: kind of each stage's state. One that is pending was never reached, or was skipped.
        left: stages that `dvc status` would still run; None when it failed.
    """
    stages = {}
    for stage, kind in kinds.items():
        done = left is not None and stage not in left
        if kind == "RUNNING" and done:
            stages[stage] = State("COMPLETED", message="ended while the server did not answer")
        elif kind == "RUNNING":
            stages[stage] = State("CRASHED", message="ended without a report: it was killed")
        elif kind == "PENDING" and done:
            stages[stage] = State("COMPLETED", "Cached")
    now = {**kinds, **{stage: state.kind for stage, state in stages.items()}}
    for bad in WORST:
        if failed := sorted(stage for stage, kind in now.items() if kind == bad):
            return State(bad, message=f"{', '.join(failed)}: {bad.lower()}"), stages
    if left is None:
        text = "dvc ended, and `dvc status` failed, so whether its work is done is not known"
        return State("CRASHED", message=text), stages
    if left:
        todo = ", ".join(sorted(left))
        text = f"dvc ended before its work was done (killed?); `dvc status` still names {todo}"
        return State("CRASHED", message=text), stages
    return State("COMPLETED"), stages


def pending(root: Path, command: DvcCommand) -> set[str] | None:
    """Stages that still have to run for the command's targets; None when `dvc status` fails.

    A temporary copy of `dvc exp run` that is gone was deleted by a DVC that succeeded.
    """
    if not root.is_dir():
        return set() if "exps" in root.parts else None
    words = command.words[2:]
    names = {word.removeprefix("dvc.yaml:") for word in words}
    targets = sorted(names & set(read_dag(root)))
    alone = {"-s", "--single-item"} & set(words)
    deps = [] if alone or not targets else ["--with-deps"]
    for _ in range(5):  # another command may lock a stage for a moment
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "--json", *deps, *targets],
            cwd=root,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return {name.removeprefix("dvc.yaml:") for name in json.loads(done.stdout)}
        time.sleep(PAUSE_S)
    return None


if __name__ == "__main__":
    sys.exit(main())
