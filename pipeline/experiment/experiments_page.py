"""`docs/results.md`: what the experiments answer and every difference, made from their JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handpose.counted import counted
from handpose.evaluation.crossed import CrossedDifference
from handpose.evaluation.statistics import holm
from handpose.files import atomic_file
from pipeline.experiment.answers import added, answers, format_p, outcome, progress, tokens
from pipeline.experiment.comparison import every_test, needed, origin, write_page
from pipeline.experiment.forest_plot import forest_plot
from pipeline.experiment.grid import read_grids
from pipeline.experiment.grid_results import (
    MEASURES,
    PRIMARY,
    ComparisonError,
    GridResults,
    Row,
    same_images_notes,
)
from pipeline.experiment.readme_table import ADDED, BLOCK, readme_table
from pipeline.experiment.runs import RESULTS, RunsError
from pipeline.experiment.scaling_plot import BY_FRAMES, BY_POSES, by_grid, scaling_plot
from pipeline.experiment.variants_page import HTML, mean_text, variant_lines, write_html
from pipeline.experiment.verdict import verdict
from pipeline.readme_block import README

PAGE = Path("docs/results.md")
PICTURE = Path("docs/results.png")
SCALING = Path("docs/scaling.png")

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

TWO_BY_TWO = {
    "Stage 1, three epochs of Stage 2": (("claim", "full"), ("claim", "pretraining_only")),
    "no Stage 1, six epochs": (("claim", "tokens_only"), ("equal_time", "neither_equal_time")),
}
"""Rows of the 2x2, as grid and variant; columns: with tokens, without."""

CURVE = {
    "neither_fewer_steps": "equal_steps",
    "neither_equal_time": "equal_time",
    "neither": "claim",
}
"""Variants without gestures, from the fewest epochs on, and a grid of each."""

AT_EQUAL_TIME = {
    "equal_time": "the demo's data, 5,670 frames; people differ by 15 degrees",
    "longer": "four times the epochs of Stage 2",
    "data_third": "a third of the frames",
    "data_triple": "three times the frames",
    "data_fourfold": "four times the frames, each seen as often as in the demo; batch 64",
    "style_alike": "people perform gestures alike",
    "style_unlike": "people differ by 30 degrees",
    "backbone_convnext": "ConvNeXt in place of HRNet",
    "backbone_vit": "ViT in place of HRNet",
    "unseen": "gestures that neither stage trained on",
    "few_poses": "Stage 2 learns from a tenth of the images, without a gesture loss",
    "fewer_poses": "from three percent of them",
    "fewer_poses_seeds": "from three percent, eight other seeds",
}
"""Grids whose first variant has gesture pretraining, and that are compared at equal time."""


class WrittenPage(NamedTuple):
    """What the results page says, and the files that were written beside the grids' pages."""

    text: str
    files: list[Path]


def write_results(root: Path) -> WrittenPage:
    """Write `docs/results.md`, its pictures, `results/experiments.html`, each grid's page, README.

    A picture of what is no longer known is removed. Of README only the table of `readme_table`.

    Raises:
        ComparisonError: there is no result. Or a grid cannot be read: a result is damaged, or has
            other parameters or other images; then the pages of the other grids are written first.
        HandPoseError: `experiments/grid.yaml` cannot be used, or README has no place for its table.
    """
    readme = (root / README).read_text("utf-8")
    BLOCK.inside(readme)
    grids, faults = read_all(root)
    if faults and not any(one.known for one in grids.values()):
        raise ComparisonError("\n".join(faults.values()))
    text = "\n".join(page(grids, list(faults))) + "\n"
    for name, one in grids.items():
        if one.known:
            write_page(root, name)
    shown = [one for one in grids.values() if not one.missing and one.differences(PRIMARY)]
    pictures = {PICTURE: forest_plot(shown) if shown else None, SCALING: scaling_plot(grids)}
    files = [
        README,
        PAGE,
        *(path for path, picture in pictures.items() if picture is not None),
        HTML,
    ]
    for path, picture in pictures.items():
        if picture is None:
            (root / path).unlink(missing_ok=True)
            continue
        with atomic_file(root / path) as partial:
            picture.savefig(partial, format="png", metadata={"Software": ""})
    table = "\n".join(readme_table(grids)) + "\n"
    for path, content in ((PAGE, text), (README, BLOCK.replaced(readme, table))):
        with atomic_file(root / path) as partial:
            partial.write_text(content, encoding="utf-8")
    write_html(root, grids, list(faults))
    if faults:
        lines = "\n".join(f"{name}: {fault}" for name, fault in faults.items())
        raise ComparisonError(
            f"{PAGE} and {HTML} are written, without grids that cannot be read:\n{lines}"
        )
    return WrittenPage(text, files)


