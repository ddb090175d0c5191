"""Beside these: tests/test_setup.py, which carries out the remedies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.doctor import doctor, repository


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    (clone / ".dvc").mkdir(parents=True)
    (clone / ".dvc" / "config").touch()
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    return clone


def test_a_repository_without_a_commit_is_a_note(clone: Path) -> None:
    (found,) = repository.repository(clone)
    assert (found.state, "no commit yet" in found.text) == ("note", True)


def test_a_folder_of_a_larger_repository_is_fine(clone: Path) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    words = ["git", *who, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(words, cwd=clone, check=True)
    (found,) = repository.repository(clone)
    assert (found.state, found.text) == ("ok", "answers")
    below = clone / "projects" / "hands"
    below.mkdir(parents=True)
    (found,) = repository.repository(below)
    assert (found.state, str(clone) in found.text) == ("ok", True)


def test_a_clone_of_another_owner_fails_with_gits_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for check in (repository.repository, repository.files):
        (found,) = doctor.findings(check, clone)
        assert found.state == "FAIL"
        assert "git config --global --add safe.directory" in found.text


def test_a_clone_that_may_not_be_written_fails(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user, or made with an umask of 077 by root."""
    (clone / "data").mkdir()
    mine = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != clone / "data" and mine(path, mode)
    )
    (found,) = repository.files(clone)
    assert found.state == "FAIL"
    assert "you may not write to data of" in found.text
