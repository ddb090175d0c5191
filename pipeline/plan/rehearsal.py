"""Run a quick stage in a temporary folder, to know what it would write.

A stage marked `meta: {rehearse: true}` in `dvc.yaml` takes about a second. `handpose plan` runs it
in a folder that holds links to its inputs, and so knows whether the hour-long stages after it would
run at all.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.runner.environment import own_programs_first

LONGEST_S = 60.0


class RehearsedFile(NamedTuple):
    """A file that a rehearsal wrote."""

    md5: str  # as DVC would record it
    content: bytes


class Outcome(NamedTuple):
    """The result of a rehearsal."""

    outs: dict[str, RehearsedFile]
    fault: str = ""  # the message of a stage that failed
    ended: bool = True  # False: it took longer than `LONGEST_S`, so what it writes is unknown


def rehearse(
    root: Path, command: str, inputs: Mapping[str, Path | bytes], outs: Sequence[str]
) -> Outcome:
    """What `command` writes, from these inputs, without touching the repository.

    Args:
        root: the repository; its modules are the ones that run.
        command: the stage's command.
        inputs: files and folders by path from the root, parameters' file included: where each is
            found, or the content of a file that is nowhere yet.
        outs: files it writes, by path from the root; a folder among them stays unknown.
    """
    with tempfile.TemporaryDirectory(prefix="handpose-plan-") as name:
        stage = Path(name)
        for path, content in inputs.items():
            if Path(path).is_absolute():  # the stage finds it there
                continue
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (stage / path).write_bytes(content)
            else:
                (stage / path).symlink_to(content.resolve())
        try:
            done = subprocess.run(
                command,
                shell=True,  # as DVC does
                cwd=stage,
                env=_environment(root),
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            return Outcome({}, ended=False)
        if done.returncode:
            fault = done.stderr.strip() or f"exited with {done.returncode}"
            return Outcome({}, fault=fault)
        files = (path for path in outs if (stage / path).is_file())
        return Outcome({path: _written(stage / path) for path in files})


def _environment(root: Path) -> dict[str, str]:
    """The repository's modules, this Python, and no sign of a DVC command above."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    return own_programs_first(inherited) | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), inherited.get("PYTHONPATH")))),
    }


def _written(path: Path) -> RehearsedFile:
    content = path.read_bytes()
    return RehearsedFile(hashlib.md5(content, usedforsecurity=False).hexdigest(), content)
