from __future__ import annotations

import pytest

from handpose.counted import counted


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("sample",), "0 samples"),
        (1, ("sample",), "1 sample"),
        (2_000, ("sample",), "2,000 samples"),
        (1, ("person", "people"), "1 person"),
        (3, ("person", "people"), "3 people"),
    ],
)
def test_a_noun_follows_its_count(count: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected
