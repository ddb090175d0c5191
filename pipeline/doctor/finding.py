"""What one of the doctor's checks saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Good, bad, or good to know; a FAIL's text tells the remedy."""

    state: Literal["ok", "note", "FAIL"]
    text: str
