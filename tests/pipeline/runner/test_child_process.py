"""Real processes: the runner, a stage with code of the test, and a process in the role of DVC."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def runner(code: str, folder: Path) -> list[str]:
    """A command that runs `stage.main(["toy"])` on a stage with this code."""
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").touch()
    (folder / "stages" / "toy.py").write_text(code + "\n# __main__\n")
    script = (
        "import sys; from pathlib import Path; from pipeline import stage;"
        f"stage.STAGES = Path({str(folder / 'stages')!r}); sys.exit(stage.main(['toy']))"
    )
    return [sys.executable, "-c", script]


@pytest.mark.parametrize("code", [0, 2, 5])
def test_the_runner_ends_as_the_stage_does(tmp_path: Path, code: int) -> None:
    command = runner(f"import sys; sys.exit({code})", tmp_path)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    assert subprocess.run(command, cwd=tmp_path, env=env).returncode == code


def test_output_of_the_stage_is_forwarded(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('oops', file=sys.stderr); print('no end', end='')"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(
        runner(code, tmp_path), cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("out\nno end", "oops\n")


def test_a_grandchild_that_lives_on_keeps_nobody_waiting(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '30'])"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    begun = time.monotonic()
    assert subprocess.run(runner(code, tmp_path), cwd=tmp_path, env=env).returncode == 0
    assert time.monotonic() - begun < 20


STOPPABLE = (
    "import os, signal, sys, time, pathlib\n"
    "def stop(*_):\n"
    "    pathlib.Path('stopped').touch()\n"
    "    sys.exit(7)\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "pathlib.Path('ready').write_text(str(os.getppid()))\n"
    "time.sleep(60)"
)


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 30
    while not (file.exists() and (file.name == "stopped" or file.read_text())):
        assert time.monotonic() < deadline, f"{file.name} did not come"
        time.sleep(0.02)
    return file.read_text()


def test_sigterm_to_the_runner_reaches_the_stage(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    process = subprocess.Popen(runner(STOPPABLE, tmp_path), cwd=tmp_path, env=env)
    wait_for(tmp_path / "ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 7
    assert (tmp_path / "stopped").exists()


def test_kill_9_of_the_runner_stops_the_stage(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    process = subprocess.Popen(runner(STOPPABLE, tmp_path), cwd=tmp_path, env=env)
    wait_for(tmp_path / "ready")
    process.kill()
    wait_for(tmp_path / "stopped")
    process.wait()


def test_a_stage_whose_dvc_is_gone_already_stops(tmp_path: Path) -> None:
    """The mark is there, but no process without it up to the first one: DVC died meanwhile."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "DVC_STAGE": "toy"}
    words = runner(STOPPABLE, tmp_path)
    gone = "C.above = lambda pid: None"
    words[2] = f"from pipeline.runner.dvc_command import DvcCommand as C; {gone}; {words[2]}"
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode in (7, 128 + signal.SIGTERM)
    assert "dvc was stopped" in done.stdout


def test_kill_9_of_dvc_stops_the_stage(tmp_path: Path) -> None:
    """A process in DVC's role starts a shell that carries DVC's mark and runs the runner."""
    command = shlex.join(runner(STOPPABLE, tmp_path)) + "; true"  # so that the shell stays
    dvc = (
        "import os, subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]],"
        " env={**os.environ, 'DVC_STAGE': 'toy'})"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "PREFECT_API_URL": ""}
    process = subprocess.Popen([sys.executable, "-c", dvc, command], cwd=tmp_path, env=env)
    runner_pid = int(wait_for(tmp_path / "ready"))
    process.kill()
    wait_for(tmp_path / "stopped")
    process.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{runner_pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{runner_pid}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGBUS])
def test_the_signal_that_ended_a_stage_is_reported_and_partial_output_removed(
    tmp_path: Path, number: signal.Signals
) -> None:
    """In its first second nothing else can say so; its runner does."""
    code = f"import os; open('data/.x.partial', 'w'); os.kill(os.getpid(), {int(number)})"
    command = runner(code, tmp_path)
    stage = "{cmd: python -m pipeline.stage toy, outs: [data/x]}"
    (tmp_path / "dvc.yaml").write_text(f"stages: {{toy: {stage}}}\n")
    (tmp_path / "params.yaml").write_text("data: {}\n")
    (tmp_path / "data").mkdir()
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert f"toy: exit code {128 + number}, ended by {number.name}: " in done.stderr
    assert ("memory was out" in done.stderr) == (number == signal.SIGKILL)
    assert "`dvc repro` runs it again" in done.stderr
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_runner_reaches_the_stage_as_it_is(
    tmp_path: Path, number: signal.Signals
) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from stages_of_ours import run_stage\n"
        "def main():\n"
        "    pathlib.Path('ready').write_text('1')\n"
        "    time.sleep(600)\n"
        "sys.exit(run_stage(main, 'toy'))"
    )
    command = runner(code, tmp_path)
    ours = (ROOT / "stages" / "running" / "command.py").read_text("utf-8")
    (tmp_path / "stages_of_ours.py").write_text(ours, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "ready")
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert errors.count(number.name) == 1, "said once, by the stage"
    assert f"toy: stopped by {number.name}: " in errors
