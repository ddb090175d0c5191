"""The result of one of the doctor's checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Good, worth knowing, or bad; the text of a FAIL includes the remedy."""

    state: Literal["ok", "note", "FAIL"]
    text: str
