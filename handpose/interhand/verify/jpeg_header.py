"""The header of a JPEG: size, channels, baseline or progressive."""

from __future__ import annotations

from typing import NamedTuple

START = b"\xff\xd8"
BASELINE = {0xC0, 0xC1}
PROGRESSIVE = {0xC2}
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
"""Markers that no length follows."""
SCAN = 0xDA
"""Marker of the start of the image data."""


class JpegHeader(NamedTuple):
    """A JPEG's frame header."""

    width: int
    height: int
    channels: int  # 1 is grey
    progressive: bool


def read_header(content: bytes) -> JpegHeader | None:
    """The header in a JPEG file's first bytes; None without a baseline or progressive one.

    Source: ITU-T T.81, B.1 and B.2.
    """
    if content[:2] != START:
        return None
    offset = 2
    while offset + 10 <= len(content) and content[offset] == 0xFF:
        marker = content[offset + 1]
        if marker == SCAN:
            return None
        if marker == 0xFF or marker in WITHOUT_LENGTH:  # a fill byte, or a marker by itself
            offset += 1 if marker == 0xFF else 2
            continue
        if marker in BASELINE | PROGRESSIVE:
            height = int.from_bytes(content[offset + 5 : offset + 7])
            width = int.from_bytes(content[offset + 7 : offset + 9])
            return JpegHeader(width, height, content[offset + 9], marker in PROGRESSIVE)
        offset += 2 + int.from_bytes(content[offset + 2 : offset + 4])
    return None
