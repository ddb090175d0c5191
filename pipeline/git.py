"""Git, asked from one place: its yes, its no, and its refusal to answer are three things.

Git exits with 1 to say no and with 128 when it cannot tell: a clone of another owner, a damaged
index, a repository that it cannot read. A guard that took the second for the first would be open.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from handpose.errors import HandPoseError

NO = 1
"""The exit code by which `check-ignore`, `merge-base` and `rev-parse --verify --quiet` say no."""

OF_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES"),
)
"""Variables that a hook of git inherits and that would make git answer for another repository."""

NO_REPOSITORY = (
    "this folder is in no git repository (a downloaded ZIP?), and dvc repro stops: git init && "
    "git add -A && git commit -m 'As downloaded'; or, to do without: "
    "dvc config --local core.no_scm true"
)

REFUSES_OWNER = re.compile(r"(?:dubious ownership in|unsafe) repository \(?(?:at )?'([^']+)'")


class GitError(HandPoseError):
    """Git cannot be asked, so nothing may be concluded; the message has its own sentence."""


def repository(folder: Path) -> Path | None:
    """The folder of the repository that `folder` lies in, by its `.git`; None outside of any.

    Git itself is not asked: it also says that there is none where it cannot read one.

    Raises:
        GitError: a folder on the way up cannot be read.
    """
    for place in (folder.resolve(), *folder.resolve().parents):
        mark = place / ".git"
        try:
            mark.lstat()
            if not mark.is_dir() or any(mark.iterdir()):  # a worktree's is a file
                return place
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise GitError(
                f"{mark}: cannot be read ({error.strerror}), so whether {folder} is in a git "
                "repository is not known; give yourself access to it"
            ) from None
    return None


def answer(folder: Path, *words: str) -> bytes | None:
    """What `git WORDS` prints in `folder`; None where it exits with 1, which is git's no.

    Raises:
        GitError: git is not installed, refuses this repository, or fails.
    """
    environment = {k: v for k, v in os.environ.items() if k not in OF_ANOTHER_REPOSITORY}
    environment |= {"LC_ALL": "C", "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}  # a disk mounted below
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except FileNotFoundError:
        if not folder.is_dir():
            raise GitError(f"{folder}: no such folder, so git was not asked") from None
        raise GitError(f"{folder}: git is not installed; install it (apt install git)") from None
    except OSError as error:
        raise GitError(f"{folder}: git cannot be started ({error.strerror})") from None
    if done.returncode == 0:
        return done.stdout
    sentence = done.stderr.decode(errors="replace").strip()
    if done.returncode == NO and all(
        line.startswith("warning: ") for line in sentence.splitlines()
    ):
        return None
    raise GitError(_explained(folder, words, sentence or f"exit code {done.returncode}"))


def text(folder: Path, *words: str) -> str:
    """The same as text, for questions to which there is no no.

    Raises:
        GitError: git cannot be asked, or says no.
    """
    found = answer(folder, *words)
    if found is None:
        raise GitError(f"{folder}: git {words[0]} ended with exit code 1")
    return found.decode(errors="surrogateescape")


def ignores(path: Path) -> bool:
    """Whether git would not commit this file, whether it exists yet or not.

    Raises:
        GitError: the file is in a repository, and git cannot say.
    """
    path = path.resolve()
    folder = next(parent for parent in path.parents if parent.is_dir())
    if repository(folder) is None:
        return True
    return answer(folder, "check-ignore", "-q", str(path)) is not None


def commit(folder: Path, revision: str) -> str | None:
    """The hash of the commit that a revision names; None if there is no such commit.

    Raises:
        GitError: git cannot be asked.
    """
    found = answer(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return found.decode().strip() if found else None


def file_at(folder: Path, commit: str, path: str) -> bytes | None:
    """Content of a file at a commit, by its path from `folder`; None if the commit has none.

    Raises:
        GitError: git cannot be asked.
    """
    blob = answer(folder, "rev-parse", "--verify", "--quiet", f"{commit}:./{path}")
    return None if blob is None else answer(folder, "cat-file", "blob", blob.decode().strip())


def _explained(folder: Path, words: tuple[str, ...], sentence: str) -> str:
    """Git's own sentence and what to do."""
    first = sentence.splitlines()[0].removeprefix("fatal: ")
    if refused := REFUSES_OWNER.search(sentence):
        return (
            f"{folder}: git refuses this repository: {first}. If you trust its owner: "
            f"git config --global --add safe.directory {refused.group(1)}"
        )
    if "not a git repository" in sentence:
        try:
            damaged = repository(folder)
        except GitError as error:
            return str(error)
        if damaged is None:
            return (
                f"{folder}: is in no git repository, so there is nothing to ask git {words[0]}; "
                "clone the project instead of downloading it, or: "
                "git init && git add -A && git commit -m 'As downloaded'"
            )
        first = f"{first} (but {damaged / '.git'} is there)"
    return (
        f"{folder}: git {words[0]} failed: {first}. Repair the repository until "
        f"`git -C {folder} status` works"
    )
