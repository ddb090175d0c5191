"""Edits of the gesture map: both hands together, reversible to the byte, refused by message."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from handpose.gesture_map import GestureMap, GestureMapError
from handpose.gesture_row import LEVELS
from handpose.interhand.folders import NAMING
from pipeline.labels.edit import GestureMapFile, LabelEditError

Edit = Callable[[GestureMapFile], GestureMapFile]

FIST, GUN = "0016_fist", "0003_fake_gun"


def consistent(edited: GestureMapFile, tmp_path: Path) -> None:
    """The text passes the map's own validation, and both hands have the same classes."""
    path = tmp_path / "edited.csv"
    path.write_text(edited.text, encoding="utf-8")
    table = GestureMap.read(path, NAMING)
    assert table.rows == edited.table.rows
    rows = {row.folder: row for row in table.rows}
    parent: dict[int, int] = {}
    for row in table.labelled:
        assert (rows[row.twin].coarse, rows[row.twin].fine) == (row.coarse, row.fine)
        assert parent.setdefault(row.fine_id, row.coarse_id) == row.coarse_id
    for level in LEVELS:
        ids = table.class_ids(level, canonical=False)
        assert sorted(ids.values()) == list(range(len(ids)))


# --- round trips ---------------------------------------------------------------------------------

ROUND_TRIPS: dict[str, tuple[Edit, Edit]] = {
    "set": (lambda m: m.set("0116_fist", "claw_plain"), lambda m: m.set(FIST, "fist")),
    "fine classes of one coarse class": (
        lambda m: m.merge("claw_plain", "claw_dinosaur"),
        lambda m: m.split("claw_dinosaur", ["0051_dinosaur"]),
    ),
    "fine classes of two coarse classes": (
        lambda m: m.merge("fake_gun", "cup"),
        lambda m: m.split("cup", ["0144_cup"], "cup"),
    ),
    "a class into one that has several": (
        lambda m: m.merge("ok_sign_plain", "rocker_backside"),
        lambda m: m.split("rocker_backside", ["0015_rocker_backside"], "rocker"),
    ),
    "drop": (lambda m: m.set(FIST, "drop"), lambda m: m.set("0116_fist", "fist")),
    "the lowest ids": (
        lambda m: m.merge("cup", "open_hand_relaxed"),
        lambda m: m.split("open_hand_relaxed", ["0000_neutral_relaxed"], "open_hand"),
    ),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_an_edit_and_its_opposite_give_the_same_bytes(
    name: str, curated: GestureMapFile, tmp_path: Path
) -> None:
    there, back = ROUND_TRIPS[name]
    edited = there(curated)
    assert edited.text != curated.text
    consistent(edited, tmp_path)
    assert back(edited).text == curated.text


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_rows_of_both_hands_change_and_no_others(name: str, curated: GestureMapFile) -> None:
    before, after = (one.text.split("\n") for one in (curated, ROUND_TRIPS[name][0](curated)))
    pairs = zip(before, after, strict=True)
    moved = {old.split(",")[0] for old, new in pairs if old != new}
    assert len(moved) == 2
    assert {curated.rows[folder].twin for folder in moved} == moved


def test_random_edits_leave_a_map_without_faults(curated: GestureMapFile, tmp_path: Path) -> None:
    rng = random.Random(0)
    edited, done = curated, 0
    for step in range(60):
        rows = edited.table.labelled
        row, other = rng.sample(rows, 2)
        level = rng.choice(LEVELS)
        edits = [
            partial(edited.set, row.folder, other.fine),
            partial(edited.merge, row.name(level), other.name(level), level),
            partial(edited.split, f"new_{step}", [row.folder]),
            partial(edited.split, f"new_{step}", [row.folder], f"own_{step}"),
            partial(edited.set, row.folder, "drop"),
        ]
        try:
            edited = rng.choices(edits, (5, 1, 4, 3, 1))[0]()
        except LabelEditError as error:
            assert "one" in str(error) or "lie in" in str(error)
            continue
        consistent(edited, tmp_path)
        done += 1
    assert done > 40


def test_columns_quotes_and_blanks_stay_as_they_are(tmp_path: Path) -> None:
    rows = [
        "fine,twin,folder,hand,fine_id,coarse_id,coarse,gesture",
        'cup,0144_cup, 0044_cup ,right,"7", 7,"cup",cup',
        "",
        "gun,0103_gun,0003_gun,right,8,8,gun,gun",
        "gun,0003_gun,0103_gun,left,2,2,gun,gun",
        "cup,0044_cup,0144_cup,left,1,1,cup,cup",
        "drop,,0999_x,,,,drop,",
    ]
    path = tmp_path / "map.csv"
    path.write_text("\n".join(rows), encoding="utf-8")  # no line feed at the end
    file = GestureMapFile.read(path, NAMING)
    edited = file.set("0144_cup", "gun").text.split("\n")
    assert edited[1] == 'gun,0144_cup, 0044_cup ,right,"8", 8,"gun",cup'
    assert edited[5] == "gun,0044_cup,0144_cup,left,2,2,gun,cup"
    assert [edited[k] for k in (0, 2, 3, 4, 6)] == [rows[k] for k in (0, 2, 3, 4, 6)]


def test_new_classes_take_free_ids_of_their_own(curated: GestureMapFile) -> None:
    edited = curated.split("fist_hard", ["0017_fist_rigid"])
    rows = edited.rows
    assert (rows["0017_fist_rigid"].fine_id, rows["0117_fist_rigid"].fine_id) == (70, 71)
    assert rows["0017_fist_rigid"].coarse_id == curated.rows["0017_fist_rigid"].coarse_id
    own = edited.split("hard", ["0017_fist_rigid"], "hard").rows["0117_fist_rigid"]
    assert (own.coarse, own.coarse_id, own.fine) == ("hard", 55, "hard")


def test_a_fine_id_of_the_own_hand_names_its_class(curated: GestureMapFile) -> None:
    assert curated.set(FIST, "10").text == curated.set(FIST, "claw_dinosaur").text
    assert curated.set("0116_fist", "45").text == curated.set(FIST, "claw_dinosaur").text
    assert curated.set("0006_thumbup_relaxed", "index_point").rows["0106_thumbup_relaxed"].fine == (
        "index_point"
    )


def test_a_coarse_merge_leaves_the_fine_classes(curated: GestureMapFile, tmp_path: Path) -> None:
    edited = curated.merge("open_hand", "ok_sign", "coarse")
    consistent(edited, tmp_path)
    moved = [row for row in edited.table.rows if curated.rows[row.folder].coarse == "ok_sign"]
    assert {row.coarse for row in moved} == {"open_hand"}
    assert all(row.fine == curated.rows[row.folder].fine for row in moved)
    assert all(row.fine_id == curated.rows[row.folder].fine_id for row in moved)


# --- refusals ------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Edit, str]] = {
    "folder": (lambda m: m.set("0016_fst", "cup"), "has no folder 0016_fst; did you mean 0016_"),
    "folder like none": (lambda m: m.set("x", "cup"), "its first column lists the folders"),
    "class": (lambda m: m.set(FIST, "cupp"), "has no fine class cupp; did you mean cup?"),
    "class like none": (
        lambda m: m.set(FIST, "zzz"),
        f"`handpose labels split zzz {FIST}` makes a new class",
    ),
    "other hand": (
        lambda m: m.set(FIST, "45"),
        f"fine_id 45 is claw_dinosaur of the left hand, but {FIST} shows a right hand, whose "
        "claw_dinosaur is fine_id 10",
    ),
    "several": (lambda m: m.set(FIST, "claw"), "claw is a coarse class of 2 fine ones; name one"),
    "merge of one": (lambda m: m.merge("cup", "cup"), "are one fine class already"),
    "merge fine with coarse": (
        lambda m: m.merge("claw", "cup"),
        "claw is a coarse class; its fine ones are claw_dinosaur, claw_plain. Name one of",
    ),
    "merge coarse with fine": (
        lambda m: m.merge("claw_plain", "cup", "coarse"),
        "claw_plain is a fine class, of the coarse class claw; with --coarse name coarse",
    ),
    "merge unknown": (lambda m: m.merge("cup", "zzz"), "has no fine class zzz;"),
    "taken": (lambda m: m.split("cup", [FIST]), "there is a fine class cup already"),
    "coarse name": (lambda m: m.split("claw", [FIST]), "claw is a coarse class, and the new"),
    "two parents": (
        lambda m: m.split("new", [FIST, "0044_cup"]),
        "of several coarse classes (cup, fist); name the one of the new class with --coarse",
    ),
    "comma": (lambda m: m.split("a,b", [FIST]), "'a,b' cannot be the name of a class"),
    "drop": (lambda m: m.split("drop", [FIST]), "'drop' cannot be the name of a class"),
    "number": (lambda m: m.split("7", [FIST]), "'7' cannot be the name of a class"),
    "coarse comma": (lambda m: m.split("new", [FIST], "a b"), "'a b' cannot be the name"),
    "dropped": (lambda m: m.set(FIST, "drop").split("new", [FIST]), f"{FIST} is left out: give"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str, curated: GestureMapFile) -> None:
    edit, message = REFUSED[name]
    with pytest.raises(LabelEditError, match=re.escape(message)):
        edit(curated)


def test_a_folder_whose_row_has_nothing_but_its_name_cannot_come_back(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    text = "folder,hand,gesture,coarse_id,coarse,fine_id,fine,twin\n"
    text += "0003_gun,right,gun,0,gun,0,gun,0103_gun\n0103_gun,left,gun,1,gun,1,gun,0003_gun\n"
    path.write_text(text + "0009_x,,,,drop,,drop,\n", encoding="utf-8")
    with pytest.raises(LabelEditError, match="4: 0009_x is left out, and its row has no hand, ges"):
        GestureMapFile.read(path, NAMING).set("0009_x", "gun")


def test_a_fault_that_an_edit_would_make_is_reported_and_nothing_changes(tmp_path: Path) -> None:
    """The last folder of a class goes on one hand, and its twin was dropped before."""
    path = tmp_path / "map.csv"
    lines = [
        "folder,hand,gesture,coarse_id,coarse,fine_id,fine,twin",
        *("0003_a,right,a,0,a,0,a,0103_a", "0103_a,left,a,,drop,,drop,0003_a"),
        *("0004_b,right,b,0,a,0,a,0104_b", "0104_b,left,b,1,a,1,a,0004_b"),
        *("0005_c,right,c,2,c,2,c,0105_c", "0105_c,left,c,3,c,3,c,0005_c"),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file = GestureMapFile.read(path, NAMING)
    assert file.set("0003_a", "c").rows["0103_a"].dropped, "its twin stays out"
    with pytest.raises(LabelEditError, match=f"nothing was changed, since with this edit {path} "):
        file.set("0004_b", "c")
    assert path.read_text("utf-8") == "\n".join(lines) + "\n"
    assert [one.name for one in tmp_path.iterdir()] == ["map.csv"]


def test_a_map_with_faults_is_not_edited(tmp_path: Path, curated: GestureMapFile) -> None:
    path = tmp_path / "map.csv"
    path.write_text(curated.text.replace("0116_fist,left", "0116_fist,right"), encoding="utf-8")
    with pytest.raises(GestureMapError, match="hand is right, but folder 0116 shows a left"):
        GestureMapFile.read(path, NAMING)


def test_a_file_that_changed_meanwhile_is_left_as_it_is(
    tmp_path: Path, curated: GestureMapFile
) -> None:
    path = tmp_path / "map.csv"
    path.write_text(curated.text, encoding="utf-8")
    path.chmod(0o640)
    before = GestureMapFile.read(path, NAMING)
    after = before.set(FIST, "cup")
    after.replace(before)
    assert path.read_text("utf-8") == after.text
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(LabelEditError, match="changed while this edit was made"):
        before.set(GUN, "cup").replace(before)
    assert path.read_text("utf-8") == after.text
