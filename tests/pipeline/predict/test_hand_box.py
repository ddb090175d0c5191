"""Boxes: tables, and the refinement by a model's own joints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.detection.palm_detector import PalmDetector, letterbox
from handpose.estimator_input import EstimatorError, checked_box
from pipeline.predict.hand_box import (
    DOUBLE,
    SETTLED,
    SHRINKS,
    BoxError,
    box_around,
    box_of,
    change,
    from_palms,
    lost,
    parse_numbers,
    read_boxes,
    refine,
)
from pipeline.predict.sources import Failed, SourceList
from tests.detection.made_up_palms import proposals
from tests.pipeline.predict.conftest import a_hand

IMAGE = np.zeros((200, 300, 3), np.uint8)
UV = np.random.default_rng(0).uniform((60, 40), (160, 150), (21, 2))


def test_refinement_converges_to_the_joints(made_up: Callable[..., Any]) -> None:
    """By an estimator that errs by a share of its box's distance from the hand."""
    (found,) = refine(made_up(UV, error=0.3), [IMAGE])
    assert found.hand is not None and found.origin == "refined"
    left = SETTLED / (1 - 0.3)  # of the way, after a step that is smaller than SETTLED
    assert change(found.box, box_around(UV)) < left
    px = 0.3 * left * max(found.box[2:])
    np.testing.assert_allclose(found.hand.joints_px, UV, atol=px)
    exact, _ = refine(made_up(UV, error=0.0), [IMAGE, IMAGE])
    assert change(exact.box, box_around(UV)) == pytest.approx(0)


def test_the_hand_is_that_of_the_box_which_is_reported(made_up: Callable[..., Any]) -> None:
    batch = made_up(UV)
    (found,) = refine(batch, [IMAGE])
    (again,) = batch([IMAGE], [found.box])
    assert found.hand is not None
    np.testing.assert_array_equal(found.hand.joints_px, again.joints_px)


def test_photos_at_once_are_photos_one_by_one(made_up: Callable[..., Any]) -> None:
    images = [IMAGE, IMAGE[:180], IMAGE[:, :250]]
    together = refine(made_up(UV), images)
    assert [found.box for found in together] == [
        refine(made_up(UV), [image])[0].box for image in images
    ]


@pytest.mark.parametrize(
    ("uv", "words"),
    [
        (np.full((21, 2), 90.0), "collapsed"),
        (UV + np.array([400, 0]), "left the photo"),
        (np.full((21, 2), np.nan), "collapsed"),
    ],
)
def test_a_box_without_a_hand_is_said(uv: Any, words: str, made_up: Callable[..., Any]) -> None:
    (found,) = refine(made_up(uv, error=0.0), [IMAGE])
    assert found.hand is None and words in found.why


def test_a_box_that_no_network_takes_is_lost() -> None:
    """One that the joints of a weak model give is no error, which would stop the other photos."""
    tiny = IMAGE[:8, :8]
    for box in ((4, 4, 0.5, 0.5), (-400, -400, 801, 801)):
        why = lost(box, tiny)
        assert "collapsed" in why or "outgrew the photo" in why
        with pytest.raises(EstimatorError):
            checked_box(box, 8, 8)


def test_a_box_that_never_stays_is_said(made_up: Callable[..., Any]) -> None:
    first, second = made_up(UV), made_up(UV + np.array([90, 0]))

    def batch(photos: Any, boxes: Any) -> Any:
        return [
            (first if box is None or box[0] > 80 else second)([photo], [box])[0]
            for photo, box in zip(photos, boxes, strict=True)
        ]

    (found,) = refine(batch, [IMAGE])
    assert found.hand is None and "still moves" in found.why


def test_the_box_of_joints_covers_them() -> None:
    """Pixel centres at whole numbers, boxes from the photo's corner."""
    x, y, w, h = box_around(np.array([[0.0, 1], [9, 4]]))
    assert (w * SHRINKS, h * SHRINKS) == pytest.approx((9, 3))
    assert (x + w / 2, y + h / 2) == pytest.approx((5, 3)), "the middle of the pixels"