def read_all(root: Path) -> tuple[dict[str, GridResults], dict[str, str]]:
    """Every grid's results, and what is wrong with those that cannot be read, by name.

    Raises:
        GridError: `experiments/grid.yaml` itself cannot be used.
    """
    file = read_grids(root)
    grids, faults = {}, {}
    for name in file.grids:
        try:
            grids[name] = GridResults.read(root, file, name)
        except (RunsError, ComparisonError) as error:
            faults[name] = str(error)
    return grids, faults


def page(grids: Mapping[str, GridResults], unread: Sequence[str] = ()) -> Iterator[str]:
    """Lines of Markdown.

    Args:
        grids: by name.
        unread: names of those that cannot be read.

    Raises:
        ComparisonError: there are no results.
    """
    unique = {id(result): result for one in grids.values() for result in one.known}
    by_run = {(r["variant"], r["seed"]): r for r in unique.values()}
    known = list(by_run.values())
    if not known:
        raise ComparisonError("no run has a result; `handpose experiment run claim`")
    yield from ("# Results of the experiments", "")
    yield (
        "Written by `handpose experiment report` from "
        "[experiments/results](../experiments/results), a JSON file for each training run. The "
        "primary measure, the tests and the first grids were fixed in [the plan](plan.md) before "
        "the first run; what was added later is marked, and the plan's amendments say when and "
        "why. A grid is read when all of its runs have a result: until then no p-value is given, "
        "and a difference decides nothing. All hands are synthetic; no number here is about "
        "photos of real hands."
    )
    yield from ("", "## In five sentences", "")
    yield from _scale(grids)
    yield from (f"- {sentence}" for sentence in verdict(grids))
    if len(table := list(readme_table(grids))) > 2:
        yield from ("", "## At a glance", "")
        yield (
            "The wrist-relative MPJPE in mm without gesture pretraining and with it, their "
            "difference [95 % interval over seeds and people], and what it shows (p adjusted "
            "within its grid). At equal steps Stage 1 comes in addition. "
            f"{ADDED}: added when results had been seen."
        )
        yield from ("", *table)
    yield from ("", "## Answers", "")
    yield from answers(grids)
    if any(not one.missing and one.differences(PRIMARY) for one in grids.values()):
        yield from ("", f"![Differences with intervals, a panel for each grid]({PICTURE.name})")
    if claim := grids.get("claim"):
        yield from ("", "## Pretraining and tokens", "")
        yield from _two_by_two(grids)
        yield from ("", f"**What the gesture tokens do.** {tokens(claim)}")
    yield from ("", "## The rows of the paper's Table 2", "")
    yield from _table_2(grids)
    yield from ("", "## Gesture pretraining at equal time, by data, people and backbone", "")
    yield from _at_equal_time(grids)
    if scaling_plot(grids) is not None:
        yield from ("", f"![By the amount of poses, frames and labels]({SCALING.name})", "")
        text = "Points may differ in their numbers of seeds."
        if len(by_grid(grids, BY_POSES)) > 1:
            text += " With fewer poses the full model has no gesture loss in Stage 2."
        if len(by_grid(grids, BY_FRAMES)) > 1:
            text += (
                " Points over frames have test images of their own, and with three times the "
                "frames Stage 1 is a quarter shorter."
            )
        yield text
    for name, one in grids.items():
        if one.known:
            yield from ("", f"## Grid `{name}`: {one.grid.what}", "")
            yield from _grid(one)
    yield from ("", "## What lowered the error, and what did not", "")
    yield from _helped(grids)
    yield from ("", "## Where the numbers come from", "")
    hours = sum(sum(one["seconds"].values()) for one in known) / 3600
    yield (
        f"{origin(known)} {len(known)} training runs; {hours:.1f} hours of training, in which a "
        "Stage 1 that several models share counts with each. "
        f"Test images: digest {', '.join(sorted({one['test'][:12] for one in known}))}."
    )
    yield from same_images_notes(known, next(iter(grids.values())).same_images)
    for name in unread:
        yield from (
            "",
            f"**Grid `{name}` is not shown: `handpose experiment table {name}` says why.**",
        )
    if unfinished := [progress(name, one) for name, one in grids.items() if one.missing]:
        yield from ("", *(f"- {line}" for line in unfinished))


