"""`dvc repro` as a child process: read line by line, and never outliving us."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.runner.child_process import die_with_parent
from pipeline.runner.environment import for_commands

CTRL_C_S = 10.0
"""How long dvc may take to end after Ctrl-C, which a terminal sends to it too."""


def run_repro(
    root: Path,
    words: Sequence[str],
    on_line: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
) -> int:
    """Exit code of one `dvc repro WORDS`, negative for a signal; `on_line` gets all it prints.

    Args:
        root: the folder of the clone.
        words: targets and options.
        on_line: is called with each line, without its newline.
        environ: is added to the environment.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the running stage has saved its state.
    """
    with _process(root, words, environ or {}) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
            return process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                for line in process.communicate(timeout=CTRL_C_S)[0].splitlines():
                    on_line(line)
            raise


@contextlib.contextmanager
def _process(
    root: Path, words: Sequence[str], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The command; it ends with the block, after the running stage has saved its state."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", *words],
        cwd=root,
        env={**for_commands(os.environ), "PYTHONUNBUFFERED": "1", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=die_with_parent(),
    )
    try:
        yield process
    finally:
        if process.poll() is None:  # cancelled in the UI, or Ctrl-C
            process.terminate()
            process.wait()
