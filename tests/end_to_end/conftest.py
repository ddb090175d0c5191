"""A clone in which the tiny profile ran once, shared by every end-to-end test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]
OFF = {"PREFECT_API_URL": ""}
"""No reports: a server that happens to run on this machine is not the tests' to fill."""


class Run(Protocol):
    """Run a command in a folder; returns all it printed, and shows it if the exit code differs."""

    def __call__(
        self, folder: Path, *command: str, expect: int = 0, env: Mapping[str, str] = OFF
    ) -> str: ...


def environment(folder: Path, env: Mapping[str, str] = OFF) -> dict[str, str]:
    """As after `source .venv/bin/activate`, with the modules of the clone."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), **env}


def _run(folder: Path, *command: str, expect: int = 0, env: Mapping[str, str] = OFF) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == expect, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def run() -> Run:
    return _run


@pytest.fixture(scope="session")
def environ_of() -> Callable[[Path], dict[str, str]]:
    return environment


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished tiny run, with its `dvc.lock` committed. Read-only: take `tiny_copy` to change.

    HANDPOSE_TINY_RUN names a folder that keeps it from one pytest to the next, for development.
    """
    existing = os.environ.get("HANDPOSE_TINY_RUN")
    folder = Path(existing) if existing else tmp_path_factory.mktemp("tiny") / "clone"
    if (folder / "results" / "report.html").exists():
        return folder
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    _run(folder, "git", "config", "user.name", "test")
    _run(folder, "git", "config", "user.email", "test@example.org")
    _run(folder, "python", "-m", "pipeline", "configure", "--profile", "tiny")
    print(_run(folder, "dvc", "repro"))
    _run(folder, "git", "add", "params.yaml", "dvc.lock")
    _run(folder, "git", "commit", "-qm", "A tiny run")
    return folder


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny run, to do anything with."""
    return Path(shutil.copytree(tiny_run, tmp_path / "clone", symlinks=True))
