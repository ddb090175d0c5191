"""Ctrl-C in a program's first moments: exit code 130 and one line, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from handpose.stop_signal import ctrl_c_raises, quit_on_ctrl_c

ROOT = Path(__file__).parents[1]
HANDPOSE = """
import sys
sys.argv[0] = "handpose"
from pipeline.__main__ import main
sys.exit(main())
"""
"""As the installed command begins."""

RESUME = "stopped by Ctrl-C; run again to resume"
PROGRAMS = {
    "python -m pipeline describe": (["-m", "pipeline", "describe"], "handpose: stopped by Ctrl-C"),
    "handpose describe": (["-c", HANDPOSE, "describe"], "handpose: stopped by Ctrl-C"),
    "python -m stages.pretrain": (["-m", "stages.pretrain"], f"pretrain: {RESUME}"),
}
"""Whose imports take longer than the moments below, and the line they end with."""

INTERRUPT = """
import runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == MOMENT:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv[0] = "-m"
sys.orig_argv = ["python", "-m", PROGRAM]
runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
"""
"""Runs a program as `python -m` does, and presses Ctrl-C when it imports a module."""


def stopped(command: list[str], folder: Path, after_s: float | None = None) -> tuple[int, str]:
    """Exit code and error output; interrupted so long after the program's own package began."""
    process = subprocess.Popen(
        [sys.executable, *(["-X", "importtime"] if after_s is not None else []), *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    if after_s is not None:  # before, Python itself starts, which no program can change
        packages = ("stages", "pipeline")
        next(text for text in process.stderr if text.rsplit("|")[-1].strip() in packages)
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    mine = [text for text in errors.splitlines() if not text.startswith("import time:")]
    return process.returncode, "\n".join(mine)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_stopped_by_one_line_in_its_first_moments(
    tmp_path: Path, program: str, after_s: float
) -> None:
    words, line = PROGRAMS[program]
    assert stopped(words, tmp_path, after_s) == (130, line)


@pytest.mark.parametrize(
    ("program", "moment", "line"),
    [
        ("stages.label", "stages.label", f"label: {RESUME}"),
        ("stages.label", "pyarrow", f"label: {RESUME}"),
        ("stages.label", "stages.params", f"label: {RESUME}"),
        ("pipeline.stage", "handpose.errors", "stage: stopped by Ctrl-C"),
        ("pipeline.stage", "pipeline.runner.child_process", "stage: stopped by Ctrl-C"),
        ("pipeline", "typer", "handpose: stopped by Ctrl-C"),
        ("pipeline", "pipeline.__main__", "handpose: stopped by Ctrl-C"),
    ],
)
def test_whatever_module_a_program_is_importing(
    tmp_path: Path, program: str, moment: str, line: str
) -> None:
    text = INTERRUPT.replace("PROGRAM", repr(program)).replace("MOMENT", repr(moment))
    assert stopped(["-c", text], tmp_path) == (130, line)


def test_another_program_that_imports_the_packages_keeps_pythons_own(tmp_path: Path) -> None:
    text = "import signal, stages, pipeline; print(signal.getsignal(2).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "default_int_handler\n"


def test_inside_ctrl_c_raises_and_then_it_quits_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        quit_on_ctrl_c("stopped")
        quits = signal.getsignal(signal.SIGINT)
        assert quits is not signal.default_int_handler
        with pytest.raises(KeyboardInterrupt), ctrl_c_raises():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is quits
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_ctrl_c_that_is_ignored_or_handled_stays_so(handler: Any) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        quit_on_ctrl_c("stopped")
        with ctrl_c_raises():
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