def _scale(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """How far these networks are from convergence."""
    rows = [grids[grid].row(name) for name, grid in CURVE.items() if grid in grids]
    known = [row for row in rows if row.known]
    if len(known) < len(CURVE):
        return
    means = ", ".join(f"{mean_text(row, PRIMARY)} (`{row.name}`)" for row in known)
    yield (
        "These are small networks far from convergence: three, six and eight epochs of Stage 2 "
        f"without gestures have errors of {means} mm. What follows is about such trainings."
    )
    yield ""


def _two_by_two(grids: Mapping[str, GridResults]) -> Iterator[str]:
    yield (
        f"The {MEASURES[PRIMARY]}: mean [95 % over seeds and people]; number of seeds and of steps "
        "of Stage 2, and seconds of both stages by the clock of a machine that did other work too. "
        "The rows differ in steps: compare within a row. The lower right has no gesture loss "
        "either."
    )
    yield from ("", "| | gesture tokens | none |", "| --- | --- | --- |")
    for title, cells in TWO_BY_TWO.items():
        texts = [
            _cell(grids[grid].row(name)) if grid in grids else f"`{name}`: missing"
            for grid, name in cells
        ]
        yield f"| {title} | {' | '.join(texts)} |"


def _cell(row: Row) -> str:
    if not row.known:
        return f"`{row.name}`: missing"
    seconds = sum(sum(one["seconds"].values()) for one in row.known) / len(row.known)
    seeds = counted(len(row.known), "seed", "seeds")
    steps = " or ".join(f"{steps:,}" for steps in sorted({one["steps"] for one in row.known}))
    return f"`{row.name}`: {mean_text(row, PRIMARY)} ({seeds}, {steps} steps, {seconds:,.0f} s)"


def _table_2(grids: Mapping[str, GridResults]) -> Iterator[str]:
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


def _at_equal_time(grids: Mapping[str, GridResults]) -> Iterator[str]:
    yield (
        "The full model minus one without Stage 1 and tokens that trains as long, wrist-relative "
        "MPJPE. Rows of other frames, people or gestures have test images of their own: of those "
        "only differences compare."
    )
    yield from ("", "| what | grid | without, mm | full, mm | difference, mm | % | p |")
    yield f"|{' --- |' * 7}"
    for name, what in AT_EQUAL_TIME.items():
        one = grids.get(name)
        what += ", added after a look" if one is not None and one.grid.added else ""
        if one is None or one.missing:
            yield f"| {what} | `{name}` | {progress(name, one)} | | | | |"
            continue
        row, without = one.rows[0], one.against
        found = one.differences(PRIMARY)[row.name]
        interval = f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
        p = format_p(one.p_values(PRIMARY)[row.name])
        means = f"{mean_text(without, PRIMARY)} | {mean_text(row, PRIMARY)}"
        yield f"| {what} | `{name}` | {means} | {interval} | {found.percent:+.1f} | {p} |"


def _grid(one: GridResults) -> Iterator[str]:
    own = f"Each seed, PA-MPJPE, gates and times: [{one.name}.md](../{RESULTS}/{one.name}.md)."
    yield " ".join([own, *added(one)])
    if one.grid.test_set:
        yield f"On the test set `{one.grid.test_set}` ([test sets](experiments.md))."
    yield ""
    yield f"| variant | what | seeds | mean, mm | minus `{one.grid.against}`, mm | % | p |"
    yield f"|{' --- |' * 7}"
    for line in variant_lines(one):
        cells = [f"`{line.name}`", line.what, line.seeds, line.mean]
        yield f"| {' | '.join([*cells, line.difference, line.percent, line.p])} |"
    yield from needed(one.differences(PRIMARY), len(one.measured(PRIMARY)))
    if one.grid.test_set:
        yield ""
        yield from every_test(one)


def _helped(grids: Mapping[str, GridResults]) -> Iterator[str]:
    by_kind: dict[str, list[str]] = {"lower": [], "higher": [], "inconclusive": []}
    for one in grids.values():
        if one.missing:
            continue
        found = one.differences(PRIMARY)
        for name, p_value in one.p_values(PRIMARY).items():
            kind = outcome(found[name], p_value)
            after = ", added after a look" if one.grid.added else ""
            by_kind[kind].append(f"`{name}` against `{one.grid.against}` (`{one.name}`{after})")
    if not any(by_kind.values()):
        yield "No grid is complete yet."
        return
    words = {"lower": "Lower error", "higher": "Higher error", "inconclusive": "Not shown"}
    for kind, names in by_kind.items():
        yield f"- {words[kind]}: {', '.join(names) or 'none'}."
    yield from ("", _over_all(grids))


def _over_all(grids: Mapping[str, GridResults]) -> str:
    """What adjusting for all differences of the page together would change; each counts once."""
    found: dict[tuple[str, str, str], tuple[CrossedDifference, float]] = {}
    for one in grids.values():
        if one.missing:
            continue
        p_values = one.p_values(PRIMARY)
        for name, difference in one.differences(PRIMARY).items():
            key = (name, one.grid.against, one.grid.test_set)
            found.setdefault(key, (difference, p_values[name]))
    every = holm(np.array([difference.p_value for difference, _ in found.values()]))
    changed = [
        f"`{name}` against `{against}` (p {format_p(float(p))})"
        for (name, against, _), (difference, own), p in zip(
            found, found.values(), every, strict=True
        )
        if outcome(difference, own) != outcome(difference, float(p))
    ]
    change = f"these become not shown: {', '.join(changed)}" if changed else "none changes"
    return (
        "p-values are adjusted within each grid. Adjusted for all "
        f"{counted(len(found), 'difference', 'differences')} of the grids that are whole together "
        f"(Holm), {change}."
    )
