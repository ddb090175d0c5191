"""A grid as a page under git: what it answers, and its variants over seeds and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handpose.counted import counted
from handpose.files import atomic_file
from pipeline.experiment.grid import read_grids
from pipeline.experiment.grid_results import (
    MEASURES,
    PRIMARY,
    ComparisonError,
    GridResults,
    Row,
    same_images_notes,
)
from pipeline.experiment.pages.answers import answers_of, interval, planned
from pipeline.experiment.runs import RESULTS

INTERVENTIONS = {
    "gates_closed": "both gates closed",
    "other_logits": "another image's logits",
    "true_class": "the true class made the most likely",
}


def write_page(root: Path, name: str) -> str:
    """Write `experiments/results/<grid>.md`; returns what it says.

    Raises:
        HandPoseError: see `GridResults.read`; or there are no results.
    """
    text = "\n".join(page(GridResults.read(root, read_grids(root), name))) + "\n"
    path = root / RESULTS / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return text


def page(results: GridResults) -> Iterator[str]:
    """Lines of Markdown.

    Raises:
        ComparisonError: there are no results.
    """
    name, grid, rows, known = results.name, results.grid, results.rows, results.known
    if not known:
        raise ComparisonError(f"{name}: no run has a result; `handpose experiment run {name}`")
    people = results.people
    yield from (f"# {name}: {grid.what}", "")
    yield f"Written by `handpose experiment table {name}` from the results beside it."
    yield origin(known)
    yield from same_images_notes(known, results.same_images)
    if when := planned(results):
        yield when
    for text in answers_of(results):
        yield from ("", text)
    yield ""
    images = sum(known[0]["people"][one]["images"] for one in people)
    where = f"Test set `{grid.test_set}`" if grid.test_set else "Labelled test split"
    yield (
        f"{where}: {images:,} images of {counted(len(people), 'person', 'people')}. "
        "A difference is the "
        f"variant minus `{grid.against}`, each person counted once; its interval is 95 %, for "
        "other seeds and other people (`handpose/evaluation/crossed.py`). p is adjusted for the "
        "number of variants in the table (Holm). The effect is the difference in standard "
        f"deviations of people's errors under `{grid.against}`. Differences are given when every "
        "run has a result."
    )
    for measure, title in MEASURES.items():
        measured = results.measured(measure)
        yield from ("", f"## {title}", "")
        if left_out := sorted(set(people) - set(measured), key=int):
            yield from (f"Without a value, left out: person {', '.join(left_out)}.", "")
        if not measured:
            yield "No person has a value in every run."
            continue
        yield from _table(results, measure, measured)
    if grid.test_set:
        yield from ("", "## Every test set", "")
        yield from every_test(results)
    yield from ("", "## Training, and what the gesture tokens do", "")
    yield from _training(rows)


def origin(known: Sequence[Mapping[str, Any]]) -> str:
    """Commits, machines and states of the code of these results."""
    commits = sorted({one["commit"][:10] for one in known})
    machines = sorted(
        {f"{one['machine']['cpu']}, {one['machine']['cores']} cores" for one in known}
    )
    dirty = sum(bool(one["uncommitted"]) for one in known)
    changed = f" ({dirty} of {len(known)} runs with uncommitted changes)" if dirty else ""
    codes = len({tuple(sorted(one["code"].items())) for one in known})
    mixed = f" The runs have {codes} states of the code." if codes > 1 else ""
    return f"Commit {', '.join(commits)}{changed}; {'; '.join(machines)}.{mixed}"


def _table(results: GridResults, measure: str, people: Sequence[str]) -> Iterator[str]:
    grid = results.grid
    found = {} if results.missing else results.differences(measure)
    p_values = {} if results.missing else results.p_values(measure)
    seeds = [f"seed {seed}" for seed in grid.seeds]
    yield f"| variant | what | {' | '.join(seeds)} | mean | difference | % | effect | p |"
    yield f"|{' --- |' * (len(seeds) + 7)}"
    for row in results.rows:
        cells = [
            "missing" if result is None else f"{_mean(result, measure, people):.2f}"
            for result in row.results.values()
        ]
        table = row.table(measure, people)
        mean = f"{table.mean():.2f}" if len(table) else ""
        change = percent = effect = p = ""
        if one := found.get(row.name):
            change, percent = interval(one), f"{one.percent:+.1f}"
            effect, p = f"{one.effect:+.2f}", f"{p_values[row.name]:.3g}"
        elif row.name != grid.against and results.missing:
            change = "open"
        elif row.name != grid.against:
            change = "needs two people" if len(people) < 2 else "needs two seeds"
        cells = [row.name, row.what, *cells, mean, change, percent, effect, p]
        yield f"| {' | '.join(cells)} |"


def _mean(result: Mapping[str, Any], measure: str, people: Sequence[str]) -> float:
    return float(np.mean([result["people"][one][measure]["mean"] for one in people]))


def every_test(results: GridResults) -> Iterator[str]:
    """The primary measure on each further test set: means, and differences with intervals."""
    against = results.grid.against
    others = [row for row in results.rows if row.name != against]
    titles = [f"`{row.name}`, mm | minus `{against}`, mm" for row in others]
    yield (
        f"The {MEASURES[PRIMARY]} on each of the test sets. Only `{results.grid.test_set}` was "
        "chosen before the runs; the others describe and decide nothing."
    )
    yield from ("", f"| test set | `{against}`, mm | {' | '.join(titles)} |")
    yield f"|{' --- |' * (2 + 2 * len(others))}"
    for test in results.tests:
        found = results.on(test)
        differences = {} if found.missing else found.differences(PRIMARY)
        cells = [f"`{test}`", _mean_of(found, against)]
        for row in others:
            one = differences.get(row.name)
            change = interval(one) if one else ""
            cells += [_mean_of(found, row.name), change]
        yield f"| {' | '.join(cells)} |"


def _mean_of(results: GridResults, name: str) -> str:
    table = results.row(name).table(PRIMARY, results.measured(PRIMARY))
    return f"{table.mean():.2f}" if table.size else "missing"


def _training(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        f"| variant | Stage 1, s | Stage 2, s | steps | kept epoch | coarse, % | gates | "
        f"{' | '.join(f'{words}, mm' for words in INTERVENTIONS.values())} |"
    )
    yield f"|{' --- |' * (7 + len(INTERVENTIONS))}"
    for row in rows:
        if not row.known:
            continue
        seconds = {
            stage: np.mean([result["seconds"].get(stage, 0.0) for result in row.known])
            for stage in ("pretrain", "pose")
        }
        steps = np.mean([result["steps"] for result in row.known])
        gates = [result["gates"] for result in row.known if result["gates"]]
        cells = [
            row.name,
            f"{seconds['pretrain']:.0f}",
            f"{seconds['pose']:.0f}",
            f"{steps:,.0f}",
            _kept_epochs(row.known),
            _over_people(row.known, "coarse_accuracy", 100, ".1f"),
            ", ".join(f"{gate:.3f}" for gate in np.mean(gates, 0)) if gates else "none",
            *(_over_people(row.known, f"{key}_{PRIMARY}", 1, "+.2f") for key in INTERVENTIONS),
        ]
        yield f"| {' | '.join(cells)} |"


def _kept_epochs(results: Sequence[Mapping[str, Any]]) -> str:
    """Which epoch's weights were scored, as `2 to 3 of 3`; older results do not say."""
    kept = sorted({one["kept_epoch"] for one in results if "kept_epoch" in one})
    if not kept:
        return ""
    epochs = " or ".join(
        str(n) for n in sorted({one["epochs"] for one in results if "epochs" in one})
    )
    return f"{' to '.join(str(epoch) for epoch in sorted({kept[0], kept[-1]}))} of {epochs}"


def _over_people(
    results: Sequence[Mapping[str, Any]], measure: str, factor: float, form: str
) -> str:
    values = [
        person[measure]["mean"]
        for result in results
        for person in result["people"].values()
        if measure in person
    ]
    return format(factor * float(np.mean(values)), form) if values else ""
