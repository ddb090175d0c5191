"""A clone in which the tiny profile ran once, shared by every end-to-end test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.lab import Lab

ROOT = Path(__file__).parents[2]
OFF = {"PREFECT_API_URL": ""}
"""No reports: a server that happens to run on this machine is not the tests' to fill."""


class Run(Protocol):
    """Run a command in a folder; returns all it printed, and shows it if the exit code differs."""

    def __call__(
        self, folder: Path, *command: str, expect: int = 0, env: Mapping[str, str] = OFF
    ) -> str: ...


def environment(folder: Path, env: Mapping[str, str] = OFF) -> dict[str, str]:
    """As after `source .venv/bin/activate`, with the modules of the clone.

    One thread where pytest runs in several processes: two trainings of two threads each take
    longer side by side than one after the other.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    threads = {"OMP_NUM_THREADS": "1"} if "PYTEST_XDIST_WORKER" in os.environ else {}
    return {**os.environ, **threads, "PATH": path, "PYTHONPATH": str(folder), **env}


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

    Several processes of pytest share one. HANDPOSE_TINY_RUN names a folder that keeps it from one
    pytest to the next, for development.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("HANDPOSE_TINY_RUN") or shared / "tiny" / "clone")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent / "tiny.lock"):
        if not (folder / "results" / "report.html").exists():
            _finish_tiny_run(folder)
    return folder


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process holds this lock."""
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _finish_tiny_run(folder: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    _run(folder, "git", "config", "user.name", "test")
    _run(folder, "git", "config", "user.email", "test@example.org")
    _run(folder, "python", "-m", "pipeline", "configure", "--profile", "tiny")
    print(_run(folder, "dvc", "repro"))
    _run(folder, "git", "add", "params.yaml", "dvc.lock")
    _run(folder, "git", "commit", "-qm", "A tiny run")


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny run, to do anything with."""
    return Path(shutil.copytree(tiny_run, tmp_path / "clone", symlinks=True))


@pytest.fixture
def lab(tiny_copy: Path) -> Iterator[Lab]:
    """A copy of the finished tiny run whose commands can be held and killed."""
    lab = Lab(tiny_copy, environment(tiny_copy))
    yield lab
    lab.close()
