"""`docs/results.md`: what the experiments answer, made from their JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from handpose.counted import counted
from handpose.files import atomic_file
from pipeline.experiment.grid import read_grids
from pipeline.experiment.grid_results import (
    PRIMARY,
    SECONDARY,
    ComparisonError,
    GridResults,
    same_images_notes,
)
from pipeline.experiment.pages.answers import (
    MARKS,
    MARKS_MEAN,
    answer_word,
    format_p,
    interval,
    mean_text,
    missing,
    progress,
    unfinished,
)
from pipeline.experiment.pages.forest_plot import forest_lines, forest_plot
from pipeline.experiment.pages.grid_page import origin, write_page
from pipeline.experiment.pages.power_table import power_lines
from pipeline.experiment.pages.questions import QUESTIONS
from pipeline.experiment.pages.readme_table import BLOCK, readme_table
from pipeline.experiment.pages.scaling_plot import BY_FRAMES, BY_POSES, by_grid, scaling_plot
from pipeline.experiment.pages.table_2 import table_2_lines
from pipeline.experiment.pages.token_effects import token_lines
from pipeline.experiment.pages.training_time import CURVE, time_in_epochs
from pipeline.experiment.pages.variant_pairs import (
    VariantPair,
    p_values_over_all,
    unique_pairs,
    variant_pair,
)
from pipeline.experiment.pages.variants_page import HTML, write_html
from pipeline.experiment.pages.verdict import verdict
from pipeline.experiment.runs import RESULTS, RunsError
from pipeline.readme_block import README

PAGE = Path("docs/results.md")
PICTURE = Path("docs/results.png")
SCALING = Path("docs/scaling.png")

AT_EQUAL_TIME = {
    "equal_time": "the demo's data, 5,670 frames; people differ by 15 degrees",
    "longer": "four times the epochs of Stage 2",
    "best_full": "the same, with learned loss weights in both",
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
    pictures = {PICTURE: forest_plot(grids), SCALING: scaling_plot(grids)}
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
    over_all = p_values_over_all(grids)
    yield from ("# Results of the experiments", "")
    yield (
        "Small networks on synthetic hands, far from convergence; no number here is about photos "
        "of real hands. Written by `handpose experiment report` from "
        "[experiments/results](../experiments/results), a JSON file for each training run. "
        "[The plan](plan.md) fixed the primary measure (wrist-relative MPJPE), the tests and the "
        f"first grids before the first run. {MARKS_MEAN}. Every interval is 95 % for other "
        "training seeds and other test people of this generator; the training set is one."
    )
    yield from ("", "## In five sentences", "")
    yield from (f"- {sentence}" for sentence in verdict(grids))
    yield from _scale(grids)
    if len(table := list(readme_table(grids))) > 2:
        yield from ("", "## At a glance", "")
        yield (
            "The error without gesture pretraining, with it, and the difference. At equal steps "
            "Stage 1 comes in addition. PA: what PA-MPJPE shows, where that differs. p is adjusted "
            "within a grid; the table of answers has p adjusted over all grids too."
        )
        yield from ("", *table)
    if time := time_in_epochs(grids):
        yield from ("", f"**About equal total time.** {time}")
    yield from ("", "## Answers", "")
    yield (
        "Each grid's page has the question's remarks, every seed, the secondary measure, gates and "
        "times. A grid is read when all of its runs have a result. p: adjusted within the grid; "
        "p over all: adjusted for all differences of the complete grids together (Holm). Those of "
        "PA-MPJPE are a family of their own."
    )
    yield from ("", *_answers(grids, over_all))
    if forest_lines(grids):
        yield from ("", f"![The answers' differences with their intervals]({PICTURE.name})")
    yield from ("", "## Pretraining and tokens", "")
    yield from token_lines(grids)
    yield from ("", "## The rows of the paper's Table 2", "")
    yield from table_2_lines(grids)
    yield from ("", "## Gesture pretraining at equal time, by data, people and backbone", "")
    yield from _at_equal_time(grids)
    if scaling_plot(grids) is not None:
        yield from ("", f"![By the amount of poses, frames and labels]({SCALING.name})", "")
        yield _scaling_note(grids)
    yield from ("", "## Other variants: what lowered the error, and what did not", "")
    yield from _other_variants(grids, over_all)
    yield from ("", "## What these experiments could see", "")
    yield from power_lines(grids)
    yield from ("", "## Where the numbers come from", "")
    hours = sum(sum(one["seconds"].values()) for one in known) / 3600
    yield (
        f"{origin(known)} {len(known)} training runs; {hours:.1f} hours of training, in which a "
        "Stage 1 that several models share counts with each. Digests of the training and test "
        f"images: {', '.join(sorted({one['test'][:12] for one in known}))}."
    )
    yield from same_images_notes(known, next(iter(grids.values())).same_images)
    for name in unread:
        yield from (
            "",
            f"**Grid `{name}` is not shown: `handpose experiment table {name}` says why.**",
        )
    if lines := unfinished([*grids.values()]):
        yield from ("", "Not complete:", "", *(f"- {line}" for line in lines))


def _scale(grids: Mapping[str, GridResults]) -> Iterator[str]:
    """How far these networks are from convergence."""
    rows = [grids[grid].row(name) for name, grid in CURVE.items() if grid in grids]
    known = [row for row in rows if row.known]
    if len(known) < len(CURVE):
        return
    means = ", ".join(f"{mean_text(row, PRIMARY)} (`{row.name}`)" for row in known)
    yield ""
    yield (
        "How far from convergence: three, six and eight epochs of Stage 2 without gestures have "
        f"errors of {means} mm."
    )


def _answers(
    grids: Mapping[str, GridResults], over_all: Mapping[VariantPair, float]
) -> Iterator[str]:
    """A row for each variant that answers a question."""
    yield "| question | answer | difference, mm | % | p | p over all | PA-MPJPE, mm | grid |"
    yield f"|{' --- |' * 8}"
    for question in QUESTIONS:
        results = grids.get(question.grid)
        word = answer_word(question, results)
        if results is None or word == "Open":
            why = f"Open: {missing(question.grid, results)}"
            yield f"| {question.text} | {why} | | | | | | {_grid_link(question.grid, results)} |"
            continue
        for name in question.variants:
            first = name == question.variants[0]
            cells = [
                question.text if first else "",
                f"**{word}**" if first else "",
                *_difference_cells(results, name, over_all),
                _grid_link(question.grid, results),
            ]
            yield f"| {' | '.join(cells)} |"


def _difference_cells(
    results: GridResults, name: str, over_all: Mapping[VariantPair, float]
) -> list[str]:
    """A variant's difference, percent, both p-values, and PA-MPJPE."""
    found = results.differences(PRIMARY)[name]
    secondary = results.differences(SECONDARY).get(name)
    seeds = counted(min(found.runs), "seed")
    return [
        f"`{name}` minus `{results.grid.against}`: {interval(found)}, {seeds}",
        f"{found.percent:+.1f}",
        format_p(results.p_values(PRIMARY)[name]),
        format_p(over_all[variant_pair(results, name)]),
        "" if secondary is None else interval(secondary),
    ]


