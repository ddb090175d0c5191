"""The figures of one item of the benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Record:
    """Figures, printed as they come and kept in a file, also if their process is ended."""

    def __init__(self, path: Path) -> None:
        """An empty record, to be kept in this file."""
        self._path = path
        self._values: dict[str, Any] = {}

    def add(self, name: str, **figures: float | str) -> None:
        """Figures of one thing that was measured."""
        self._values[name] = {
            key: round(value, 6) if isinstance(value, float) else value
            for key, value in figures.items()
        }
        text = ", ".join(f"{key} {_short(value)}" for key, value in figures.items())
        print(f"  {name}: {text}", flush=True)
        unfinished = self._path.with_suffix(".part")
        unfinished.write_text(json.dumps(self._values))
        unfinished.rename(self._path)


def _short(value: float | str) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
