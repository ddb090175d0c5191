"""Reports a running stage to a Prefect server without ever delaying the stage.

All requests are made in a thread of their own. A server that is slow, goes away or comes back costs
the stage nothing: lines are queued, states are sent when it answers again, and at the end the stage
waits `PATIENCE_S` at most. `pipeline/live/watcher.py` corrects what could not be reported.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from handpose.stop_signal import explain
from pipeline.dag import DagError, read_dag
from pipeline.live.flow_run import FlowRun, State
from pipeline.live.server import Server, ServerError
from pipeline.runner.dvc_command import DvcCommand
from pipeline.runner.output import PROGRESS

ATTACH = "HANDPOSE_FLOW_RUN"
"""Environment variable in which `handpose run` names the flow run that its stages belong to."""

BEAT_S = 0.5
RETRY_S = 3.0
PATIENCE_S = 5.0
MAX_LINES = 5000  # queued while the server is away; the oldest are dropped first

SHOWN = {
    "results/summary.txt": "markdown",
    "results/plots/confusion.png": "image",
    "results/report.html": "link",
}
"""Results that the UI shows once the stage that writes them has ended."""


class Reporter:
    """Reports one stage to a Prefect server, if there is one."""

    def __init__(self, root: Path, stage: str, command: DvcCommand, log: Callable[[str], None]):
        """Of a stage that `command` started in `root`; `log` prints a line for the user."""
        self.root, self.stage, self.command, self.log = root, stage, command, log
        self._lines: deque[tuple[datetime, int, str]] = deque(maxlen=MAX_LINES)
        self._progress: tuple[float, str] | None = None  # not sent yet
        self._has_progress = False
        self._artifact = ""
        self._end: State | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def line(self, level: int, text: str) -> None:
        """A line of the stage's output."""
        self._lines.append((datetime.now(UTC), level, text))
        if found := PROGRESS.search(text):
            done, total, rate, left = found.groups()
            percent = 100 * int(done) / max(int(total), 1)
            self._has_progress = True
            self._progress = (percent, f"{done}/{total}, {rate}, {left} s left")

    def end(self, code: int, message: str, *, abandoned: bool = False) -> None:
        """The stage ended with this exit code; wait until that is reported, `PATIENCE_S` at most.

        `abandoned`: it was stopped because DVC had been killed.
        """
        killed = State("CRASHED", message="dvc was killed; `dvc repro` resumes it")
        if code == 0 and self._has_progress:
            self._progress = (100.0, "done")
        self._end = killed if abandoned else ended(code, message)  # last: the thread ends by it
        self._wake.set()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self.log(
                f"prefect: the server took more than {PATIENCE_S:.0f} s to answer, so its page may "
                "miss the last lines; results are not affected"
            )

    def _run(self) -> None:
        """The thread: begin, then report what is new until the end is reported."""
        server = Server.find(self.root)
        trouble = Server.trouble_of(self.root, server)
        if server is None or trouble is not None:
            if os.environ.get(ATTACH):  # `handpose run` has reached it, so it is gone since
                why = trouble.text if server and trouble else "the server does not answer."
                self.log(f"prefect: {why} This stage is not reported")
            elif trouble is not None and trouble.ours:
                self._say_once(f"{trouble.text} The run continues, and is not reported")
            return
        run: FlowRun | None = None
        away = False
        while True:
            try:
                run = run or self._begin(server)
                final = self._end  # read before the lines, so that no line comes after it
                self._send_news(run)
                if final is not None:
                    self._finish(run, final)
                    return
                away, pause = False, BEAT_S
            except ServerError as error:
                if error.refused:
                    self._say_once(f"{server.ui} refused a report ({error}); the run continues")
                    return
                if not away:
                    self.log(f"prefect: {server.ui} does not answer ({error}); the run continues")
                if self._end is not None:
                    return  # the watcher keeps trying
                away, pause = True, RETRY_S
            except (DagError, KeyError, TypeError) as error:
                self.log(f"prefect: not reported ({type(error).__name__}: {error})")
                return
            self._wake.wait(pause)

    def _say_once(self, text: str) -> None:
        """Print it for the first stage of a DVC command alone, not for each of them."""
        said = self.root / ".dvc" / "tmp" / "prefect-said"
        key = f"{self.command.pid} {self.command.started}"
        with contextlib.suppress(OSError):  # where nothing can be kept, it is said again
            if said.is_file() and said.read_text("utf-8") == key:
                return
            said.write_text(key, encoding="utf-8")
        self.log(f"prefect: {text}")

    def _begin(self, server: Server) -> FlowRun:
        """The task run of this stage, running, in the flow run of its command."""
        dag = read_dag(self.root)
        attached = os.environ.get(ATTACH)
        if attached:
            run = FlowRun(server, attached, dag)
        else:
            command = self.command
            run = FlowRun.of_command(
                server,
                dag,
                key=f"{self.root}:{command.pid}:{command.started}",
                name=command.text,
                tags=[self.root.name],
            )
            if run.created:
                from pipeline.live.watcher import start

                self.log(f"prefect: {run.page}")
                start(run, command, self.root)
        run.task(self.stage, create_parents=bool(attached))
        run.set_task_state(self.stage, State("RUNNING"))
        return run

    def _send_news(self, run: FlowRun) -> None:
        """Send lines and progress that are new; what cannot be sent stays queued."""
        waiting = list(self._lines)
        if waiting:
            run.log(waiting[:200], self.stage)
            for _ in waiting[:200]:
                self._lines.popleft()
            if len(waiting) > 200:
                self._send_news(run)
        progress, self._progress = self._progress, None
        if progress is None:
            return
        percent, text = progress
        try:
            if self._artifact:
                run.update(self._artifact, percent, text)
            else:
                key = f"{self.stage}-progress"
                self._artifact = run.artifact(
                    "progress", key, percent, stage=self.stage, description=text
                )
        except ServerError:
            self._progress = self._progress or progress  # a later one may have come meanwhile
            raise

    def _finish(self, run: FlowRun, state: State) -> None:
        if state.kind == "COMPLETED":
            for path in run.dag[self.stage].outs:
                self._show(run, path)
        run.set_task_state(self.stage, state)

    def _show(self, run: FlowRun, out: str) -> None:
        """Add results worth looking at to the artifacts."""
        for path, kind in SHOWN.items():
            file = self.root / path
            if not file.is_file() or not (path == out or path.startswith(out + "/")):
                continue
            if kind == "image":
                data = "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
            elif kind == "link":
                kind, data = "markdown", self._link(run.server, file)
            else:
                data = f"```\n{file.read_text('utf-8')}\n```"
            run.artifact(kind, Path(path).stem, data, stage=self.stage, description=path)

    def _link(self, server: Server, file: Path) -> str:
        """A link to the results that `handpose ui` serves: browsers refuse links to local files."""
        if server.results:
            return f"[{file.name}]({server.results}/{file.name}) (the latest run's)"
        return f"`{file}` on {os.uname().nodename}; `handpose ui` would serve it as a link"


def ended(code: int, message: str) -> State:
    """The final state for an exit code; 128 + number stands for a signal, as in a shell."""
    if code == 0:
        return State("COMPLETED")
    if code in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGHUP):
        name = signal.Signals(code - 128).name
        return State("CANCELLED", message=f"stopped by {name}; `dvc repro` resumes it")
    if code > 128:
        text = f"ended by {explain(code - 128)}; `dvc repro` resumes it"
        return State("CRASHED", message=text)
    return State("FAILED", message=message or f"exit code {code}")