def test_a_table_of_boxes(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("file,x,y,w,h\na.jpg,1,2,3,4\nsub/b.jpg,5,6,7.5,8\n", "utf-8")
    boxes = read_boxes(table).boxes
    assert box_of(boxes, Path("anywhere/a.jpg")) == (1, 2, 3, 4)
    assert box_of(boxes, Path("sub/b.jpg")) == (5, 6, 7.5, 8)
    assert box_of(boxes, Path("other/b.jpg")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,x\na,1\n", "has the columns name,x, expected file,x,y,w,h"),
        ("", "has the columns , expected"),
        ("file,x,y,w,h\na,1,2,three,4\n", "boxes.csv:2: expected four numbers"),
        ("file,x,y,w,h\na,1,2\n", "boxes.csv:2: expected four numbers"),
        ("file,x,y,w,h\na,1,2,3,4\na,1,2,3,4\n", "boxes.csv:3: a has a box above"),
        ("file,x,y,w,h\na,1,2,3,4\n./a ,1,2,3,4\n", "boxes.csv:3: a has a box above"),
        ("file,x,y,w,h\na,1,2,3,4,5\n", "boxes.csv:2: has 6 cells, expected 5, file,x,y,w,h"),
        ("file,x,y,w,h\na,b.png,1,2,3,4\n", "a name with a comma takes quotes"),
        ("file,x,y,w,h\n ,1,2,3,4\n", "boxes.csv:2: names no file, expected file,x,y,w,h"),
        ("x,y,w,h,file\n1,2,3,4\n", "boxes.csv:2: names no file, expected file,x,y,w,h"),
        ("file,x,y,w,h\n", "boxes.csv: holds no box, expected a row file,x,y,w,h for each"),
        (
            'file,x,y,w,h\na,1,2,3,4\n"b,1,2,3,4\n' + "c,1,2,3,4\n" * 20_000,
            "boxes.csv:3: cannot be read (field larger than field limit",
        ),
    ],
)
def test_a_table_that_holds_no_boxes_is_refused(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(text, "utf-8")
    with pytest.raises(BoxError) as caught:
        read_boxes(table)
    assert words in str(caught.value)


def test_a_file_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("h,file,x,y,w,\n4, ./sub//a.jpg ,1,2,3,\n8,camera:0,5,6,7\n", "utf-8")
    boxes = read_boxes(table).boxes
    assert box_of(boxes, Path("sub/a.jpg")) == (1, 2, 3, 4)
    assert box_of(boxes, Path("camera-0")) == (5, 6, 7, 8)


def test_rows_for_no_photo_are_named_and_refused_where_a_photo_has_none(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    names = ["a.png", "./v.mp4", "camera:1", "sub/gone.jpg", "1", "2", "3", "4"]
    table.write_text("file,x,y,w,h\n" + "".join(f"{n},1,2,3,4\n" for n in names), "utf-8")
    failed = [Failed("sub/gone.jpg", "no such file or folder"), Failed("left", "is out")]
    found = SourceList([Path("x/a.png")], [Path("v.mp4")], [1], failed)
    remark = (
        f"{table}: 4 of 8 rows are for no photo that is looked at: 1 (line 6), 2 (line 7), 3 (line "
        "8) and 1 more"
    )
    assert read_boxes(table).remark(found) == remark
    found.photos.append(Path("b.png"))
    with pytest.raises(BoxError) as caught:
        read_boxes(table).remark(found)
    assert str(caught.value) == (
        f"{remark}; and b.png has no row; expected each photo's path as given to the command, or "
        "its last part; sub/gone.jpg: no such file or folder; left: is out"
    )
    table.write_text("file,x,y,w,h\n" + "".join(f"{n},1,2,3,4\n" for n in names[:4]), "utf-8")
    assert read_boxes(table).remark(found) == "", "b.png is looked for"


def test_a_second_row_of_a_photo_is_named(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("file,x,y,w,h\na.png,1,2,3,4\nx/a.png,5,6,7,8\n", "utf-8")
    remark = read_boxes(table).remark(SourceList([Path("x/a.png")], [], [], []))
    assert "1 of 2 rows is for no photo that is looked at: a.png (line 2)" in remark


def test_other_files_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="cannot be read"):
        read_boxes(tmp_path / "missing.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(BoxError, match="no text in UTF-8"):
        read_boxes(tmp_path / "bytes.csv")


def test_numbers_of_an_option() -> None:
    assert parse_numbers("1,2.5,3,4", "--bbox", "x,y,w,h") == (1, 2.5, 3, 4)
    for text in ("1,2,3", "1,2,3,4,5", "a,b,c,d", ""):
        with pytest.raises(BoxError, match=f"--bbox {text}: expected four numbers, x,y,w,h"):
            parse_numbers(text, "--bbox", "x,y,w,h")


def detector(*palms: tuple[float, float, float, float]) -> PalmDetector:
    """Sees these palms (left, top, right, bottom px of IMAGE), the first the surest."""
    A = letterbox(IMAGE.shape[1], IMAGE.shape[0])
    corners = np.array(palms).reshape(-1, 2) @ A[:2, :2] + A[:2, 2] + 0.5
    said = proposals(corners.reshape(-1, 4), [3.0 - 0.5 * k for k in range(len(palms))])
    return PalmDetector(lambda _: said)


def two_hands(photos: Any, boxes: Any) -> Any:
    """By an estimator that finds the hand in each box where it is, in its middle."""
    return [
        a_hand((UV - UV.mean(0)) / 2 + [box[0] + box[2] / 2, box[1] + box[3] / 2]) for box in boxes
    ]


def test_every_palm_gives_a_hand_the_surest_first() -> None:
    sees = detector((200, 100, 240, 140), (40, 90, 80, 130))
    (found,) = from_palms(sees, two_hands, [IMAGE])
    assert [one.origin for one in found] == ["palm", "palm"]
    centres = [one.box[0] + one.box[2] / 2 for one in found]
    assert centres == pytest.approx([220, 60], abs=10)
    for one in found:
        (again,) = two_hands([IMAGE], [one.box])
        assert one.hand is not None
        np.testing.assert_array_equal(one.hand.joints_px, again.joints_px)


def test_the_second_look_is_at_the_joints(made_up: Callable[..., Any]) -> None:
    ((found,),) = from_palms(detector((80, 60, 130, 110)), made_up(UV, error=0.0), [IMAGE])
    assert found.box == box_around(UV)


def test_two_palms_of_one_hand_are_one_hand(made_up: Callable[..., Any]) -> None:
    sees = detector((80, 60, 120, 100), (125, 60, 165, 100))
    assert len(sees.palms(IMAGE)) == 2
    (found,) = from_palms(sees, made_up(UV, error=0.0), [IMAGE])
    assert len(found) == 1


def test_hands_over_each_other_are_two() -> None:
    """Their boxes overlap by more than half, their joints are apart."""
    sees = detector((80, 60, 120, 100), (125, 60, 165, 100))
    mirrored = UV * [-1, 1] + [2 * UV[:, 0].mean(), 0]

    def batch(photos: Any, boxes: Any) -> Any:
        return [a_hand(UV if box[0] < 80 else mirrored) for box in boxes]

    first, second = (palm.hand_box for palm in sees.palms(IMAGE))
    assert first[0] < 80 < second[0]
    apart = np.linalg.norm(UV - mirrored, axis=1).mean()
    assert apart > DOUBLE * max(box_around(UV)[2:])
    (found,) = from_palms(sees, lambda p, b: batch(p, [first, second]), [IMAGE])
    assert [one.hand is not None for one in found] == [True, True]


def test_a_palm_whose_joints_are_lost_has_no_hand(made_up: Callable[..., Any]) -> None:
    sees = detector((80, 60, 130, 110))
    ((found,),) = from_palms(sees, made_up(np.full((21, 2), 90.0), error=0.0), [IMAGE])
    assert found.hand is None and "collapsed" in found.why
    assert found.box == sees.palms(IMAGE)[0].hand_box


def test_photos_without_a_palm_are_said(made_up: Callable[..., Any]) -> None:
    found = from_palms(detector(), made_up(UV), [IMAGE, IMAGE])
    assert [[one.hand for one in own] for own in found] == [[None], [None]]
    assert found[0][0].why.endswith("the palm detector sees no palm")
