"""README's table of what gesture pretraining does to the error, made of complete grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from handpose.counted import counted
from pipeline.experiment.grid_results import PRIMARY, SECONDARY, GridResults
from pipeline.experiment.pages.answers import MARKS, interval
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
    "all poses, trained again": (ReadmeCell("equal_time_again", "full_shifted"), None),
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
        ReadmeCell("fewer_poses_seeds_equal_steps", "three_percent_full"),
    ),
    "a small EANet": (
        ReadmeCell("table2", "eanet_pretrained"),
        ReadmeCell("eanet_pair", "eanet_pretrained"),
    ),
    "shifted test images": (ReadmeCell("shifted", "full_shifted"), None),
}
"""By setting: at about equal total time, and at equal steps of Stage 2."""

WORDS = {"lower": "better", "higher": "worse", "inconclusive": "not shown"}


def readme_table(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """Lines of Markdown: those of `ROWS` of which a grid is complete."""
    yield "| | at about equal total time, mm | | at equal steps of Stage 2, mm | |"
    yield f"|{' --- |' * 5}"
    for setting, cells in ROWS.items():
        texts = [part for cell in cells for part in cell_texts(cell, grids)]
        if any(texts):
            yield f"| {setting} | {' | '.join(texts)} |"


def cell_texts(cell: ReadmeCell | None, grids: Mapping[str, GridResults]) -> tuple[str, str]:
    """Such as `34.5 to 39.4: +4.9 [+3.2, +6.5]` and `worse, 5 seeds‡`; empty if not known.

    Where PA-MPJPE says something else than the primary measure, that is added.
    """
    one = grids.get(cell.grid) if cell else None
    if cell is None or one is None or one.missing:
        return "", ""
    found = one.differences(PRIMARY).get(cell.variant)
    if found is None:
        return "", ""
    kinds = [one.outcome(cell.variant, measure) for measure in (PRIMARY, SECONDARY)]
    words = WORDS[kinds[0]]
    if kinds[1] != kinds[0]:
        words += f" (PA {WORDS[kinds[1]]})"
    return (
        f"{found.first:.1f} to {found.second:.1f}: {interval(found, 1)}",
        f"{words}, {counted(min(found.runs), 'seed')}{MARKS[one.grid.planned]}",
    )
