"""The map of HaGRID's gestures: the project's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from handpose.gesture_map import GestureMap
from handpose.hagrid.hagrid_hands import FACING
from handpose.hagrid.hagrid_map import (
    GESTURES,
    TWO_HANDED,
    HagridMapError,
    HagridRow,
    new_classes,
    read_hagrid_map,
    with_hagrid,
)

LABELS = Path(__file__).parents[2] / "labels"
OWN = LABELS / "hagrid_map.csv"


@pytest.fixture(scope="module")
def table() -> GestureMap:
    return GestureMap.read(LABELS / "gesture_map.csv")


def test_the_project_s_map_has_every_gesture_and_drops_those_of_two_hands() -> None:
    rows = read_hagrid_map(OWN)
    assert set(rows) == set(GESTURES) and len(GESTURES) == 33 + 1
    assert {name for name, row in rows.items() if row.dropped} == {*TWO_HANDED, "no_gesture"}
    used = {name for name, row in rows.items() if not row.dropped}
    assert set(FACING) < used


@pytest.mark.parametrize("canonical", [False, True])
def test_classes_of_the_gesture_map_keep_their_ids_and_new_ones_come_after(
    table: GestureMap, canonical: bool
) -> None:
    rows = list(read_hagrid_map(OWN).values())
    both = with_hagrid(table, rows)
    assert both.rows[: len(table.rows)] == table.rows
    for level in ("coarse", "fine"):
        before = table.class_ids(level, canonical=canonical)
        after = both.class_ids(level, canonical=canonical)
        assert {key: after[key] for key in before} == before
        added = {key: number for key, number in after.items() if key not in before}
        names = {name for _, name in added}
        assert names == {r.name(level) for r in rows if not r.dropped} - {n for _, n in before}
        assert min(added.values()) == len(set(before.values()))
        assert len(set(added.values())) == len(names) * (1 if canonical else 2)
    by_folder = {row.folder: row for row in both.rows}
    like = by_folder["hagrid_left_like"]
    assert (like.hand, like.coarse, like.twin) == ("left", "thumb_up", "hagrid_right_like")
    assert by_folder[like.twin].twin == like.folder
    assert new_classes(table, rows) == sorted(
        {"thumb_down", "grabbing", "grip", "little_finger", "three_with_thumb", "three_outer"}
        | {"two_finger_gun", "two_together"}
    )


def written(tmp_path: Path, **lines: str) -> Path:
    """The project's map with other lines for these gestures; '' deletes one."""
    text = []
    for line in OWN.read_text("utf-8").splitlines():
        changed = lines.get(line.partition(",")[0], line)
        text += [changed] if changed else []
    path = tmp_path / "map.csv"
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fist,fist,drop", "map.csv:4: coarse and fine must both be drop"),
        ("fist,fist,", "map.csv:4: coarse or fine is empty; to leave fist out write drop"),
        ("fist,fist", "map.csv:4: has 2 cells, the header has 3"),
        ("fists,fist,fist", "map.csv:4: gesture 'fists' is none of HaGRIDv2's"),
        ("call,fist,fist", "map.csv:4: gesture call has a row above"),
        ("", "map.csv:1: has no row of fist"),
    ],
)
def test_a_faulty_map_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(HagridMapError) as caught:
        read_hagrid_map(written(tmp_path, fist=line))
    assert message in str(caught.value)


def test_two_hands_a_wrong_header_and_no_file_are_refused(
    tmp_path: Path, table: GestureMap
) -> None:
    with pytest.raises(HagridMapError, match="holy is no gesture of one hand"):
        read_hagrid_map(written(tmp_path, holy="holy,holy,holy"))
    with pytest.raises(HagridMapError, match="expected the header gesture,coarse,fine"):
        read_hagrid_map(written(tmp_path, gesture="name,coarse,fine"))
    with pytest.raises(HagridMapError, match=r"label\.hagrid_map in params\.yaml names the map"):
        read_hagrid_map(tmp_path / "none.csv")
    with pytest.raises(HagridMapError, match="but 'fist' lies in 'fist'; a fine class has one"):
        with_hagrid(table, [HagridRow("grip", "grip", "fist")])
