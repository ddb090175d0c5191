"""JSON files of hundreds of megabytes, cut between their records so that pyarrow can read them.

Two layouts, those of InterHand2.6M: an object of lists of flat records (`data`), and an object of
captures of frames (`joint_3d`, `MANO_NeuralAnnot`). The cuts are made by looking for brackets, not
by parsing. A bracket inside a text may thus be taken for a cut; then neither side is JSON, which is
seen when it is parsed, so a wrong cut costs time and never changes a value. Whoever meets a
`NotCut` reads the whole file with `json`, which also knows the line of a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.json as pj

WINDOW = 8 << 20
"""Bytes read at a time: large enough for pyarrow's threads, small enough to be no memory."""

LIST = re.compile(rb'\s*[{,]\s*"(\w+)"\s*:\s*\[\s*(?=\{)')
BETWEEN = re.compile(rb"\}\s*,\s*\{")
LIST_ENDS = re.compile(rb"\}\s*\]")
ALL_ENDS = re.compile(rb"\s*\}\s*\Z")

OBJECT = re.compile(rb"\s*\{")
CAPTURE = re.compile(rb'\s*"(\d+)"\s*:\s*\{')
FRAME = re.compile(rb'\s*"(\d+)"\s*:\s*(null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})\s*([,}])')
CAPTURE_ENDS = re.compile(rb"\s*([,}])")


class NotCut(Exception):
    """The file is damaged, or laid out in a way that is not known here."""


class Window(NamedTuple):
    """Some whole records of one list, as they stand in the file."""

    name: str  # of the list
    text: bytes  # from the first record's { to the last one's }
    between: bytes  # what stands between two records, brackets included: b"}, {"

    def lines(self, text: bytes) -> bytes:
        """One record a line, of this text or of one made from it."""
        same_length = b"}\n" + b" " * (len(self.between) - 3) + b"{"  # which takes half the time
        return text.replace(self.between, same_length)


def record_windows(path: Path, size: int = WINDOW) -> Iterator[Window]:
    """The records of every list in the file's one object, in their order.

    Raises:
        NotCut: it is not an object of lists of objects, a list is empty, or the file ends early.
    """
    with path.open("rb") as file:
        text = file.read(size)
        while found := LIST.match(text):
            name, text = found[1].decode(), text[found.end() :]
            gap = BETWEEN.search(text)
            between = gap[0] if gap else b"}, {"
            while not (end := LIST_ENDS.search(text)):
                cut = text.rfind(between)
                if cut > 0:
                    yield Window(name, text[: cut + 1], between)
                    text = text[cut + len(between) - 1 :]
                more = file.read(size)
                if not more:
                    raise NotCut
                text += more
            yield Window(name, text[: end.start() + 1], between)
            text = text[end.end() :] + file.read(size)
        if not ALL_ENDS.match(text) or file.read(1):
            raise NotCut


class Frame(NamedTuple):
    """What a file says of one frame of one capture."""

    capture: int
    frame: int
    text: bytes  # an object, or null


def frames(content: bytes) -> Iterator[Frame]:
    """The frames of every capture, in the file's order.

    Raises:
        NotCut: it is not an object of objects keyed by plain numbers, one of these is empty, or a
            number comes twice.
    """
    seen: set[tuple[int, int]] = set()
    captures: set[int] = set()
    place = _find(OBJECT, content, 0).end()
    separator = b","
    while separator == b",":
        found = _find(CAPTURE, content, place)
        capture = int(found[1])
        if capture in captures:
            raise NotCut
        captures.add(capture)
        while separator == b",":
            found = _find(FRAME, content, found.end())
            frame = int(found[1])
            if (capture, frame) in seen:
                raise NotCut
            seen.add((capture, frame))
            yield Frame(capture, frame, found[2])
            separator = found[3]
        found = _find(CAPTURE_ENDS, content, found.end())
        place, separator = found.end(), found[1]
    if content[place:].strip():
        raise NotCut


def _find(pattern: re.Pattern[bytes], content: bytes, place: int) -> re.Match[bytes]:
    found = pattern.match(content, place)
    if found is None:
        raise NotCut
    return found


def table(lines: bytes, schema: pa.Schema) -> pa.Table | None:
    """Records, one a line, as columns; None when there are not so many or one does not fit.

    Other keys than the schema's are passed over. Every line begins with an object: pyarrow 26 dies
    of a `null` in its place.
    """
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        if not lines.isascii():
            lines.decode()  # pyarrow does not look
        found = pj.read_json(pa.BufferReader(lines), parse_options=options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    # two records with nothing between them are no JSON, but two lines' worth to pyarrow
    return found.select(schema.names) if found.num_rows == lines.count(b"\n") + 1 else None
