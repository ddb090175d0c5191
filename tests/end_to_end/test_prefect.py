"""A real server, real runs, and a real browser that looks at them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.end_to_end

BROWSER = (
    "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1280,1000 --virtual-time-budget=15000"
)


@dataclass
class Site:
    """A copy of the tiny run with `handpose ui` running in it."""

    folder: Path
    api: str
    ready_s: float
    environment: dict[str, str]

    def post(self, route: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.api + route,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def latest(self) -> Any:
        """The flow run begun last."""
        return self.post("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})[0]

    def ended(self, patience_s: float = 60.0) -> Any:
        """The latest flow run, once it has a final state."""
        deadline = time.monotonic() + patience_s
        while (run := self.latest())["state_type"] in ("RUNNING", "PENDING", "SCHEDULED"):
            assert time.monotonic() < deadline, f"still {run['state_type']}"
            time.sleep(0.3)
        return run

    def tasks(self, run: Any) -> dict[str, Any]:
        body = {"flow_runs": {"id": {"any_": [run["id"]]}}}
        return {task["name"]: task for task in self.post("/task_runs/filter", body)}

    def lines(self, run: Any) -> list[str]:
        body = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200}
        return [log["message"] for log in self.post("/logs/filter", body)]

    def artifacts(self, run: Any) -> dict[str, Any]:
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        return {item["key"]: item for item in self.post("/artifacts/filter", body)}

    def start(self, *command: str, **settings: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **settings,
        )

    def run(self, *command: str, expect: int = 0) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == expect, output
        return output


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def served(folder: Path, environment: dict[str, str]) -> Iterator[Site]:
    """`handpose ui` in this clone, whose runs are reported to it."""
    environment = {**environment, "PREFECT_HOME": str(folder / "no-profile")}
    del environment["PREFECT_API_URL"]
    port, begun = free_port(), time.monotonic()
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    yield Site(folder, f"http://127.0.0.1:{port}/api", time.monotonic() - begun, environment)
    process.send_signal(signal.SIGTERM)
    assert "stopped" in process.communicate(timeout=60)[0]
    assert not (folder / ".prefect" / "server.json").exists()
    assert not processes(folder, f"--port {port}"), "the server left a process behind"


@pytest.fixture(scope="module")
def site(
    tiny_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
    environ_of: Callable[[Path], dict[str, str]],
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("prefect") / "clone"
    shutil.copytree(tiny_run, folder, symlinks=True)
    with served(folder, environ_of(folder)) as site:
        yield site


def processes(folder: Path, text: str) -> list[int]:
    """Processes in this folder, no others', whose command line holds the text."""
    found = subprocess.run(["pgrep", "-f", "--", text], capture_output=True, text=True)
    pids = [int(pid) for pid in found.stdout.split()]
    return [pid for pid in pids if in_folder(pid, folder)]


