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
    assert Exclusions.read(path).add([ONE, ALL, ONE]) == ([ONE, ALL], [])
    read = Exclusions.read(path)
    assert [row._replace(line=0) for row in read.rows] == [ONE, ALL]
    assert [row.line for row in read.rows] == [2, 3]
    before = path.read_bytes()
    assert read.add([ONE._replace(kind="other", note="again")]) == ([], [])
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


def test_drop_takes_the_place_of_drop_fit_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = written(tmp_path, "train, 3,0016_fist,*,*,*,wrong_fit,drop_fit,'odd' ,".rstrip(","))
    other = 'train,3,"0016_fist",12 ,400026,right,second_hand,drop,"of\r\ntwo lines"\r\n'
    third = 'train,3,0016_fist,13,*,left,wrong_fit,drop_fit,"9.0,\nlimit 6"\r\n'
    path.write_bytes(path.read_bytes() + f"{other}\n{third}".encode())
    read = Exclusions.read(path)
    before = path.read_bytes().decode().splitlines(keepends=True)
    target = Exclusion(
        "train", 3, "0016_fist", 13, None, "left", "swapped_side", DROP, "5, limit 3"
    )
    assert read.add([target._replace(action=DROP_FIT)]) == ([], [])
    new, raised = read.add([target, target])
    assert new == [] and [row[:8] for row in raised] == [target[:8]]
    note = "5, limit 3; was drop_fit as wrong_fit: 9.0,\nlimit 6"
    assert raised[0].note == note
    after = path.read_bytes().decode().splitlines(keepends=True)
    assert after[:-2] == before[:-2]
    assert "".join(after[-2:]) == f'train,3,0016_fist,13,*,left,swapped_side,drop,"{note}"\r\n'
    again = Exclusions.read(path)
    assert [row.action for row in again.rows] == [DROP_FIT, DROP, DROP]
    assert again.add([target]) == ([], [])
    assert again.add([ALL._replace(action=DROP)]).raised[0].line == 2


@pytest.mark.parametrize("drop_first", [True, False])
def test_of_two_rows_added_for_one_target_drop_remains(tmp_path: Path, drop_first: bool) -> None:
    path = written(tmp_path)
    pair = [ONE, ONE._replace(kind="wrong_fit", action=DROP_FIT, note="9")]
    new, raised = Exclusions.read(path).add(pair if drop_first else pair[::-1])
    assert [row[:8] for row in new] == [ONE[:8]] and raised == []
    assert [row[:8] for row in Exclusions.read(path).rows] == [ONE[:8]]
    if not drop_first:
        assert new[0].note == "behind it; was drop_fit as wrong_fit: 9"


def test_a_list_saved_by_excel_as_csv_utf8_is_read_and_keeps_its_mark(tmp_path: Path) -> None:
    path = written(tmp_path, ",".join(ONE.cells()), header="\ufeff" + HEADER)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()
    assert Exclusions.read(path).rows == (ONE._replace(line=2),)
    Exclusions.read(path).add([ALL])
    assert path.read_bytes() == before + ",".join(ALL.cells()).encode() + b"\n"
    assert len(Exclusions.read(path).rows) == 2


def test_all_faults_are_reported_at_once_each_with_its_line(tmp_path: Path) -> None:
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
