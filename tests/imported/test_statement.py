from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handpose.imported.statement import CHOICES, ImportedError, Statement

FILE = Path("theirs.parquet")
HEADER: dict[str, Any] = {
    "format": "handpose predictions",
    "version": 1,
    "model": "theirs",
    "split": "test",
    "unit": "mm",
    "joint_order": "openpose",
    "joint_definition": "smplx",
    "frame": "wrist",
    "left_hands": "mirrored",
}


def test_a_header_is_read_as_it_was_written() -> None:
    for header in (HEADER, {**HEADER, "note": "the public checkpoint"}):
        assert Statement.parse(FILE, header).to_json() == header


@pytest.mark.parametrize("name", [name for name in HEADER if name not in ("format", "version")])
def test_nothing_may_be_left_unsaid(name: str) -> None:
    header = {key: value for key, value in HEADER.items() if key != name}
    with pytest.raises(ImportedError, match=f"theirs.parquet: .*{name} is missing, expected"):
        Statement.parse(FILE, header)


@pytest.mark.parametrize("name", CHOICES)
def test_a_value_outside_of_the_choices_is_named_with_them(name: str) -> None:
    with pytest.raises(ImportedError) as error:
        Statement.parse(FILE, {**HEADER, name: "cm"})
    assert f"{name} is 'cm', expected one of {', '.join(CHOICES[name])}" in str(error.value)


def test_all_faults_are_reported_at_once() -> None:
    header = {**HEADER, "unit": "cm", "frame": ["wrist"], "model": " ", "joints": 21, "note": 3}
    del header["split"]
    with pytest.raises(ImportedError) as error:
        Statement.parse(FILE, header)
    for message in ("unit is 'cm'", "frame is", "model is ' '", "joints is unknown", "note is 3"):
        assert message in str(error.value)
    assert "split is missing, expected a text" in str(error.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "has no header of predictions"),
        ([1], "has no header of predictions"),
        ({"image": "a.jpg"}, "an object with format 'handpose predictions'"),
        ({**HEADER, "version": 2}, "is of version 2 of the format, expected 1"),
    ],
)
def test_another_header_is_refused(header: Any, message: str) -> None:
    with pytest.raises(ImportedError, match=message):
        Statement.parse(FILE, header)
