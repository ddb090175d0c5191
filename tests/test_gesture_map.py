"""The gesture map: equal to the author's partition, and every fault has line and remedy."""

from __future__ import annotations

import csv
import random
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handpose.gesture_map import GestureMap, GestureMapError
from handpose.gesture_row import COLUMNS, LEVELS, OTHER_HAND, GestureRow, Level
from handpose.interhand.folders import NAMING

MAP = Path(__file__).parents[1] / "labels" / "gesture_map.csv"

SMALL = """folder,hand,gesture,coarse_id,coarse,fine_id,fine,twin
0003_fake_gun,right,fake_gun,0,gun,0,gun,0103_fake_gun
0016_fist,right,fist,1,fist,1,fist_soft,0116_fist
0017_fist_rigid,right,fist_rigid,1,fist,2,fist_hard,0117_fist_rigid
0103_fake_gun,left,fake_gun,2,gun,3,gun,0003_fake_gun
0116_fist,left,fist,3,fist,4,fist_soft,0016_fist
0117_fist_rigid,left,fist_rigid,3,fist,5,fist_hard,0017_fist_rigid
"""

FaultsOf = Callable[[str | bytes], list[str]]


@pytest.fixture
def faults_of(tmp_path: Path) -> FaultsOf:
    """The faults reported of a file with this content, without the path before each."""

    def read(content: str | bytes) -> list[str]:
        path = tmp_path / "map.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(GestureMapError) as error:
            GestureMap.read(path, NAMING)
        head, *lines = str(error.value).split("\n")
        if lines:
            assert head == f"{path} has {len(lines)} fault{'s' * (len(lines) > 1)}:"
            assert all(line.startswith(f"  {path}:") for line in lines)
        return [line.removeprefix(f"  {path}:") for line in lines] or [head]

    return read


def small(tmp_path: Path, content: str = SMALL) -> GestureMap:
    path = tmp_path / "map.csv"
    path.write_text(content, encoding="utf-8")
    return GestureMap.read(path, NAMING)


def swap(old: str, new: str) -> str:
    assert SMALL.count(old) >= 1
    return SMALL.replace(old, new, 1)


# --- the curated file ----------------------------------------------------------------------------


def test_the_curated_map_has_no_fault() -> None:
    summary = GestureMap.read(MAP, NAMING).summary()
    assert "45 right-hand and 45 left-hand folders" in summary
    assert "54 coarse and 70 fine classes, 0 folders dropped" in summary


def test_the_curated_partition_is_the_authors() -> None:
    # protocol facts: classes of the right hand are 0-26 and 0-34, those of the left 27 and 35 above
    rows = GestureMap.read(MAP, NAMING).rows
    pairs = {row.folder: (row.coarse_id, row.fine_id) for row in rows}
    assert pairs["0038_fingerspreadnormal"] == pairs["0027_five_count"] == (0, 2)
    assert (pairs["0006_thumbup_relaxed"], pairs["0007_thumbup_normal"]) == ((5, 31), (5, 32))
    assert pairs["0036_palmdownwave"] == pairs["0035_palmdown"] == (20, 24)
    assert pairs["0158_middlefinger"] == (53, 48)
    assert {c for c, _ in pairs.values()} == set(range(54))
    assert {f for _, f in pairs.values()} == set(range(70))
    sizes = [sum(c == k for c, _ in pairs.values()) for k in range(54)]
    assert sorted(sizes) == [1] * 34 + [2] * 10 + [3] * 8 + [6] * 2
    parents = {f: c for c, f in pairs.values()}
    split = {c for c in parents.values() if list(parents.values()).count(c) > 1}
    assert split == {0, 5, 7, 9, 11, 22, 27, 32, 34, 36, 38, 49}


def test_curated_twins_mirror_class_by_class() -> None:
    rows = {row.folder: row for row in GestureMap.read(MAP, NAMING).rows}
    for row in rows.values():
        twin = rows[row.twin]
        assert (row.coarse_id + 27) % 54 == twin.coarse_id
        assert (row.fine_id + 35) % 70 == twin.fine_id
    odd = {row.folder for row in rows.values() if row.folder[2:] != row.twin[2:]}
    assert odd == {"0036_palmdownwave", "0133_relaxedwave"}


