"""WebDataset tars of JPEGs and JSON: the same bytes as webdataset's writer, and readable by it.

Only three fields of a tar's header matter here. Python's `tarfile`, which webdataset uses, handles
all of them and takes 50 us per sample, a sixth of decoding its JPEG; this takes 10.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from handpose.errors import HandPoseError

BLOCK = tarfile.BLOCKSIZE
NAME, SIZE, CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
END_OF_NUMBER = b" \0"


class EncodedSample(NamedTuple):
    """One sample of a tar: JPEG and JSON."""

    key: str
    jpg: bytes
    json: bytes
    repeat: int = 0  # how often it came before in the same epoch; not in a tar


def sample_key(sample_id: int) -> str:
    """The name of a sample in a tar."""
    return f"{sample_id:09d}"


class TarError(HandPoseError):
    """Not a tar as `write` makes it."""


def _empty_header() -> bytes:
    """A header without name, size and checksum; time, user and group are fixed."""
    info = tarfile.TarInfo()
    info.mode, info.uname, info.gname = 0o444, "bigdata", "bigdata"  # as webdataset writes them
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[CHECKSUM] = b" " * 8  # the checksum is computed with spaces here
    return bytes(header)


HEADER = _empty_header()


def write(stream: BinaryIO, samples: Iterable[EncodedSample]) -> int:
    """Write samples in their order and end the tar; returns their number."""
    written = 0
    for sample in samples:
        for kind, content in (("jpg", sample.jpg), ("json", sample.json)):
            stream.write(_header(f"{sample.key}.{kind}", len(content)))
            stream.write(content)
            stream.write(bytes(-len(content) % BLOCK))
        written += 1
    stream.write(bytes(2 * BLOCK))
    stream.write(bytes(-stream.tell() % tarfile.RECORDSIZE))
    return written


def _header(name: str, size: int) -> bytes:
    header = bytearray(HEADER)
    header[: len(name)] = name.encode("ascii")
    header[SIZE] = b"%011o\0" % size
    header[CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def read(path: Path) -> Iterator[EncodedSample]:
    """The samples of a tar, in its order.

    Raises:
        TarError: it is not one that `write` made.
    """
    with path.open("rb") as stream:
        while (first := _member(stream, path)) is not None:
            second = _member(stream, path)
            key, kind = first[0].rsplit(".", 1)
            if kind != "jpg" or second is None or second[0] != f"{key}.json":
                raise TarError(f"{path}: {first[0]} is not a .jpg followed by its .json")
            yield EncodedSample(key, first[1], second[1])


def _member(stream: BinaryIO, path: Path) -> tuple[str, bytes] | None:
    """Name and content of the next file in the tar; None at its end."""
    header = stream.read(BLOCK)
    if not header.strip(b"\0"):
        return None
    try:
        name, size = (
            header[NAME].rstrip(b"\0").decode("ascii"),
            int(header[SIZE].rstrip(END_OF_NUMBER), 8),
        )
    except ValueError as error:
        raise TarError(f"{path}: not a tar header ({error})") from None
    content = stream.read(size + -size % BLOCK)
    if len(content) < size:
        raise TarError(f"{path}: ends in the middle of {name}")
    return name, content[:size]
