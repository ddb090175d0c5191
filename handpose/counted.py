"""A count with its noun in sentences: `1 sample`, `2,000 samples`."""

from __future__ import annotations


def counted(count: int, noun: str, nouns: str = "") -> str:
    """`1 sample`, `2,000 samples`; `nouns` is the plural where it is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