# --- classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_ids_have_no_gap_and_every_class_has_a_twin(level: Level) -> None:
    ids = GestureMap.read(MAP, NAMING).class_ids(level, canonical=False)
    assert sorted(ids.values()) == list(range(len(ids)))
    assert {(OTHER_HAND[hand], name) for hand, name in ids} == set(ids)


def test_ids_of_the_curated_map_are_taken_as_they_stand() -> None:
    table = GestureMap.read(MAP, NAMING)
    for level in LEVELS:
        ids = table.class_ids(level, canonical=False)
        assert all(ids[row.hand, row.name(level)] == row.id(level) for row in table.rows)


def test_canonical_classes_are_the_right_hands() -> None:
    table = GestureMap.read(MAP, NAMING)
    for level, n in zip(LEVELS, (27, 35), strict=True):
        ids = table.class_ids(level, canonical=True)
        assert set(ids.values()) == set(range(n))
        for row in table.rows:
            assert ids[row.hand, row.name(level)] == row.id(level) % n


def test_a_merged_class_leaves_no_gap(tmp_path: Path) -> None:
    text = SMALL.replace(",0,gun,0,gun,", ",1,fist,1,fist_soft,")
    text = text.replace(",2,gun,3,gun,", ",3,fist,4,fist_soft,")
    ids = small(tmp_path, text).class_ids("fine", canonical=False)
    assert ids == {
        ("right", "fist_soft"): 0,
        ("right", "fist_hard"): 1,
        ("left", "fist_soft"): 2,
        ("left", "fist_hard"): 3,
    }


def test_a_new_class_takes_any_free_id(tmp_path: Path) -> None:
    text = SMALL.replace(",1,fist,2,fist_hard,", ",10,hard,2,fist_hard,")
    text = text.replace(",3,fist,5,fist_hard,", ",11,hard,5,fist_hard,")
    table = small(tmp_path, text)
    ids = table.class_ids("coarse", canonical=False)
    assert (ids["right", "hard"], ids["left", "hard"]) == (4, 5)
    assert set(table.class_ids("coarse", canonical=True).values()) == {0, 1, 2}


def test_dropped_folders_have_no_class(tmp_path: Path) -> None:
    text = SMALL.replace(",0,gun,0,gun,", ",-1,drop,-1,drop,").replace(
        ",2,gun,3,gun,", ",2,drop,3,drop,"
    )
    table = small(tmp_path, text)
    assert [row.folder for row in table.rows if row.dropped] == ["0003_fake_gun", "0103_fake_gun"]
    assert len(table.labelled) == 4
    assert table.class_ids("coarse", canonical=False) == {("right", "fist"): 0, ("left", "fist"): 1}


def test_one_hand_may_be_dropped_while_its_class_lives_on(tmp_path: Path) -> None:
    text = SMALL + "0118_fist_b,left,fist_b,3,fist,5,fist_hard,0018_fist_b\n"
    text += "0018_fist_b,right,fist_b,-1,drop,-1,drop,0118_fist_b\n"
    assert len(small(tmp_path, text).labelled) == 7


def test_order_of_rows_and_columns_changes_nothing(tmp_path: Path) -> None:
    with MAP.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rng = random.Random(0)
    rng.shuffle(rows)
    columns = rng.sample(COLUMNS, len(COLUMNS))
    path = tmp_path / "map.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert GestureMap.read(path, NAMING).rows == GestureMap.read(MAP, NAMING).rows


def test_spaces_around_a_cell_do_not_matter(tmp_path: Path) -> None:
    assert small(tmp_path, SMALL.replace(",", " , ")).rows == small(tmp_path).rows


def test_the_nearest_folder_is_found_by_its_name() -> None:
    table = GestureMap.read(MAP, NAMING)
    assert table.nearest("0003_fakegun") == "0003_fake_gun"
    assert table.nearest("zzz") is None


