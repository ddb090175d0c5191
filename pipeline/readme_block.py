"""Lines of README that a command writes, between two markers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from handpose.errors import HandPoseError

README = Path("README.md")


class ReadmeError(HandPoseError):
    """README has no place for what is written there."""


class ReadmeBlock(NamedTuple):
    """The two markers, each a line of its own."""

    begin: str
    end: str

    def inside(self, text: str) -> str:
        """The lines between the markers of this README.

        Raises:
            ReadmeError: a marker is missing, is there twice, or they are in the wrong order.
        """
        return self._parts(text)[1]

    def replaced(self, text: str, lines: str) -> str:
        """This README with other lines between the markers.

        Raises:
            ReadmeError: see `inside`.
        """
        before, _, after = self._parts(text)
        return before + lines + after

    def _parts(self, text: str) -> tuple[str, str, str]:
        """README up to the first marker's end, the lines between the markers, and the rest."""
        once = text.count(f"{self.begin}\n") == text.count(self.end) == 1
        if not once or text.index(self.begin) > text.index(self.end):
            raise ReadmeError(
                f"{README}: expected one line {self.begin} and after it one line {self.end}, "
                "between which a table is written; `git checkout README.md` brings them back"
            )
        before, inside = text.split(f"{self.begin}\n")
        block, after = inside.split(self.end)
        return f"{before}{self.begin}\n", block, self.end + after
