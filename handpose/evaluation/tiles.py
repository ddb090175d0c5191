"""Pictures with lines of text below, on one page: to look at data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from handpose.errors import HandPoseError

GAP_PX = 12
LINE_PX = 15
FONT_PX = 12
PAGE = (255, 255, 255)
INK = (40, 40, 38)
FAINT = (120, 120, 116)
NOTHING = (238, 238, 235)
"""Ground of a tile where its picture is not."""


class PageError(HandPoseError):
    """A page cannot be written where it should be."""


class Tile(NamedTuple):
    """A picture, or none, and what is said of it."""

    picture: NDArray[np.uint8] | None  # (H, W, 3) RGB, fitted into its place
    heading: str
    lines: Sequence[str] = ()
    frame: tuple[int, int, int] | None = None  # colour of a frame around the picture


def require_png(out: Path) -> None:
    """Raises PageError for a name that no picture of ours can have."""
    if out.suffix.lower() != ".png":
        raise PageError(f"{out}: pictures are PNG files; expected a name that ends in .png")


def draw_page(
    tiles: Sequence[Tile], out: Path, *, size: tuple[int, int], columns: int, title: str = ""
) -> None:
    """Write the tiles into a PNG file, row by row; the folder of `out` is made.

    Args:
        tiles: at least one.
        out: the file.
        size: width and height of a picture's place, px.
        columns: tiles in a row, at most.
        title: a line above them all.

    Raises:
        PageError: `out` is no name of a PNG file, or cannot be written.
    """
    require_png(out)
    columns = min(columns, len(tiles))
    texts = [_text(tile, size[0]) for tile in tiles]
    height = size[1] + LINE_PX * max(map(len, texts)) + GAP_PX
    top = GAP_PX + (2 * LINE_PX if title else 0)
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * (size[0] + GAP_PX) + GAP_PX, top + rows * height), PAGE)
    draw = ImageDraw.Draw(page)
    draw.text((GAP_PX, GAP_PX), title, INK, _font(bold=True))
    for number, (tile, text) in enumerate(zip(tiles, texts, strict=True)):
        row, column = divmod(number, columns)
        x, y = GAP_PX + column * (size[0] + GAP_PX), top + row * height
        _put_picture(page, draw, tile, (x, y), size)
        for line, words in enumerate(text):
            place = (x, y + size[1] + 2 + line * LINE_PX)
            draw.text(place, words, FAINT if line else INK, _font(bold=not line))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        page.save(out, optimize=True)
    except OSError as error:
        raise PageError(
            f"{out}: cannot be written ({error.strerror or error}); name a file where you may "
            "write, on a disk with room"
        ) from None


def _put_picture(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    place: tuple[int, int],
    size: tuple[int, int],
) -> None:
    (x, y), (width, height) = place, size
    draw.rectangle((x, y, x + width - 1, y + height - 1), NOTHING)
    if tile.picture is None:
        draw.text((x + width / 2, y + height / 2), "no photo", FAINT, _font(), anchor="mm")
        return
    picture = ImageOps.contain(Image.fromarray(tile.picture), size, Image.Resampling.LANCZOS)
    left, top = x + (width - picture.width) // 2, y + (height - picture.height) // 2
    page.paste(picture, (left, top))
    if tile.frame:
        box = (left, top, left + picture.width - 1, top + picture.height - 1)
        draw.rectangle(box, outline=tile.frame, width=3)


def _text(tile: Tile, width: int) -> list[str]:
    """Heading and lines, broken where they are too long for the tile."""
    letters = int(width / (0.6 * FONT_PX))
    text = wrap(tile.heading, letters - 2) or [""]
    return [*text, *(part for line in tile.lines if line for part in wrap(line, letters))]


@cache
def _font(*, bold: bool = False) -> ImageFont.FreeTypeFont:
    weight = "bold" if bold else "normal"
    found = font_manager.findfont(font_manager.FontProperties("DejaVu Sans", weight=weight))
    return ImageFont.truetype(found, FONT_PX)