def test_a_row_knows_its_classes_by_level() -> None:
    row = GestureRow("0003_a", "right", "a", 1, "one", 2, "two", "0103_a")
    assert [(row.id(level), row.name(level)) for level in LEVELS] == [(1, "one"), (2, "two")]


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fist,1,fist,1,fist_soft", "fist,0,gun,1,fist_soft",
         ["3: coarse is 'gun', but its twin 0116_fist (line 6) has 'fist'; a gesture has classes "
          "of the same names on both hands"]),
        ("fist_rigid,1,fist,2", "fist_rigid,1,fist,1",
         ["4: fine_id 1 is called 'fist_hard' here but 'fist_soft' on line 3; one id has one "
          "name"]),
        ("fist_rigid,1,fist,2,fist_hard", "fist_rigid,1,fist,6,fist_soft",
         ["4: fine 'fist_soft' of the right hand has id 6 here but 1 on line 3; one name has one "
          "id on a hand",
          "4: fine is 'fist_soft', but its twin 0117_fist_rigid (line 7) has 'fist_hard'; a "
          "gesture has classes of the same names on both hands"]),
        (",2,gun,3,gun,", ",0,gun,3,gun,",
         ["5: coarse_id 0 is of a left hand here but of a right hand on line 2; each hand has ids "
          "of its own"]),
        (",fake_gun,0,gun,0,gun,0103_fake_gun", ",fake_gun,0,gun,0,gun,0103_fakegun",
         ["2: twin 0103_fakegun has no row in this table; did you mean 0103_fake_gun?"]),
        (",gun,0103_fake_gun", ",gun,0016_fist",
         ["2: twin 0016_fist is a right hand too; name the left one",
          "5: twin 0003_fake_gun has 0016_fist as its twin (line 2); twins name each other"]),
        (",fist_soft,0016_fist", ",fist_soft,0017_fist_rigid",
         ["3: twin 0116_fist has 0017_fist_rigid as its twin (line 6); twins name each other",
          "6: twin 0017_fist_rigid has 0117_fist_rigid as its twin (line 4); twins name each "
          "other"]),
        ("0003_fake_gun,right", "0003_fake_gun,left",
         ["2: hand is left, but folder 0003 shows a right hand"]),
        ("0003_fake_gun,right", "0003_fake_gun,Right",
         ["2: hand is 'Right'; write right or left"]),
        ("right,fake_gun", "right,fakegun",
         ["2: gesture is 'fakegun'; the folder's name without its number is 'fake_gun'"]),
        (",0,gun,0,gun,", ",0,gun,0,,",
         ["2: fine is empty; to leave the folder out write drop as coarse and as fine"]),
        (",0,gun,0,gun,", ",0,gun,0.0,gun,",
         ["2: fine_id is '0.0', not a whole number from 0 up"]),
        ("0003_fake_gun,right,fake_gun,0,gun,0,gun,", "new,right,fake_gun,0,gun,0,gun,",
         ["2: folder 'new' is not a single-hand gesture folder: these are called 00xx_NAME (right) "
          "or 01xx_NAME (left); to leave it out write drop as coarse and as fine",
          "5: twin 0003_fake_gun has no row in this table; add its row"]),
        ("0003_fake_gun,right,fake_gun,0,gun,0,gun,", ",,,,drop,,drop,",
         ["2: folder is empty; name the one to drop, or delete the line",
          "5: twin 0003_fake_gun has no row in this table; add its row"]),
        (",0,gun,0,gun,", ",-1,gun,0,gun,",
         ["2: coarse_id is '-1', not a whole number from 0 up"]),
        (",0,gun,0,gun,", ",0,drop,0,gun,",
         ["2: coarse and fine must both be drop to leave the folder out"]),
        (",0,gun,0,gun,", ",0,drop,0,drop,",
         ["5: 'gun' has no right hand left since 0003_fake_gun is dropped (line 2); drop this "
          "folder too, or neither"]),
        (",0,gun,0,gun,", ",0,gun,0;gun,",
         ["2: has 7 cells, the header has 8; cells are separated by commas, and names hold none"]),
        ("0103_fake_gun,left", ",,,,,,,\n0103_fake_gun,left",
         ["5: has empty cells only; delete the line"]),
        ("folder,", "Folder,",
         ["1: column 'Folder' is not known; did you mean folder?",
          "1: column 'folder' is missing; the header is "
          "folder,hand,gesture,coarse_id,coarse,fine_id,fine,twin"]),
        (",twin\n", ",twin,twin\n", ["1: column 'twin' is there 2 times; keep one"]),
        (",fine,", ',"fine,', ["7: is not CSV (unexpected end of data); look at its quotes"]),
    ],
)  # fmt: skip
def test_each_fault_is_reported_with_its_line_and_remedy(
    faults_of: FaultsOf, old: str, new: str, expected: list[str]
) -> None:
    assert faults_of(swap(old, new)) == expected


