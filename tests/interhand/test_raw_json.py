"""Files decoded down to their records: what msgspec may read, and flags in every spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from handpose.interhand.raw_json import RawJson, read_flags


def read(path: Path, content: bytes) -> list[Raw] | None:
    path.write_bytes(content)
    raw = RawJson.read(path, list[Raw])
    return None if raw is None else raw.content


def test_records_stay_as_they_stand_in_the_file(tmp_path: Path) -> None:
    records = read(tmp_path / "file.json", b'[{"a" : [1.50]}, "\xc3\xa9" , null]')
    assert records is not None
    assert [bytes(record) for record in records] == [b'{"a" : [1.50]}', b'"\xc3\xa9"', b"null"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1",
        b"[1] 2",
        b'[{"a": 01}]',
        b'{"a": 1}',  # no list
        b"[NaN]",
        b"[[-Infinity]]",
        b"\xef\xbb\xbf[1]",
        b'["\xff"]',
        b'["\xc3"]',
        b"[" * 100_000,
    ],
)
def test_a_file_that_only_json_may_know_is_left_to_it(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "file.json", content) is None


def test_encoding_is_checked_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handpose.interhand.raw_json.UTF8_CHUNK", 3)
    assert read(tmp_path / "file.json", '["aé中é"]'.encode()) is not None
    assert read(tmp_path / "file.json", '["aé中é"]'.encode("latin-1", "replace")) is None


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (" ,\n", ":")])
@pytest.mark.parametrize("one", [1, True, 1.0, [1], [True]])
def test_flags_in_any_writing(separators: tuple[str, str], one: Any) -> None:
    zero = [0] if isinstance(one, list) else 0
    text = json.dumps([one, zero, one] * 14, separators=separators).encode()
    assert read_flags(text) == bytes([1, 0, 1] * 14)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (b"null", None),
        (b"[]", None),
        (json.dumps([[1]] * 41).encode(), None),
        (json.dumps([[2], [], [1, 1], [[1]], "1", None] * 7).encode(), bytes(42)),
        (json.dumps([[10]] + [[1]] * 41).encode(), bytes([0] + [1] * 41)),
    ],
)
def test_odd_flags(text: bytes, flags: bytes | None) -> None:
    assert read_flags(text) == flags
