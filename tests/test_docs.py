"""Every command in the docs is run: the light ones here, the others where the table says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "labels" / "README.md"]
ELSEWHERE = {
    "make demo": "dvc repro, run by end_to_end/test_tiny.py; the whole of it before each release",
    "make test": ".ci/run",
    "make tiny": ".ci/run",
    "make check": ".ci/run",
    "source .venv/bin/activate": "puts on PATH what end_to_end/test_tiny.py puts there",
    "dvc repro": "end_to_end/test_tiny.py",
    "dvc metrics show": "end_to_end/test_tiny.py",
    "git checkout params.yaml": "git's own",
    "git checkout labels": "git's own",
}


def commands() -> list[str]:
    """Lines of all `sh` blocks, without comments."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    lines = (line.split("#")[0].strip() for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line})


def test_the_two_commands_are_there() -> None:
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize("command", [c for c in commands() if c not in ELSEWHERE])
def test_command_runs(tmp_path: Path, stand_in: Path, command: str) -> None:
    """As a user who ran `make demo` would, in a copy of what the command needs."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "labels", tmp_path / "labels")
    shutil.copytree(stand_in, tmp_path / "data" / "stand_in")
    words = command.split()
    assert words[0] == "handpose", "only the project's own command and the table above"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name + "/" + page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