def test_a_fine_class_has_one_coarse_parent(faults_of: FaultsOf) -> None:
    text = SMALL.replace("fist_rigid,1,fist,2,fist_hard", "fist_rigid,4,hard,1,fist_soft")
    text = text.replace("fist_rigid,3,fist,5,fist_hard", "fist_rigid,5,hard,4,fist_soft")
    assert faults_of(text) == [
        "4: fine_id 1 belongs to coarse_id 4 here but to 1 on line 3; a fine class has one coarse "
        "parent",
        "7: fine_id 4 belongs to coarse_id 5 here but to 3 on line 6; a fine class has one coarse "
        "parent",
    ]


def test_a_folder_stands_once(faults_of: FaultsOf) -> None:
    line = SMALL.splitlines()[1]
    assert faults_of(SMALL + line + "\n") == [
        "8: folder 0003_fake_gun is already on line 2; keep one"
    ]


def test_a_missing_row_is_reported_where_its_twin_is(faults_of: FaultsOf) -> None:
    text = "\n".join(SMALL.splitlines()[:-1]) + "\n"
    assert faults_of(text) == [
        "4: twin 0117_fist_rigid has no row in this table; did you mean 0116_fist?"
    ]


def test_a_two_hand_folder_has_no_place(faults_of: FaultsOf) -> None:
    (fault,) = faults_of(SMALL + "0266_dh_pray,right,dh_pray,9,pray,9,pray,0366_dh_pray\n")
    assert fault.startswith("8: folder '0266_dh_pray' is not a single-hand gesture folder")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufeff" + SMALL, "1: starts with a byte order mark"),
        (
            SMALL.replace("\n", "\r\n"),
            "1: lines end in CRLF, as Windows writes them (7 of them, this one first)",
        ),
        (SMALL.replace(",", ";"), "1: cells are separated by semicolons, not commas: sed -i"),
        (SMALL.replace(",", "\t"), "1: cells are separated by tabs, not commas: sed -i"),
        ("", "1: the file is empty; its first line is folder,hand,gesture,"),
        ("\n \n", "1: the file is empty"),
        (SMALL.splitlines()[0] + "\n", "1: there is no row below the header"),
    ],
    ids=["mark", "crlf", "semicolons", "tabs", "empty", "blank", "no rows"],
)
def test_what_spreadsheets_do_to_a_table_is_reported_once(
    faults_of: FaultsOf, content: str, expected: str
) -> None:
    (fault,) = faults_of(content)
    assert fault.startswith(expected)
    assert "sed" not in fault or fault.endswith(".csv"), "as it is to be typed"


# --- remedies ------------------------------------------------------------------------------------

LINE_ENDS = {
    "CRLF": "\r\n",
    "CR": "\r",
    "CRCRLF": "\r\r\n",
}


TABS = SMALL.replace(",", "\t")


def by(line_end: str, text: str = SMALL) -> str:
    return text.replace("\n", LINE_ENDS[line_end])


EXPORTS: dict[str, bytes] = {
    "Excel on a Mac": by("CR").encode(),
    "Excel on a Mac, no last line end": by("CR").rstrip("\r").encode(),
    "Excel on a Mac, Mac Roman": by("CR", swap("0003_fake_gun", "# gün")).encode("mac_roman"),
    "Excel on Windows": by("CRLF").encode(),
    "Excel on Windows, German": by("CRLF").replace(",", ";").encode("cp1252"),
    "Excel on Windows, with its separator": ("sep=;\r\n" + by("CRLF").replace(",", ";")).encode(),
    "Excel, CSV UTF-8": ("\ufeff" + by("CRLF")).encode(),
    "Excel, Unicode text": ("\ufeff" + by("CRLF", TABS)).encode("utf-16-le"),
    "Excel, Unicode text, big-endian": ("\ufeff" + by("CRLF", TABS)).encode("utf-16-be"),
    "UTF-16 without a mark": by("CRLF").encode("utf-16-le"),
    "UTF-16 without a mark, big-endian": by("CRLF").encode("utf-16-be"),
    "written twice in text mode": by("CRCRLF").encode(),
    "edited on a Mac and on Windows":
    SMALL.replace("\n", "\r\n", 3).replace("\r\n", "\r", 1).encode(),
    "bars": SMALL.replace(",", "|").encode(),
    "tabs": TABS.encode(),
}  # fmt: skip
"""What spreadsheets and editors make of the file."""

