from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import stage


def test_the_doors_are_the_runnable_modules_of_stages() -> None:
    assert {"ingest", "label", "shard", "pretrain", "pose", "evaluate"} <= set(stage.doors())
    assert not {"params", "artifacts"} & set(stage.doors())


def test_unknown_door_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["shrad"]) == 2
    message = capsys.readouterr().err
    assert "shard" in message
    assert "'shrad'" in message


def runner(code: str, folder: Path) -> list[str]:
    """A command that runs `stage.main(["door"])` on a door with this code."""
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").touch()
    (folder / "stages" / "door.py").write_text(code + "\n# __main__\n")
    script = (
        "import sys; from pathlib import Path; from pipeline import stage;"
        f"stage.STAGES = Path({str(folder / 'stages')!r}); sys.exit(stage.main(['door']))"
    )
    return [sys.executable, "-c", script]


@pytest.mark.parametrize("code", [0, 2, 5])
def test_the_runner_ends_as_the_door_does(tmp_path: Path, code: int) -> None:
    command = runner(f"import sys; sys.exit({code})", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(command, cwd=tmp_path, env=env).returncode == code


def test_sigterm_to_the_runner_reaches_the_door(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def stop(*_):\n"
        "    pathlib.Path('stopped').touch()\n"
        "    sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path('ready').touch()\n"
        "time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(runner(code, tmp_path), cwd=tmp_path, env=env)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 7
    assert (tmp_path / "stopped").exists()
