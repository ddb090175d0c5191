"""A clone with the project's own parameters and stages, and nothing to run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = """# Title

<!-- results: written by `make table`, do not edit -->
old
<!-- end of results -->
"""

Git = Callable[..., str]


@pytest.fixture
def clone(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of git and DVC whose tree is committed; the working directory."""
    for name in ("params.yaml", "dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, tmp_path / ".dvc")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    (tmp_path / "code.py").write_text("first\n", encoding="utf-8")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A git command in the clone, or in another folder; returns what it prints."""

    def run(*words: str, folder: Path = tmp_path) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        command = ["git", *identity, *words]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run
