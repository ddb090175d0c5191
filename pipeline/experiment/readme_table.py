"""README's table of what gesture pretraining does to the error, made of grids that are whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from handpose.counted import counted
from pipeline.experiment.answers import outcome
from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.readme_block import ReadmeBlock

BLOCK = ReadmeBlock(
    "<!-- gestures: written by `handpose experiment report`, do not edit -->",
    "<!-- end of gestures -->",
)


class ReadmeCell(NamedTuple):
    """A variant with gesture pretraining, and the grid that compares it with one without."""

    grid: str
    variant: str


ROWS: Mapping[str, tuple[ReadmeCell | None, ReadmeCell | None]] = {
    "all poses in Stage 2": (
        ReadmeCell("equal_time", "full"),
        ReadmeCell("equal_steps", "full"),
    ),
    "four times as long": (
        ReadmeCell("longer", "long_full"),
        ReadmeCell("longer_equal_steps", "long_full"),
    ),
    "a tenth of the poses": (
        ReadmeCell("few_poses", "tenth_full"),
        ReadmeCell("few_poses_equal_steps", "tenth_full"),
    ),
    "3 % of the poses": (
        ReadmeCell("fewer_poses_seeds", "three_percent_full"),
        ReadmeCell("fewer_poses_equal_steps", "three_percent_full"),
    ),
    "a small EANet": (
        ReadmeCell("table2", "eanet_pretrained"),
        ReadmeCell("eanet_pair", "eanet_pretrained"),
    ),
    "shifted test images": (ReadmeCell("shifted", "full_shifted"), None),
}
"""By setting: at about equal total time, and at equal steps of Stage 2."""

ADDED = "†"
"""Marks what was added when results had been seen."""

WORDS = {"lower": "better", "higher": "worse", "inconclusive": "not shown"}


def readme_table(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """Lines of Markdown: those of `ROWS` of which a grid is whole."""
    yield "| | at about equal total time | at equal steps of Stage 2 |"
    yield f"|{' --- |' * 3}"
    for setting, cells in ROWS.items():
        texts = [cell_text(cell, grids) for cell in cells]
        if any(texts):
            yield f"| {setting} | {' | '.join(texts)} |"


def cell_text(cell: ReadmeCell | None, grids: Mapping[str, GridResults]) -> str:
    """Such as `34.5, 39.4 with it: +4.9 [+3.2, +6.5], worse (5 seeds)†`; empty if not known."""
    one = grids.get(cell.grid) if cell else None
    if cell is None or one is None or one.missing:
        return ""
    found = one.differences(PRIMARY).get(cell.variant)
    if found is None:
        return ""
    word = WORDS[outcome(found, one.p_values(PRIMARY)[cell.variant])]
    text = (
        f"{found.first:.1f}, {found.second:.1f} with it: {found.value:+.1f} [{found.low:+.1f}, "
        f"{found.high:+.1f}], {word} ({counted(min(found.runs), 'seed')})"
    )
    return text + (ADDED if one.grid.added else "")
