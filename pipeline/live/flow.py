"""The Prefect flow: one `dvc repro`, started by `handpose run`, on a schedule, or from the UI.

DVC decides what runs. Its stages report themselves to Prefect (`reporter.py`); this flow adds those
that DVC skips, and how the whole run ended.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prefect import flow
from prefect.client.schemas.objects import State as PrefectState
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run as this_run
from prefect.schedules import Cron
from prefect.states import Cancelled, Completed, Crashed, Failed

from handpose.counted import counted
from handpose.errors import HandPoseError
from pipeline.dag import read_dag
from pipeline.live import watcher
from pipeline.live.flow_run import FLOW, FlowRun, State
from pipeline.live.reporter import ATTACH
from pipeline.live.server import Server, ServerError
from pipeline.live.timezone import check_timezone, machine_timezone, now_in
from pipeline.profiles.overrides import override
from pipeline.runner.dvc_command import DvcCommand
from pipeline.runner.dvc_repro import run_repro

UNCHANGED = re.compile(r"Stage '([^']+)' didn't change, skipping")
RESTORED = re.compile(r"Stage '([^']+)' is cached - skipping run, checking out outputs")
DVCS_OWN = re.compile(r"(Stage '|Running stage '|ERROR: |WARNING: |Data and pipelines are up)")
"""Lines of DVC itself; the others are a stage's, which reports them under its own name."""

USER_ERROR = "exited with 2"
"""At the end of DVC's error when a stage failed by what the user can fix: no retry will help."""

RETRY_S = 10.0
MAX_UNSENT = 1000  # reports kept while the server is away; the oldest are dropped first

STOPPED = "stopped by SIGINT"


class FlowError(HandPoseError):
    """The flow cannot be started."""


def _name() -> str:
    """Name of the run: the command as one would type it."""
    return " ".join(["dvc repro", *(this_run.parameters.get("targets") or [])])


@flow(name=FLOW, flow_run_name=_name)
def repro(
    targets: list[str] | None = None,
    overrides: list[str] | None = None,
    retries: int = 0,
) -> PrefectState:
    """Bring results up to date by one `dvc repro`.

    Args:
        targets: stages to stop at; all by default.
        overrides: `section.key=value`, written into `params.yaml` first.
        retries: how often a failed run is tried again; it resumes where it was. A failure that
            the user has to fix is never tried again.
    """
    root = Path.cwd()
    server = Server.current()
    try:
        run = FlowRun(server, str(this_run.id), read_dag(root))
        watcher.start(
            run, DvcCommand.of(os.getpid()).with_words("dvc", "repro", *(targets or [])), root
        )
        log = FlowLog(run)
        for line in override(overrides or [], root / "params.yaml"):
            log.line(line)
    except HandPoseError as error:
        return Failed(message=str(error))
    try:
        code = _tried(root, targets or [], retries, log)
    except KeyboardInterrupt:
        log.finish()
        return Cancelled(message=STOPPED)
    log.finish()
    if code == 0:
        return Completed(message=log.summary())
    if code < 0:
        return Crashed(message=f"dvc was killed by {signal.Signals(-code).name}")
    return Failed(message=log.error or f"dvc ended with exit code {code}")


def _tried(root: Path, targets: list[str], retries: int, log: FlowLog) -> int:
    """Exit code of `dvc repro`, tried again while that may help."""
    code = _dvc_repro(root, targets, log)
    for attempt in range(1, retries + 1):
        if code == 0 or USER_ERROR in log.error:
            break
        log.line(f"WARNING: tried again in {RETRY_S:.0f} s ({attempt} of {retries})")
        time.sleep(RETRY_S)
        code = _dvc_repro(root, targets, log)
    return code


def start(targets: list[str], overrides: list[str], retries: int) -> int:
    """Run the flow here; exit code as of the command line.

    Raises:
        FlowError: a target is not a stage.
        OverrideError: an override is refused.
    """
    known = read_dag(Path.cwd())
    if unknown := [target for target in targets if target not in known]:
        raise FlowError(f"no stage is called {', '.join(unknown)}; dvc.yaml has {', '.join(known)}")
    for line in override(overrides, Path("params.yaml")):
        print(line, flush=True)
    state = _state_of(targets, overrides, retries)
    print(f"{state.name}: {state.message}", flush=True)
    if state.is_cancelled():
        return 128 + signal.SIGINT
    return 0 if state.is_completed() else 2 if USER_ERROR in (state.message or "") else 1