COMMAND = re.compile(r": ((?:sed|iconv) .*)")


@pytest.mark.parametrize("export", EXPORTS)
def test_the_commands_in_the_messages_restore_the_file(tmp_path: Path, export: str) -> None:
    path = tmp_path / "my map.csv"
    path.write_bytes(EXPORTS[export])
    done: list[str] = []
    while True:
        try:
            GestureMap.read(path, NAMING)
            break
        except GestureMapError as error:
            command = COMMAND.search(str(error))
            if command is None:  # nothing but the row that this test spoilt
                assert "'# g\u00fcn'" in str(error)
                path.write_bytes(path.read_bytes().replace("# gün".encode(), b"0003_fake_gun"))
                continue
            assert command[1] not in done, "each remedy removes its fault"
            done.append(command[1])
            subprocess.run(command[1], shell=True, check=True)
    assert done
    assert path.read_text("utf-8").rstrip("\n") == SMALL.rstrip("\n")


@pytest.mark.parametrize(
    ("line_end", "expected"),
    [
        ("CR", "lines end in CR alone, as Excel on a Mac writes them (7 of them)"),
        ("CRCRLF", "lines end in CRLF, as Windows writes them (7 of them, this one first)"),
    ],
)
def test_line_ends_are_reported_by_their_name(
    faults_of: FaultsOf, line_end: str, expected: str
) -> None:
    assert expected in faults_of(by(line_end))[0]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_reported(faults_of: FaultsOf, encoding: str) -> None:
    (fault,) = faults_of(SMALL.replace("gun", "gün").encode(encoding))
    assert "is not in UTF-8 (byte" in fault
    assert ("UTF-16" if encoding == "utf-16" else "Windows-1252") in fault


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page (HTML)"),
        (b"\x1f\x8b" + bytes(range(256)), "is compressed by gzip"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(
    faults_of: FaultsOf, content: bytes, expected: str
) -> None:
    (fault,) = faults_of(content)
    assert expected in fault


def test_an_excel_workbook_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(GestureMapError, match=r"is a spreadsheet's own file .* save it as CSV"):
        GestureMap.read(path, NAMING)


@pytest.mark.parametrize("folder", ["0999_newgesture", "fist", "ROM03_LT_No_Occlusion"])
def test_a_dropped_row_needs_its_folder_alone(tmp_path: Path, folder: str) -> None:
    table = small(tmp_path, f"{SMALL}{small(tmp_path).drop_line(folder)}\n")
    (dropped,) = (row for row in table.rows if row.dropped)
    assert dropped.folder == folder
    assert len(table.labelled) == 6
    for level in LEVELS:
        assert table.class_ids(level, canonical=False) == small(tmp_path).class_ids(
            level, canonical=False
        )


def test_what_else_a_dropped_row_holds_does_not_matter(tmp_path: Path) -> None:
    small(tmp_path, f"{SMALL}0999_new,both,x,?,drop,,drop,0003_fake_gun\n")


def test_the_line_that_drops_a_folder_follows_the_files_columns(tmp_path: Path) -> None:
    rows = [",".join(reversed(line.split(","))) for line in SMALL.splitlines()]
    table = small(tmp_path, "\n".join(rows) + "\n")
    assert table.drop_line("new") == ",drop,,drop,,,,new"
    small(tmp_path, "\n".join([*rows, table.drop_line("new")]) + "\n")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(GestureMapError, match=r"nowhere.csv: not found; label.map in params"):
        GestureMap.read(tmp_path / "nowhere.csv")


def test_all_faults_are_reported_at_once_in_the_order_of_the_lines(faults_of: FaultsOf) -> None:
    text = SMALL.replace("0016_fist,right", "0016_fist,left", 1)
    text = text.replace("fist_rigid,1,fist,2", "fist_rigid,1,fist,x")
    text = "\ufeff" + (text + SMALL.splitlines()[1] + "\n").replace("\n", "\r\n")
    faults = faults_of(text)
    assert [fault.split(":")[0] for fault in faults] == ["1", "1", "3", "4", "8"]
