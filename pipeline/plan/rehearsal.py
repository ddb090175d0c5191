"""Run a quick stage aside, to know what it would write.

A stage marked `meta: {rehearse: true}` in `dvc.yaml` takes about a second. `handpose plan` runs it
in a temporary folder that holds links to its inputs, and thereby knows whether the hour-long
stages after it would run at all.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST_S = 60.0


class FileHash(NamedTuple):
    """A file as DVC would record it."""

    md5: str
    size: int


class Outcome(NamedTuple):
    """What came out."""

    outs: dict[str, FileHash]
    fault: str = ""  # what the stage said when it failed


def rehearse(root: Path, command: str, inputs: Sequence[str], outs: Sequence[str]) -> Outcome:
    """What `command` writes, from these inputs, without touching the repository.

    Args:
        root: the repository; the inputs and outputs are relative to it.
        command: the stage's command.
        inputs: files and folders, parameters' file included.
        outs: files it writes; a folder among them stays unknown.
    """
    with tempfile.TemporaryDirectory(prefix="handpose-plan-") as name:
        stage = Path(name)
        for path in inputs:
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).symlink_to((root / path).resolve())
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
            return Outcome({})
        if done.returncode:
            said = done.stderr.strip() or f"exited with {done.returncode}"
            return Outcome({}, fault=said)
        files = (path for path in outs if (stage / path).is_file())
        return Outcome({path: _hash(stage / path) for path in files})


def _environment(root: Path) -> dict[str, str]:
    """The repository's modules, this Python, and no sign of a DVC command above."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), kept.get("PYTHONPATH")))),
    }


def _hash(path: Path) -> FileHash:
    content = path.read_bytes()
    return FileHash(hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content))
