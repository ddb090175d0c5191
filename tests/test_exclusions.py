"""The list of exclusions: read strictly, all faults at once, and rows added to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from handpose.exclusions import COLUMNS, DROP, DROP_FIT, Exclusion, ExclusionError, Exclusions

SHIPPED = Path(__file__).parents[1] / "labels" / "exclusions.csv"
HEADER = ",".join(COLUMNS)
ONE = Exclusion("train", 3, "0016_fist", 12, "400026", "right", "second_hand", DROP, "behind it")
ALL = Exclusion("train", 3, "0016_fist", None, None, None, "wrong_fit", DROP_FIT)


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "exclusions.csv"
    path.write_bytes("".join(f"{line}\n" for line in (header, *lines)).encode("utf-8"))
    return path


def test_the_shipped_list_has_no_row() -> None:
    assert Exclusions.read(SHIPPED).rows == ()
    assert SHIPPED.read_bytes() == f"{HEADER}\n".encode()


def test_what_is_added_is_read_back_and_added_once(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert Exclusions.read(path).add([ONE, ALL, ONE]) == [ONE, ALL]
    read = Exclusions.read(path)
    assert [row._replace(line=0) for row in read.rows] == [ONE, ALL]
    assert [row.line for row in read.rows] == [2, 3]
    before = path.read_bytes()
    assert read.add([ONE._replace(kind="other", note="again")]) == []
    assert path.read_bytes() == before
    assert b"train,3,0016_fist,*,*,*,wrong_fit,drop_fit,\n" in before


def test_notes_with_commas_quotes_and_letters_survive(tmp_path: Path) -> None:
    path = written(tmp_path)
    odd = ONE._replace(note='a "second", of Zoë; <b>')
    Exclusions.read(path).add([odd])
    assert Exclusions.read(path).rows[0].note == odd.note


def test_a_last_line_without_its_end_is_not_joined_with_the_next(tmp_path: Path) -> None:
    path = written(tmp_path, ",".join(ALL.cells()))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    Exclusions.read(path).add([ONE])
    assert len(Exclusions.read(path).rows) == 2


def test_all_faults_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "train,three,0016_fist,12,400026,right,second_hand,drop,",
        "train,3,,x,,both,Second hand,remove,",
        "train,3,0016_fist",
        "train,3,0016_fist,*,*,*,dark_photo,drop,",
        "train,3,0016_fist,*,*,*,cut_off,drop,",
    )
    with pytest.raises(ExclusionError) as caught:
        Exclusions.read(path)
    message = str(caught.value)
    assert "has 9 faults:" in message
    for line, text in (
        (2, "session is 'three', expected a whole number"),
        (3, "sequence is empty"),
        (3, "camera is empty; * stands for every camera"),
        (3, "frame is 'x', expected a whole number, or * for every frame"),
        (3, "hand is 'both', expected right, left or *"),
        (3, "kind is 'Second hand', expected a word such as second_hand"),
        (3, "action is 'remove', expected drop (the annotation is not used) or drop_fit"),
        (4, "has 3 cells, expected 9"),
        (6, "names what line 5 names; keep one"),
    ):
        assert f"{path}:{line}: {text}" in message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "found an empty file, expected the header split,session"),
        (HEADER.replace(",", ";"), "expected the header split,session"),
        ("\ufeff" + HEADER, "expected the header split,session"),
        (HEADER.replace("session", "capture"), "expected the header split,session"),
    ],
)
def test_another_header_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(ExclusionError, match=message):
        Exclusions.read(written(tmp_path, header=header))


def test_a_file_that_is_none_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ExclusionError, match=r"not found; .*git checkout labels"):
        Exclusions.read(tmp_path / "exclusions.csv")
    with pytest.raises(ExclusionError, match=r"cannot be read .*names a CSV file"):
        Exclusions.read(tmp_path)
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{HEADER}\ntrain,3,Zo\xeb".encode("latin-1"))
    with pytest.raises(ExclusionError, match="is not in UTF-8"):
        Exclusions.read(path)
    with pytest.raises(ExclusionError, match="is not CSV"):
        Exclusions.read(written(tmp_path, 'train,3,"0016'))
