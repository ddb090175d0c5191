"""A rehearsal writes nothing, and reports what the stage would write."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.plan import rehearsal
from pipeline.plan.rehearsal import Outcome, rehearse


def test_outputs_are_listed_and_not_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.txt").write_text("b\na\n")
    inputs = {"data/in.txt": tmp_path / "data" / "in.txt"}
    outcome = rehearse(tmp_path, "sort data/in.txt > out.txt", inputs, ["out.txt"])
    assert outcome.outs == {"out.txt": (hashlib.md5(b"a\nb\n").hexdigest(), b"a\nb\n")}
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "in.txt"]


def test_a_command_sees_its_inputs_alone(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("x")
    assert "other.txt" in rehearse(tmp_path, "cat other.txt", {}, []).fault


def test_what_it_says_when_it_fails_is_kept(tmp_path: Path) -> None:
    assert rehearse(tmp_path, "echo no >&2; exit 2", {}, ["a"]) == Outcome({}, "no")
    assert rehearse(tmp_path, "exit 3", {}, ["a"]).fault == "exited with 3"


def test_one_that_is_slow_after_all_stays_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "LONGEST_S", 0.1)
    assert rehearse(tmp_path, "exec sleep 5", {}, ["a"]) == Outcome({}, ended=False)


def test_a_folder_stays_unknown(tmp_path: Path) -> None:
    assert rehearse(tmp_path, "mkdir a", {}, ["a"]) == Outcome({})


def test_an_input_that_is_nowhere_yet_is_given_as_bytes(tmp_path: Path) -> None:
    outcome = rehearse(tmp_path, "cat data/in.txt > out.txt", {"data/in.txt": b"new"}, ["out.txt"])
    assert outcome.outs["out.txt"].content == b"new"
    assert list(tmp_path.iterdir()) == []
