"""The doctor as a whole; each kind of check has its own file beside this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from handpose.errors import HandPoseError
from pipeline.doctor import doctor
from pipeline.doctor.finding import Finding


def good(root: Path) -> Iterator[Finding]:
    yield Finding("ok", "fine")
    yield Finding("note", "mind this")


def ill(root: Path) -> Iterator[Finding]:
    raise HandPoseError("the file is torn; mend it")


def broken(root: Path) -> Iterator[Finding]:
    yield Finding("ok", "before")
    raise ZeroDivisionError("by zero")


def say(monkeypatch: pytest.MonkeyPatch, checks: dict[str, doctor.Check]) -> tuple[int, list[str]]:
    monkeypatch.setattr(doctor, "checks", lambda *, cache: checks)
    said: list[str] = []
    return doctor.examine(Path(), say=said.append), said


def test_notes_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = say(monkeypatch, {"a": good})
    assert code == 0
    assert [line.split()[0] for line in said] == ["ok", "note", "nothing"]


def test_what_a_check_raises_is_a_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = say(monkeypatch, {"a": ill, "b": good})
    assert code == 2
    assert said[0] == "FAIL  a         the file is torn; mend it"
    assert said[-1] == "1 to mend"


def test_a_check_that_breaks_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, said = say(monkeypatch, {"a": broken, "b": good})
    assert code == 2
    assert "ZeroDivisionError: by zero" in said[1]
    assert len(said) == 5


def test_an_empty_folder_is_told_in_lines_and_never_in_a_traceback(tmp_path: Path) -> None:
    said: list[str] = []
    assert doctor.examine(tmp_path, cache=True, say=said.append) == 2
    assert {line.split()[0] for line in said[:-1]} <= {"ok", "note", "FAIL"}
    assert not any("broke" in line for line in said), said
