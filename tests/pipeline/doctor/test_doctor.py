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


def faulty(root: Path) -> Iterator[Finding]:
    raise HandPoseError("the file is torn; fix it")


def broken(root: Path) -> Iterator[Finding]:
    yield Finding("ok", "before")
    raise ZeroDivisionError("by zero")


def examine(
    monkeypatch: pytest.MonkeyPatch, checks: dict[str, doctor.Check]
) -> tuple[int, list[str]]:
    monkeypatch.setattr(doctor, "checks", lambda *, cache: checks)
    lines: list[str] = []
    return doctor.examine(Path(), log=lines.append), lines


def test_notes_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = examine(monkeypatch, {"a": good})
    assert code == 0
    assert [line.split()[0] for line in lines] == ["ok", "note", "nothing"]


def test_what_a_check_raises_is_a_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = examine(monkeypatch, {"a": faulty, "b": good})
    assert code == 2
    assert lines[0] == "FAIL  a         the file is torn; fix it"
    assert lines[-1] == "1 to fix"


def test_a_check_that_breaks_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, lines = examine(monkeypatch, {"a": broken, "b": good})
    assert code == 2
    assert "ZeroDivisionError: by zero" in lines[1]
    assert len(lines) == 5


def test_an_empty_folder_is_reported_in_lines_and_never_in_a_traceback(tmp_path: Path) -> None:
    lines: list[str] = []
    assert doctor.examine(tmp_path, cache=True, log=lines.append) == 2
    assert {line.split()[0] for line in lines[:-1]} <= {"ok", "note", "FAIL"}
    assert not any("failed" in line for line in lines), lines
