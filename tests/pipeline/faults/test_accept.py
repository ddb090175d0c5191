"""Rows of the ranking that go into the list: of training people, and drop before drop_fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from handpose.data.splits import HELD_OUT_GESTURES, TEST, TRAIN, VALIDATION
from handpose.exclusions import COLUMNS, DROP, DROP_FIT, Exclusions
from pipeline.faults.accept import accept
from pipeline.faults.ranking import COLUMNS as RANKED

FIT = ("wrong_fit", "train,0,0000_fist,10,*,left", DROP_FIT)
SIDE = ("swapped_side", "train,0,0000_fist,10,*,left", DROP)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    return path


def ranked(folder: Path, *rows: tuple[str, str, str], used_in: str = TRAIN) -> Path:
    """A ranking in which each row is proposed, the first of its kind."""
    lines = [",".join(RANKED)]
    lines += [f"{kind},1,true,9,6,{at},{action},1,{used_in},a.jpg" for kind, at, action in rows]
    path = folder / f"{used_in}.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_hand_listed_without_its_fit_and_then_dropped_is_dropped(
    tmp_path: Path, listed: Path
) -> None:
    ranking = ranked(tmp_path, FIT, SIDE)
    accept(ranking, listed, ["wrong_fit"])
    out = accept(ranking, listed, ["swapped_side"])
    assert out[0].startswith("swapped_side: 1 row of drop_fit became drop: ")
    assert "(line 2)" in out[0] and "already" not in "".join(out)
    assert " has 1 row now" in out[-1]
    (row,) = Exclusions.read(listed).rows
    assert (row.kind, row.action) == ("swapped_side", DROP)
    assert "was drop_fit as wrong_fit: 9.0, limit 6.0" in row.note
    out = accept(ranking, listed, ["wrong_fit", "swapped_side"])
    assert "2 rows were in" in out[0] and len(out) == 2
    assert Exclusions.read(listed).rows == (row,)


@pytest.mark.parametrize("kinds", [["wrong_fit", "swapped_side"], ["swapped_side", "wrong_fit"]])
def test_both_in_one_command_drop_too(tmp_path: Path, listed: Path, kinds: list[str]) -> None:
    out = accept(ranked(tmp_path, FIT, SIDE), listed, kinds)
    assert out[:2] == ["swapped_side: 1 row added", "1 row names what another of these names"]
    (row,) = Exclusions.read(listed).rows
    assert row.action == DROP


@pytest.mark.parametrize("split", [VALIDATION, TEST, HELD_OUT_GESTURES])
def test_what_is_not_of_training_people_is_left_unless_asked_for(
    tmp_path: Path, listed: Path, split: str
) -> None:
    for choice in ("swapped_side", "swapped_side:1"):
        out = accept(ranked(tmp_path, SIDE, used_in=split), listed, [choice])
        assert out[0].startswith(f"1 row was left, as not of training people: 1 of {split}. ")
        assert Exclusions.read(listed).rows == ()
    out = accept(ranked(tmp_path, SIDE, used_in=split), listed, ["swapped_side"], all_splits=True)
    assert out[0] == "swapped_side: 1 row added"
    assert len(Exclusions.read(listed).rows) == 1
