"""The page composer: captioned pictures in a grid, written as one PNG file."""

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

Colour = tuple[int, int, int]

GAP_PX = 12
LINE_PX = 16
FONT_PX = 12.0
PAGE: Colour = (255, 255, 255)
INK: Colour = (40, 40, 38)
FAINT: Colour = (120, 120, 116)
EMPTY: Colour = (238, 238, 235)
"""Background of a tile, visible where its picture does not fill it."""


class PageError(HandPoseError):
    """A page cannot be written to the given path."""


class Tile(NamedTuple):
    """A picture, or none, and its caption."""

    picture: NDArray[np.uint8] | None  # (H, W, 3) RGB, scaled to fit
    heading: str = ""
    lines: Sequence[str] = ()
    frame: Colour | None = None  # colour of a frame around the picture


class Style(NamedTuple):
    """Spacing and type of a page."""

    gap_px: int = GAP_PX  # between columns, and the page's margin
    row_gap_px: int = GAP_PX
    line_px: int = LINE_PX
    font_px: float = FONT_PX
    ink: Colour = INK  # of headings; other lines are FAINT
    bold: bool = True  # headings of tiles
    centred: bool = False  # captions


LEFT_ALIGNED = Style()


def require_png(out: Path) -> None:
    """Raise PageError unless the path is one of a PNG file."""
    if out.suffix.lower() != ".png":
        raise PageError(f"{out}: pictures are PNG files; expected a name that ends in .png")


def draw_page(
    tiles: Sequence[Tile],
    out: Path,
    *,
    size: tuple[int, int],
    columns: int,
    title: str = "",
    column_titles: Sequence[str] = (),
    row_headings: Sequence[str] = (),
    note: str = "",
    style: Style = LEFT_ALIGNED,
) -> None:
    """Write tiles to a PNG file, row by row; the parent folder is created.

    Args:
        tiles: at least one.
        out: the file.
        size: width and height of a tile's picture, px.
        columns: maximum tiles per row.
        title: line at the top of the page.
        column_titles: one per column, above the first row.
        row_headings: one per row, above its pictures.
        note: small print at the bottom.
        style: spacing and type.

    Raises:
        PageError: `out` is not the name of a PNG file, or cannot be written.
    """
    require_png(out)
    columns = min(columns, len(tiles))
    texts = [_text(tile, size[0], style) for tile in tiles]
    step = style.line_px
    heading_px = step + 4 if row_headings else 0
    row_px = heading_px + size[1] + step * max(map(len, texts)) + style.row_gap_px
    top = style.gap_px + (2 * step if title else 0) + (step if column_titles else 0)
    count = -(-len(tiles) // columns)
    width = columns * (size[0] + style.gap_px) + style.gap_px
    bottom = 2 * step if note else 0
    page = Image.new("RGB", (width, top + count * row_px + bottom), PAGE)
    draw = ImageDraw.Draw(page)
    bold, regular = (_font(style.font_px, weight) for weight in ("bold", "normal"))
    draw.text((style.gap_px, style.gap_px), title, INK, bold)
    for column, text in enumerate(column_titles):
        middle = style.gap_px + column * (size[0] + style.gap_px) + size[0] / 2
        draw.text((middle, top - step / 2), text, INK, regular, anchor="mm")
    for row, text in enumerate(row_headings):
        y = top + row * row_px + heading_px / 2
        draw.text((style.gap_px, y), text, INK, bold, anchor="lm")
    for number, (tile, lines) in enumerate(zip(tiles, texts, strict=True)):
        row, column = divmod(number, columns)
        x = style.gap_px + column * (size[0] + style.gap_px)
        y = top + row * row_px + heading_px
        _paste_picture(page, draw, tile, (x, y), size)
        for k, (line, is_heading) in enumerate(lines):
            at = (x + size[0] / 2 if style.centred else x, y + size[1] + (k + 0.5) * step)
            font = bold if is_heading and style.bold else regular
            colour = style.ink if is_heading else FAINT
            draw.text(at, line, colour, font, anchor="mm" if style.centred else "lm")
    draw.text((width / 2, page.height - step), note, FAINT, regular, anchor="mm")
    _save(page, out)


def _paste_picture(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Paste the picture into its box, scaled to fit with its aspect ratio kept."""
    (x, y), (width, height) = corner, size
    draw.rectangle((x, y, x + width - 1, y + height - 1), EMPTY)
    if tile.picture is None:
        font = _font(FONT_PX, "normal")
        draw.text((x + width / 2, y + height / 2), "no photo", FAINT, font, anchor="mm")
        return
    picture = ImageOps.contain(Image.fromarray(tile.picture), size, Image.Resampling.LANCZOS)
    left, top = x + (width - picture.width) // 2, y + (height - picture.height) // 2
    page.paste(picture, (left, top))
    if tile.frame:
        box = (left, top, left + picture.width - 1, top + picture.height - 1)
        draw.rectangle(box, outline=tile.frame, width=3)


def _text(tile: Tile, width: int, style: Style) -> list[tuple[str, bool]]:
    """The wrapped lines of a caption, each with whether it belongs to the heading."""
    letters = int(width / (0.6 * style.font_px))
    heading = wrap(tile.heading, letters - 2)
    lines = [part for line in tile.lines if line for part in wrap(line, letters)]
    return [*((part, True) for part in heading), *((part, False) for part in lines)]


def _save(page: Image.Image, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        page.save(out, "PNG", optimize=True)
    except OSError as error:
        raise PageError(
            f"{out}: cannot be written ({error.strerror or error}); name a file where you may "
            "write, on a disk with room"
        ) from None


@cache
def _font(size_px: float, weight: str) -> ImageFont.FreeTypeFont:
    found = font_manager.findfont(font_manager.FontProperties("DejaVu Sans", weight=weight))
    return ImageFont.truetype(found, size_px)
