"""Git's yes, its no, and its refusals, each of which a guard takes for neither."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from handpose.errors import HandPoseError
from pipeline import git
from pipeline.clones.training_clone import Source
from pipeline.compare.snapshot import at_revision
from pipeline.doctor import clone as doctor_clone
from pipeline.licence_guard import git_takes
from pipeline.mano_import.mano_import import import_mano
from pipeline.plan.git_diff import changed_lines, unknown
from pipeline.profiles.configure import configure

ROOT = Path(__file__).parents[2]
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, of an account without settings of git."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    clone = tmp_path / "clone"
    (clone / "own" / "images").mkdir(parents=True)
    (clone / "own" / "annotations").mkdir()
    (clone / "own" / "MANO_RIGHT.pkl").touch()
    for name in ("params.yaml", "dvc.yaml", ".gitignore"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    run(clone, "init", "-q")
    run(clone, "add", "-A")
    run(clone, *WHO, "commit", "-qm", "first")
    return clone


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


# --- ways in which git cannot be asked, each with the words of its remedy ------------------------


def another_owner(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for tests
    return f"dubious ownership.*git config --global --add safe.directory {clone}"


def no_git(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", str(clone / "own"))
    return "git is not installed; install it"


def damaged_head(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (clone / ".git" / "HEAD").unlink()
    return r"not a git repository.*\.git is there\)\. Repair"


def damaged_settings(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (clone / ".git" / "config").write_text("[core")
    return r"bad config line . in file .*Repair"


def damaged_index(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (clone / ".git" / "index").write_bytes(b"torn")
    return "index file.*Repair"


def worktree_of_a_repository_that_is_gone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (clone / ".git").rename(clone.parent / "gone")
    (clone / ".git").write_text("gitdir: /nowhere\n")
    return "not a git repository: /nowhere.*Repair"


REFUSALS = [
    another_owner,
    no_git,
    damaged_head,
    damaged_settings,
    damaged_index,
    worktree_of_a_repository_that_is_gone,
]

GUARDS: dict[str, Callable[[Path], object]] = {
    "git_takes": lambda clone: git_takes(clone / "own" / "MANO_RIGHT.npz"),
    "configure": lambda clone: configure("demo", clone / "params.yaml", data_root=clone / "own"),
    "mano import": lambda clone: import_mano(clone / "own"),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS.keys())
@pytest.mark.parametrize("refuse", REFUSALS)
def test_a_guard_that_cannot_ask_stays_shut(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[Path, pytest.MonkeyPatch], str],
    guard: Callable[[Path], object],
) -> None:
    before = (clone / "params.yaml").read_bytes()
    words = refuse(clone, monkeypatch)
    with pytest.raises(HandPoseError, match=words):
        guard(clone)
    assert (clone / "params.yaml").read_bytes() == before
    assert not (clone / "own" / "MANO_RIGHT.npz").exists()


@pytest.mark.parametrize("refuse", REFUSALS)
def test_the_doctor_fails_where_it_cannot_ask(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[Path, pytest.MonkeyPatch], str],
) -> None:
    words = refuse(clone, monkeypatch)
    with pytest.raises(HandPoseError, match=words):  # a FAIL in the doctor
        list(doctor_clone.licence(clone))


OTHERS: dict[str, Callable[[Path], object]] = {
    "compare": lambda clone: at_revision(clone, "HEAD"),
    "table": lambda clone: Source.of(clone, ()),
}


@pytest.mark.parametrize("ask", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("refuse", [another_owner, no_git])
def test_commands_say_what_git_says(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[Path, pytest.MonkeyPatch], str],
    ask: Callable[[Path], object],
) -> None:
    words = refuse(clone, monkeypatch)
    with pytest.raises(HandPoseError, match=words):
        ask(clone)


def test_the_plan_says_that_it_does_not_know(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unknown(clone) == ""
    assert unknown(clone.parent) == "", "no repository is no failure"
    another_owner(clone, monkeypatch)
    assert "safe.directory" in unknown(clone)
    assert changed_lines(clone, "params.yaml", "0" * 32) == []


def test_the_remedy_for_another_owner_works(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_owner(clone, monkeypatch)
    with pytest.raises(git.GitError) as error:
        git.text(clone, "status")
    remedy = str(error.value).partition("trust its owner: ")[2]
    subprocess.run(remedy, shell=True, check=True)
    assert git_takes(clone / "own" / "MANO_RIGHT.npz") is False, "ignored by its name"
    assert git_takes(clone / "own" / "images")
    assert {found.state for found in doctor_clone.licence(clone)} == {"ok"}


def test_no_repository_is_an_answer_and_asking_there_has_its_own_words(tmp_path: Path) -> None:
    assert git.repository(tmp_path) is None
    assert git.ignores(tmp_path / "a")
    (tmp_path / ".git").mkdir()
    assert git.repository(tmp_path) is None, "an empty folder is no repository"
    with pytest.raises(git.GitError, match=r"is in no git repository.*git init"):
        git.text(tmp_path, "status")


def test_yes_and_no(clone: Path) -> None:
    head = run(clone, "rev-parse", "HEAD")
    assert git.commit(clone, "HEAD") == head
    assert git.commit(clone, "nope") is None
    assert git.commit(clone, "--help") is None
    assert git.file_at(clone, head, "params.yaml") == (ROOT / "params.yaml").read_bytes()
    assert git.file_at(clone, head, "nope") is None
    with pytest.raises(git.GitError, match="'no-such-word' is not a git command"):
        git.answer(clone, "no-such-word")


def test_the_variables_of_a_hook_do_not_lead_to_another_repository(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    run(tmp_path, "init", "-q", str(other))
    (other / ".gitignore").write_text("*\n")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(clone))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(clone / "own"))
    assert git_takes(clone / "own" / "images" / "a.jpg")
    assert git.commit(clone, "HEAD") is not None


def test_a_folder_that_may_not_be_read_is_not_outside(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(git.GitError, match=r"whether .* is in a git repository is not known"):
        git.repository(clone)
