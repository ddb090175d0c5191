"""What a clone, a downloaded ZIP and a copy have, before anything is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.doctor import repository

ROOT = Path(__file__).parents[1]
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def run(folder: Path, *words: str) -> bytes:
    return subprocess.run(words, cwd=folder, check=True, capture_output=True).stdout


def tree(folder: Path) -> Path:
    """The tracked files as they are here, without git: a downloaded ZIP."""
    folder.mkdir(parents=True)
    for name in run(ROOT, "git", "ls-files", "-z").decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
            (folder / name).chmod((ROOT / name).stat().st_mode)
    return folder


# --- without git ---------------------------------------------------------------------------------


@pytest.fixture
def bare_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.ci/setup` gets no further than its look for a Python, and installs nothing."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.delenv("PYTHON", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for key, value in (("NAME", "test"), ("EMAIL", "test@example.org")):
        monkeypatch.setenv(f"GIT_AUTHOR_{key}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{key}", value)


def setup(folder: Path) -> str:
    done = subprocess.run(
        ["bash", ".ci/setup", ".venv"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert not (folder / ".venv").exists()
    return done.stderr


@pytest.mark.usefixtures("bare_setup")
@pytest.mark.parametrize("remedy", ["git init", "printf"])
def test_a_downloaded_zip_is_refused_before_anything_is_installed_and_each_remedy_works(
    tmp_path: Path, remedy: str
) -> None:
    zipped = tree(tmp_path / "zip")
    message = setup(zipped)
    assert f"{zipped} is in no git repository (a downloaded ZIP?)" in message
    (found,) = repository.repository(zipped)
    assert found.state == "FAIL"
    (line,) = [line.strip() for line in message.splitlines() if line.strip().startswith(remedy)]
    subprocess.run(line, shell=True, cwd=zipped, check=True, capture_output=True)
    assert "no Python >= 3.11" in setup(zipped), "it goes on"
    (found,) = repository.repository(zipped)
    assert found.state == ("ok" if remedy == "git init" else "note")


@pytest.mark.usefixtures("bare_setup")
def test_a_tree_below_another_repository_is_taken(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "big")
    assert "no Python >= 3.11" in setup(tree(tmp_path / "big" / "projects" / "hands"))


# --- the ends of lines ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files in a repository of their own."""
    folder = tree(tmp_path_factory.mktemp("origin") / "tree")
    run(folder, "git", "init", "-q")
    run(folder, "git", "-c", "core.autocrlf=false", "add", "-A")
    run(folder, "git", *WHO, "commit", "-qm", "all")
    return folder


@pytest.mark.parametrize("setting", ["autocrlf=true", "autocrlf=input", "eol=crlf"])
def test_every_file_of_a_clone_has_the_same_bytes(
    origin: Path, tmp_path: Path, setting: str
) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", "-c", f"core.{setting}", str(origin), str(clone))
    names = [name for name in run(origin, "git", "ls-files", "-z").decode().split("\0") if name]
    other = [n for n in names if (clone / n).read_bytes() != (ROOT / n).read_bytes()]
    assert other == []
    assert run(clone, "git", "status", "--porcelain") == b""


def test_an_old_clone_with_cr_lf_is_found_and_the_remedy_keeps_edits(
    origin: Path, tmp_path: Path
) -> None:
    """It was made before .gitattributes, or an editor wrote it so."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(origin), str(clone))
    (found,) = repository.files(clone)
    assert found.state == "ok", found.text
    names = ("labels/gesture_map.csv", ".ci/setup", "Makefile")
    for name in names:
        text = (clone / name).read_bytes().replace(b"\n", b"\r\n")
        (clone / name).write_bytes(text + b"# mine\n" * (name == "Makefile"))
    (found,) = repository.files(clone)
    assert found.state == "FAIL"
    assert "CR LF in 3 files" in found.text
    remedy = found.text.partition("editor: ")[2]
    subprocess.run(remedy, shell=True, cwd=clone, check=True)
    (found,) = repository.files(clone)
    assert found.state == "ok"
    assert (clone / "Makefile").read_bytes() == (ROOT / "Makefile").read_bytes() + b"# mine\n"
    assert os.access(clone / ".ci" / "setup", os.X_OK)
