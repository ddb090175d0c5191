"""What a JPEG says of itself before its picture begins: size, channels, baseline or progressive."""

from __future__ import annotations

from typing import NamedTuple

START = b"\xff\xd8"
BASELINE = {0xC0, 0xC1}
PROGRESSIVE = {0xC2}
ALONE = {0x01, *range(0xD0, 0xDA)}
"""Markers without a length."""
SCAN = 0xDA
"""The picture's data begin."""


class JpegHeader(NamedTuple):
    """A JPEG's frame header."""

    width: int
    height: int
    channels: int  # 1 is grey
    progressive: bool


def read_header(content: bytes) -> JpegHeader | None:
    """The header of a JPEG file's first bytes; None when they hold none that is usual.

    Source: ITU-T T.81, B.1 and B.2.
    """
    if content[:2] != START:
        return None
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == SCAN:
            return None
        if marker == 0xFF or marker in ALONE:  # a fill byte, or a marker by itself
            place += 1 if marker == 0xFF else 2
            continue
        if marker in BASELINE | PROGRESSIVE:
            height = int.from_bytes(content[place + 5 : place + 7])
            width = int.from_bytes(content[place + 7 : place + 9])
            return JpegHeader(width, height, content[place + 9], marker in PROGRESSIVE)
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return None