def _state_of(targets: list[str], overrides: list[str], retries: int) -> PrefectState:
    """How the flow ended, whether it reached the server or not."""
    ended: list[PrefectState] = []

    @flow(name=FLOW, flow_run_name=_name)
    @functools.wraps(repro.fn)
    def recorded(*args: Any, **kwargs: Any) -> PrefectState:
        ended.append(repro.fn(*args, **kwargs))
        if not Server.current().listens():
            logging.disable()  # Prefect prints pages about an absent server; one line below will do
        return ended[-1]

    try:
        return recorded(targets, overrides, retries, return_state=True)
    except (httpx.HTTPError, PrefectException) as error:
        if not ended:
            raise FlowError(
                f"the Prefect server went away before anything started ({error}); start it again "
                "with `handpose ui`. Plain `dvc repro` needs none"
            ) from None
        print(f"prefect: how the run ended was not reported ({error})", flush=True)
        return ended[0]
    finally:
        logging.disable(logging.NOTSET)


def serve(targets: list[str], cron: str | None, timezone: str | None = None) -> None:
    """Wait for runs that the UI or a schedule starts, until Ctrl-C.

    `timezone` is that of `cron`, by default the machine's.

    Raises:
        FlowError: `cron` is not a schedule, or there is a `timezone` without one.
        TimezoneError: there is no such zone, or the machine's is not known.
    """
    if timezone is not None and cron is None:
        raise FlowError('--timezone is that of --cron; expected both, such as --cron "0 3 * * *"')
    schedule = None
    if cron is not None:
        zone = check_timezone(timezone) if timezone is not None else machine_timezone()
        try:
            CronSchedule(cron=cron, timezone=zone)
        except ValueError:
            raise FlowError(
                f"--cron {cron!r}: is not a schedule; expected a line of cron, such as "
                '"0 3 * * *", every night at three'
            ) from None
        schedule = Cron(cron, timezone=zone)
        print(f"--cron {cron!r} is in the time of {zone}, now {now_in(zone)}", flush=True)
    repro.serve(name=Path.cwd().name, schedule=schedule, parameters={"targets": targets})


@dataclass
class FlowLog:
    """Output of DVC, sent to the flow run line by line; a server that is away is not an error.

    What it does not take is sent again, in order, with the next line and by `finish`.
    """

    run: FlowRun
    error: str = ""
    _outcomes: dict[str, str] = field(default_factory=dict)  # stage -> ran, Cached or Restored
    _unsent: deque[Callable[[], None]] = field(default_factory=lambda: deque(maxlen=MAX_UNSENT))
    _away: bool = False

    def line(self, text: str) -> None:
        """Print a line of the command, and report what it means."""
        with contextlib.suppress(BrokenPipeError):  # a reader that is gone does not stop the run
            print(text, flush=True)
        if text.startswith("ERROR: "):
            self.error = text.removeprefix("ERROR: ")
        if DVCS_OWN.match(text) or not self._outcomes:
            level = 40 if text.startswith("ERROR") else 30 if text.startswith("WARNING") else 20
            when = datetime.now(UTC)
            self._report(lambda: self.run.log([(when, level, text)]))
        for pattern, name in ((UNCHANGED, "Cached"), (RESTORED, "Restored")):
            if found := pattern.match(text):
                self._skipped(found.group(1), name)
        if text.startswith("Running stage '"):
            self._outcomes[text.split("'")[1]] = "ran"

    def summary(self) -> str:
        """Such as: 2 ran, 5 cached."""
        kinds = list(self._outcomes.values())
        counts = ((kind, kinds.count(kind)) for kind in ("ran", "Cached", "Restored"))
        return ", ".join(f"{n} {kind.lower()}" for kind, n in counts if n) or "nothing to do"

    def _skipped(self, stage: str, name: str) -> None:
        """Report a stage that DVC did not run, unless it ran before a retry."""
        if self._outcomes.get(stage) == "ran":
            return
        self._outcomes[stage] = name

        def report() -> None:
            self.run.task(stage, create_parents=True)
            self.run.set_task_state(stage, State("COMPLETED", name))

        self._report(report)

    def finish(self) -> None:
        """Send what the server has not taken; the watcher corrects states that are missing then."""
        self._send()
        if self._unsent:
            some = counted(len(self._unsent), "report")
            print(f"prefect: {some} could not be sent; the run is not affected", flush=True)

    def _report(self, act: Callable[[], None]) -> None:
        self._unsent.append(act)
        self._send()

    def _send(self) -> None:
        while self._unsent:
            try:
                self._unsent[0]()
            except ServerError as error:
                if not self._away:
                    how = "refused a report" if error.refused else "does not answer"
                    print(f"prefect: the server {how} ({error}); the run continues", flush=True)
                self._away = True
                if not error.refused:
                    return
            self._unsent.popleft()


def _dvc_repro(root: Path, targets: list[str], log: FlowLog) -> int:
    """Exit code of one `dvc repro`, whose stages report to this flow run."""
    return run_repro(root, targets, log.line, {ATTACH: log.run.id})