def _grid_link(name: str, results: GridResults | None) -> str:
    if results is None:
        return f"`{name}`"
    mark = MARKS[results.grid.planned]
    return f"[{name}](../{RESULTS}/{name}.md){mark}" if results.known else f"`{name}`{mark}"


def _at_equal_time(grids: Mapping[str, GridResults]) -> Iterator[str]:
    yield (
        "The full model minus one without Stage 1 and tokens that trains about as long, "
        "wrist-relative MPJPE. Rows of other frames, people or gestures have test images of their "
        "own: of those only differences compare."
    )
    yield from ("", "| what | grid | without, mm | full, mm | difference, mm | % | p |")
    yield f"|{' --- |' * 7}"
    for name, what in AT_EQUAL_TIME.items():
        one = grids.get(name)
        if one is None or one.missing:
            yield f"| {what} | {_grid_link(name, one)} | {progress(name, one)} | | | | |"
            continue
        row, without = one.rows[0], one.against
        found = one.differences(PRIMARY)[row.name]
        p = format_p(one.p_values(PRIMARY)[row.name])
        means = f"{mean_text(without, PRIMARY)} | {mean_text(row, PRIMARY)}"
        yield (
            f"| {what} | {_grid_link(name, one)} | {means} | {interval(found)} | "
            f"{found.percent:+.1f} | {p} |"
        )


def _scaling_note(grids: Mapping[str, GridResults]) -> str:
    text = "Points may differ in their numbers of seeds."
    if len(by_grid(grids, BY_POSES)) > 1:
        text += " With fewer poses the full model has no gesture loss in Stage 2."
    if len(by_grid(grids, BY_FRAMES)) > 1:
        text += (
            " Points over frames have test images of their own, and with three times the "
            "frames Stage 1 is a quarter shorter."
        )
    return text


def _other_variants(
    grids: Mapping[str, GridResults], over_all: Mapping[VariantPair, float]
) -> Iterator[str]:
    """Differences of complete grids that answer no question."""
    answered = {
        variant_pair(grids[question.grid], name)
        for question in QUESTIONS
        if question.grid in grids
        for name in question.variants
    }
    rows = []
    for key, one in unique_pairs(grids):
        if key in answered:
            continue
        words = {"lower": "lower", "higher": "higher", "inconclusive": "not shown"}
        what = one.row(key.variant).what
        kind = words[one.outcome(key.variant)]
        cells = [what, kind, *_difference_cells(one, key.variant, over_all)]
        rows.append(f"| {' | '.join([*cells, _grid_link(one.name, one)])} |")
    if not rows:
        yield "No grid with such a variant is complete."
        return
    yield "| variant | error | difference, mm | % | p | p over all | PA-MPJPE, mm | grid |"
    yield f"|{' --- |' * 8}"
    yield from rows
