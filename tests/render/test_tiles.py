from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from handpose.render.tiles import EMPTY, GAP_PX, PageError, Style, Tile, draw_page

RED = np.full((20, 40, 3), (200, 0, 0), np.uint8)


def page(path: Path, tiles: list[Tile], columns: int = 3) -> np.ndarray:
    draw_page(tiles, path, size=(80, 80), columns=columns)
    return np.asarray(Image.open(path))


def test_pictures_fit_their_boxes_with_their_aspect_ratio(tmp_path: Path) -> None:
    drawn = page(tmp_path / "new" / "p.png", [Tile(RED, "red")])
    found = np.argwhere((drawn == RED[0, 0]).all(-1))
    assert (np.ptp(found, 0) + 1).tolist() == [40, 80]
    assert drawn.shape[1] == 80 + 2 * GAP_PX


def test_tiles_stand_in_rows(tmp_path: Path) -> None:
    one, four, six = (page(tmp_path / f"{n}.png", [Tile(RED, "x")] * n).shape for n in (1, 4, 6))
    assert four == six
    assert four[1] - 2 * GAP_PX == 3 * 80 + 2 * GAP_PX
    assert four[0] > one[0]


def test_a_missing_photo_leaves_an_empty_box(tmp_path: Path) -> None:
    drawn = page(tmp_path / "p.png", [Tile(None, "nothing")])
    assert (drawn[GAP_PX : GAP_PX + 80, GAP_PX : GAP_PX + 80] == EMPTY).all(-1).mean() > 0.9


def test_long_lines_make_room_and_do_not_run_over(tmp_path: Path) -> None:
    short = page(tmp_path / "s.png", [Tile(RED, "a", ["b"])])
    long = page(tmp_path / "l.png", [Tile(RED, "a", ["word " * 12, "Capture0/" * 9])])
    assert long.shape[0] > short.shape[0] + 50
    assert (long[:, -GAP_PX // 2 :] == 255).all(), "the margin stays white"


def test_a_page_is_a_png_file(tmp_path: Path) -> None:
    for name in ("page.xyz", "page"):
        with pytest.raises(PageError, match=rf"{name}: pictures are PNG files; expected a name"):
            page(tmp_path / name, [Tile(RED, "red")])
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for out in (tmp_path / "file" / "p.png", tmp_path / "folder.png"):
        with pytest.raises(PageError, match=rf"{out}: cannot be written \("):
            page(out, [Tile(RED, "red")])


@pytest.mark.parametrize("centred", [False, True])
def test_headings_captions_titles_and_note_do_not_touch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, centred: bool
) -> None:
    boxes: list[tuple[float, float, float, float]] = []
    write = ImageDraw.ImageDraw.text

    def recorded(draw: ImageDraw.ImageDraw, xy: Any, text: str, *args: Any, **more: Any) -> None:
        if text:
            boxes.append(draw.textbbox(xy, text, args[1], anchor=more.get("anchor")))
        write(draw, xy, text, *args, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", recorded)
    titles = ["photo", "ground truth", "full model", "without pretraining", "from the side"]
    draw_page(
        [Tile(RED, "12.3 mm", ["and a caption of two lines, each of them wrapped"])] * 20,
        tmp_path / "sheet.png",
        size=(160, 160),
        columns=5,
        title="a title",
        column_titles=titles,
        row_headings=["gesture, left hand, subject 9"] * 4,
        note="a note about the numbers",
        style=Style(centred=centred),
    )
    page = Image.open(tmp_path / "sheet.png")
    assert len(boxes) == 1 + 5 + 4 + 20 * 4 + 1
    assert all(x0 >= 0 and y0 >= 0 for x0, y0, _, _ in boxes)
    assert all(x1 <= page.width and y1 <= page.height for _, _, x1, y1 in boxes)
    red = (np.asarray(page) == RED[0, 0]).all(-1)
    assert not any(red[int(y0) : int(y1), int(x0) : int(x1)].any() for x0, y0, x1, y1 in boxes)
    for (a0, b0, a1, b1), (c0, d0, c1, d1) in combinations(boxes, 2):
        assert min(a1, c1) <= max(a0, c0) or min(b1, d1) <= max(b0, d0)