def in_folder(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], patience_s: float = 60.0) -> Any:
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def seen(site: Site, page: str, picture: Path) -> str:
    """The text of a page as a browser shows it, tags taken out; a screenshot beside."""
    if shutil.which("chromium") is None:
        pytest.fail("no chromium; .ci/packages chromium installs it")
    profile = f"--user-data-dir={picture.parent / 'browser'}"
    url = site.api.removesuffix("/api") + page
    for last in ("--dump-dom", f"--screenshot={picture}"):
        words = [*BROWSER.split(), profile, last, url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        if last == "--dump-dom":
            text = re.sub(r"<[^>]+>", " ", done.stdout)
    return text


def test_the_ui_was_ready_soon(site: Site) -> None:
    print(f"ready after {site.ready_s:.1f} s")
    assert site.ready_s < 60


def test_plain_dvc_repro_is_seen(site: Site, tmp_path: Path) -> None:
    params = site.folder / "params.yaml"
    params.write_text(params.read_text().replace("tsne_samples: 90", "tsne_samples: 80"))
    output = site.run("dvc", "repro")
    run = site.ended()
    assert f"prefect: {site.api.removesuffix('/api')}/runs/flow-run/{run['id']}" in output
    assert (run["name"], run["state_type"]) == ("dvc repro", "COMPLETED")
    assert {name: task["state"]["name"] for name, task in site.tasks(run).items()} == {
        "evaluate": "Completed"
    }
    assert any(line.startswith("evaluate test: ") for line in site.lines(run))
    artifacts = site.artifacts(run)
    assert {"evaluate-progress", "summary", "confusion", "report"} == set(artifacts)
    assert artifacts["evaluate-progress"]["data"] == 100.0
    assert "Pose, mm" in artifacts["summary"]["data"]
    link = re.search(r"\((http[^)]+)\)", artifacts["report"]["data"])
    assert link is not None
    with urllib.request.urlopen(link.group(1), timeout=10) as answer:
        assert answer.read() == (site.folder / "results" / "report.html").read_bytes()


def test_handpose_run_shows_cached_and_restored_stages(site: Site, tmp_path: Path) -> None:
    output = site.run("handpose", "run", "-S", "evaluate.tsne_samples=70")
    assert "params.yaml: evaluate.tsne_samples 80 -> 70" in output
    assert output.strip().endswith("Completed: 1 ran, 9 cached")
    run = site.latest()
    # A busy server may answer late; what it missed is corrected once the command has ended.
    wait_for(lambda: all(task["state_type"] != "PENDING" for task in site.tasks(run).values()))
    tasks = site.tasks(run)
    names = {name: task["state"]["name"] for name, task in tasks.items()}
    assert names.pop("evaluate") == "Completed", output
    assert set(names.values()) == {"Cached"}, output
    assert len(names) == 9
    ids = {task["id"]: name for name, task in tasks.items()}
    edges = [ids[edge["id"]] for edge in tasks["pretrain"]["task_inputs"]["__parents__"]]
    assert edges == ["code", "label", "shard"]

    site.run("handpose", "run", "evaluate", "-S", "evaluate.tsne_samples=80")
    run = site.latest()
    assert run["name"] == "dvc repro evaluate"
    assert site.tasks(run)["evaluate"]["state"]["name"] == "Restored"

    text = seen(site, f"/runs/flow-run/{run['id']}", tmp_path / "shot.png")
    assert "Completed" in text
    assert "Stage 'evaluate' is cached - skipping run" in text.replace("&#39;", "'")
    assert (tmp_path / "shot.png").stat().st_size > 20_000
    text = seen(site, f"/runs/flow-run/{run['id']}?tab=Task+Runs", tmp_path / "tasks.png")
    assert all(name in text for name in tasks)


def test_a_failing_stage_is_red_with_its_message_and_not_tried_again(
    site: Site, tmp_path: Path
) -> None:
    output = site.run("handpose", "run", "-S", "pretrain.batch=100000", "--retries", "2", expect=2)
    assert output.count("Running stage 'pretrain'") == 1
    run = site.latest()
    tasks = site.tasks(run)
    assert run["state_type"] == "FAILED"
    assert tasks["pretrain"]["state_type"] == "FAILED"
    assert "split train holds" in tasks["pretrain"]["state"]["message"]
    assert "evaluate" not in tasks or tasks["evaluate"]["state_type"] == "PENDING"
    assert "split train holds" in seen(site, f"/runs/flow-run/{run['id']}", tmp_path / "red.png")
    site.run("handpose", "run", "-S", "pretrain.batch=16", "label")
    assert "Completed: " in site.run("handpose", "run")


LONG = ("-S", "pretrain.epochs=500", "-S", "pretrain.threads=1")


def in_training(site: Site) -> int:
    """The process of a Stage 1 training that has logged its first step."""
    pid = wait_for(lambda: processes(site.folder, "stages.pretrain"))[0]
    wait_for(lambda: any("step" in line for line in site.lines(site.latest())))
    return int(pid)


def none_left(site: Site) -> None:
    wait_for(lambda: not processes(site.folder, "stages.pretrain"), 30)


@pytest.mark.parametrize("victim", ["dvc", "stages.pretrain", "pipeline.stage", "pipeline run"])
def test_what_was_killed_never_shows_as_completed(site: Site, victim: str) -> None:
    process = site.start("handpose", "run", *LONG)
    try:
        stage = in_training(site)
        if victim == "dvc":
            os.kill(processes(site.folder, "-m dvc repro")[0], signal.SIGKILL)
        elif victim == "pipeline run":
            process.kill()
        else:
            os.kill(
                stage if victim.startswith("stages") else processes(site.folder, victim)[0],
                signal.SIGKILL,
            )
        process.communicate(timeout=60)
        assert process.returncode != 0
        none_left(site)
        run = site.ended()
        assert run["state_type"] in {"CRASHED", "FAILED"}
        wait_for(lambda: site.tasks(run)["pretrain"]["state_type"] in {"CRASHED", "CANCELLED"})
    finally:
        process.kill()


def test_a_killed_plain_dvc_never_shows_as_completed(site: Site) -> None:
    process = site.start("dvc", "repro")
    try:
        in_training(site)
        process.kill()
        process.wait(60)
        none_left(site)
        run = site.ended()
        assert run["state_type"] == "CRASHED"
        assert "dvc was killed" in site.tasks(run)["pretrain"]["state"]["message"]
    finally:
        process.kill()
        site.run("handpose", "run", "-S", "pretrain.epochs=1", "-S", "pretrain.threads=0")


def test_ctrl_c_shows_as_cancelled(site: Site) -> None:
    process = site.start("handpose", "run", *LONG, start_new_session=True)
    try:
        in_training(site)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT, output
        assert output.strip().endswith("Cancelled: stopped by SIGINT")
        assert "Traceback" not in output
        none_left(site)
        run = site.ended()
        assert run["state_type"] == "CANCELLED"
        wait_for(lambda: site.tasks(run)["pretrain"]["state_type"] == "CANCELLED")
    finally:
        process.kill()
        site.run("handpose", "run", "-S", "pretrain.epochs=1", "-S", "pretrain.threads=0")


def test_a_server_that_goes_away_stops_no_run(
    tiny_run: Path, tmp_path: Path, environ_of: Callable[[Path], dict[str, str]]
) -> None:
    folder = tmp_path / "clone"
    shutil.copytree(tiny_run, folder, symlinks=True)
    with served(folder, environ_of(folder)) as site:
        process = site.start("handpose", "run", "-S", "evaluate.tsne_samples=60")
        assert process.stdout is not None
        begun = next(line for line in process.stdout if "Running stage 'evaluate'" in line)
    output = begun + process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert output.count("does not answer") >= 1
    assert "prefect: how the run ended was not reported" in output
    assert output.strip().endswith("Completed: 1 ran, 9 cached")
    assert "Traceback" not in output


def test_the_flow_is_served_on_a_schedule_and_started_from_outside(site: Site) -> None:
    process = site.start("handpose", "serve", "--cron", "0 3 * * *")
    try:
        (deployment,) = wait_for(lambda: site.post("/deployments/filter", {}))
        assert deployment["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
        wait_for(lambda: site.post("/deployments/filter", {})[0]["status"] == "READY")
        begun = site.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": {"targets": ["label"], "retries": 0}},
        )

        def state() -> Any:
            body = {"flow_runs": {"id": {"any_": [begun["id"]]}}}
            found = site.post("/flow_runs/filter", body)[0]
            return found if found["state_type"] not in ("SCHEDULED", "PENDING", "RUNNING") else None

        ended = wait_for(state, 120)
        assert ended["state_type"] == "COMPLETED", ended["state"]
        assert set(site.tasks(begun)) == {"code", "synthesize", "inputs", "ingest", "label"}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
