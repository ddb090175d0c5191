"""JSON files decoded only as far as their records, which remain text (`msgspec.Raw`).

`msgspec` is stricter than `json`: it refuses NaN, Infinity and a byte-order mark. A file that it
refuses is read by `annotations.load` instead, which accepts these and reports where the error is.
"""

from __future__ import annotations

import codecs
import json
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from handpose.interhand.annotations import FLAGS, compact, flags_as_bytes

T = TypeVar("T")

BATCH = 4096
"""Records decoded at a time: few enough to stay in the processor's cache."""

UTF8_CHUNK = 1 << 16
"""Bytes whose encoding is checked at a time."""

ONES_TO_ZEROS = bytes.maketrans(b"1", b"0")
DIGITS_TO_FLAGS = bytes.maketrans(b"01", b"\x00\x01")
FLAG_STRIDES = {
    f"[{separator.join(['[0]'] * FLAGS)}]".encode(): len(separator) + 3 for separator in (", ", ",")
}
"""The spellings of 42 nested flags, and the bytes from one flag to the next in each."""


@dataclass(frozen=True)
class RawJson(Generic[T]):
    """A file whose records are views of its memory map."""

    content: T
    _file: mmap.mmap

    @classmethod
    def read(cls, path: Path, layout: type[T]) -> RawJson[T] | None:
        """The file as `layout`, a type with `msgspec.Raw` for each record; None if it does not fit.

        Every record is known to be valid JSON in UTF-8, without NaN and Infinity.
        """
        try:
            with path.open("rb") as stream:
                file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            _check_utf8(file)  # msgspec does not look inside what it leaves undecoded
            return cls(msgspec.json.decode(file, type=layout), file)
        except (ValueError, RecursionError):
            return None

    def batches(self, records: Sequence[msgspec.Raw]) -> Iterator[Sequence[msgspec.Raw]]:
        """These records of the file, some thousand at a time.

        After each batch the pages read so far are released; the kernel maps them again on access.
        """
        for start in range(0, len(records), BATCH):
            yield records[start : start + BATCH]
            self._file.madvise(mmap.MADV_DONTNEED)


def _check_utf8(file: mmap.mmap) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(file), UTF8_CHUNK):
        decoder.decode(file[start : start + UTF8_CHUNK])
    decoder.decode(b"", final=True)


def parse(raw: msgspec.Raw) -> dict[str, Any]:
    """A record as `annotations.load_data` returns it, its 42 flags as bytes.

    Raises:
        ValueError: it is not an object.
    """
    record = json.loads(bytes(raw), object_hook=compact)
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")
    return record


@lru_cache(maxsize=4096)
def read_flags(text: bytes) -> bytes | None:
    """A list of 42 flags, bare or each in a list, as 42 bytes 0 or 1; None for anything else."""
    stride = FLAG_STRIDES.get(text.translate(ONES_TO_ZEROS))
    if stride is not None:  # as in the public files
        return text[2::stride].translate(DIGITS_TO_FLAGS)
    flags = json.loads(text)
    return flags_as_bytes(flags) if isinstance(flags, list) and len(flags) == FLAGS else None
