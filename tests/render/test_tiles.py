from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handpose.render.tiles import EMPTY, GAP_PX, PageError, Tile, draw_page

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
