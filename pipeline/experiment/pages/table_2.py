"""The rows of the paper's Table 2: its figures, and ours in small beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.experiment.grid_results import PRIMARY, GridResults, Row
from pipeline.experiment.pages.answers import mean_text

PAPER = {
    "HaMeR": ("16.11", "15.37"),
    "EANet": ("4.94", "5.26"),
    "EANet, gesture pretraining": ("4.86", "5.17"),
    "ours, without pretraining": ("5.00", "5.35"),
    "ours, full": ("4.84", "5.19"),
}
"""Table 2 of the paper: MPJPE and MPVPE in mm."""

TABLE_2_GRIDS = {
    "table2_equal_steps": (
        "Three epochs of Stage 2 in every row, no gesture loss in any, tokens in both of ours",
        (
            "eanet_fewer_steps",
            "eanet_pretrained",
            "untrained_tokens_fewer_steps",
            "no_gesture_loss",
        ),
    ),
    "table2": (
        "Six epochs of Stage 2 without Stage 1, three after four of Stage 1",
        ("eanet", "eanet_pretrained", "untrained_tokens", "full"),
    ),
}
"""How a grid compares, and the variants of the last four of these rows."""

TABLE_2 = {
    "table2_mpjpe_mm": "aligned MPJPE",
    PRIMARY: "wrist-relative MPJPE",
    "wrist_fit_mpvpe_mm": "wrist-relative MPVPE",
}
"""Measures of our columns."""


def table_2_lines(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """Lines of Markdown."""
    yield (
        "Left, the paper's figures: theirs, on InterHand2.6M, after alignment at the middle "
        "knuckle and scaling to the true bone, without seeds or intervals. Right, ours: small "
        "networks on synthetic hands, by the same alignment and about the wrist. The "
        "columns of the two sides cannot be compared, only the order of the rows. HaMeR is not "
        "run: its weights are scored as [imported predictions](imported.md)."
    )
    ours = " | ".join(f"ours, {title}, mm" for title in TABLE_2.values())
    for name, (what, variants) in TABLE_2_GRIDS.items():
        if (grid := grids.get(name)) is None:
            continue
        yield from ("", f"{what} (grid `{name}`):", "")
        yield f"| row | paper, MPJPE | paper, MPVPE | variant | {ours} | seeds |"
        blank = [""] * (1 + len(TABLE_2))
        yield f"|{' --- |' * (4 + len(blank))}"
        for (title, figures), variant in zip(PAPER.items(), (None, *variants), strict=True):
            cells = (
                ["not run", *[""] * (1 + len(TABLE_2))]
                if variant is None
                else _cells(grid.row(variant))
            )
            yield f"| {' | '.join([title, *figures, *cells])} |"


def _cells(row: Row) -> list[str]:
    """The variant, its means, and how many seeds they are of."""
    means = (
        [mean_text(row, measure) for measure in TABLE_2]
        if row.known
        else ["missing"] * len(TABLE_2)
    )
    return [f"`{row.name}`", *means, f"{len(row.known)} of {len(row.results)}"]
