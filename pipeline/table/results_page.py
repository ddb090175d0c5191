"""`docs/seeds.json` as Markdown: the table in README, and `docs/seeds.md` with every number."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from handpose.errors import HandPoseError
from handpose.evaluation.scores import STAGE_1
from handpose.files import atomic_file
from pipeline.readme_block import README, ReadmeBlock
from pipeline.table.seed_results import SPLIT, VALUE, Spread
from stages.evaluation.summary import MAJORITY, MODELS, PRIMARY

FACTS = Path("docs/seeds.json")
PAGE = Path("docs/seeds.md")
WRITTEN = (README, FACTS, PAGE)

BLOCK = ReadmeBlock(
    "<!-- results: written by `make table`, do not edit -->", "<!-- end of results -->"
)
NOT_MEASURED = "`make table` has not written its table here yet."

WIDTH = 140

Facts = Mapping[str, Any]


class ResultsPageError(HandPoseError):
    """What `make table` measured cannot be read."""


class TableColumn(NamedTuple):
    """A column of the table."""

    title: str
    section: str  # of the metrics: gesture or pose
    key: str
    digits: int


COLUMNS = (
    TableColumn("coarse", "gesture", "coarse_accuracy", 3),
    TableColumn("fine", "gesture", "fine_accuracy", 3),
    TableColumn("wrist-relative MPJPE, mm", "pose", PRIMARY, 1),
    TableColumn("PA-MPJPE, mm", "pose", "pa_mpjpe_mm", 1),
)


# --- files ---------------------------------------------------------------------------------------


def read_facts(root: Path) -> Facts | None:
    """What `make table` measured; None if it never ran.

    Raises:
        ResultsPageError: the file is not JSON.
    """
    path = root / FACTS
    if not path.is_file():
        return None
    try:
        found: Facts = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ResultsPageError(
            f"{path}: is not JSON ({error}); `make table` writes it anew"
        ) from None
    return found


def write_markdown(root: Path, facts: Facts) -> None:
    """Write the table into README, and `docs/seeds.md`.

    Raises:
        ReadmeError: see `ReadmeBlock.inside`.
    """
    text = (root / README).read_text("utf-8")
    for path, content in (
        (README, BLOCK.replaced(text, readme_block(facts))),
        (PAGE, results_page(facts)),
    ):
        with atomic_file(root / path) as partial:
            partial.write_text(content, encoding="utf-8")


def stale(root: Path) -> list[str]:
    """What no longer says what `docs/seeds.json` does; empty if all is well."""
    facts = read_facts(root)
    found = []
    if BLOCK.inside((root / README).read_text("utf-8")) != readme_block(facts):
        found.append(f"{README}: its table is not that of {FACTS}; `make table` writes both")
    page = root / PAGE
    if (page.read_text("utf-8") if page.is_file() else None) != (facts and results_page(facts)):
        found.append(f"{PAGE}: is not what {FACTS} says; `make table` writes both")
    return found


# --- README --------------------------------------------------------------------------------------


def readme_block(facts: Facts | None) -> str:
    """The lines between the markers: the table of models and baselines, and what it was made on."""
    if facts is None:
        return f"{NOT_MEASURED}\n"
    metrics = facts["metrics"]
    rows = [name for name in metrics["pose"][SPLIT] if name in MODELS]
    people = _join(_counts(metrics, rows, "subjects"))
    images = _join(_counts(metrics, rows, "samples"))
    seeds = _join(facts["seeds"])
    text = (
        f"Mean of training seeds {seeds} (lowest to highest) [95 % interval over people, seed "
        f"{facts['seeds'][0]}]; {_people(people)} never trained on, {images} images. "
        f"{_commit(facts)}, {_device(facts)}: another CPU gives other digits. "
        f"[All numbers]({PAGE})."
    )
    return "\n".join([*_table(metrics, rows), "", *_wrapped(text)]) + "\n"


def _table(metrics: Facts, rows: Sequence[str]) -> Iterator[str]:
    yield _row(["", *(column.title for column in COLUMNS), "training"])
    yield _row(["---"] * (len(COLUMNS) + 2))
    for name in rows:
        cells = [_cell(_node(metrics, column, name), column) for column in COLUMNS]
        yield _row([row_name(name), *cells, _training(metrics, name)])


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def row_name(key: str) -> str:
    """As tables and charts call it; a key without a name is spelled out."""
    return MODELS.get(key, key.replace("_", " "))


def _node(metrics: Facts, column: TableColumn, row: str) -> Any:
    section = metrics[column.section]
    return (section[SPLIT] if column.section == "pose" else section).get(row, {}).get(column.key)


def _cell(node: Any, column: TableColumn) -> str:
    """`33.4 (32.3 to 34.7) [29.6, 36.7]`; without the range where no seed changes it."""
    text = _range(Spread.of(node), column.digits)
    if not text or column.section == "gesture":
        return text
    low, high = (node.get(key, [None])[0] for key in ("low", "high"))
    return text if low is None or high is None else f"{text} [{low:.1f}, {high:.1f}]"


def _range(found: Spread | None, digits: int) -> str:
    if found is None:
        return ""
    mean, least, most = (f"{value:.{digits}f}" for value in found)
    return mean if least == most else f"{mean} ({least} to {most})"


def _training(metrics: Facts, row: str) -> str:
    """`77 + 101 s (171 to 190)`: by stage, with the range of the sum."""
    run = metrics.get("training", {}).get(row)
    total = Spread.of(run.get("total_s")) if run else None
    if total is None:
        return ""
    parts = [Spread.of(part) for part in run["seconds"].values()]
    text = " + ".join(f"{part.mean:.0f}" for part in parts if part) + " s"
    return f"{text} ({total.least:.0f} to {total.most:.0f})"


def _counts(metrics: Facts, rows: Sequence[str], count: str) -> list[str]:
    """Fewest and most people or images of the table's cells; one number if they are the same."""
    nodes = (_node(metrics, column, row) for column in COLUMNS for row in rows)
    found = {node[count] for node in nodes if node and isinstance(node.get(count), int)}
    return [f"{number:,}" for number in sorted({min(found), max(found)})] if found else ["?"]


def _join(items: Sequence[Any]) -> str:
    """`0, 1 and 2`; two numbers of a range: `1,045 to 1,073`."""
    texts = [str(item) for item in items]
    if len(texts) == 2:
        return " to ".join(texts)
    return ", ".join(texts[:-1]) + f" and {texts[-1]}" if len(texts) > 1 else texts[0]


def _people(count: str) -> str:
    return "1 person" if count == "1" else f"{count} people"


def _commit(facts: Facts) -> str:
    """`Commit 0123456789`, and how many files were not as committed."""
    count = len(facts["uncommitted"])
    files = "a changed file" if count == 1 else f"{count} changed files"
    return f"Commit {facts['commit'][:10]}" + (f" with {files}, not committed" if count else "")


def _device(facts: Facts) -> str:
    machine = facts["machine"]
    cores = f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}"
    threads = machine["omp_num_threads"]
    if threads:
        cores += f" with OMP_NUM_THREADS={threads}"
    return str(machine["gpu"] or f"{machine['cpu']}, {cores}")


def _versions(facts: Facts) -> str:
    machine = facts["machine"]
    return f"Python {machine['python']}, torch {machine['torch']}, numpy {machine['numpy']}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


# --- docs/seeds.md -------------------------------------------------------------------------------


def results_page(facts: Facts) -> str:
    """Every row and difference, each with every seed."""
    metrics, seeds = facts["metrics"], facts["seeds"]
    title = [f"seed {seed}" for seed in seeds]
    intro = (
        f"Written by `{facts['command']}` (`make table`); numbers: [seeds.json](seeds.json). "
        f"{_commit(facts)}, {_device(facts)}, {_versions(facts)}. Another CPU, number of threads "
        "or version gives other digits. Only `pretrain.seed` and `pose.seed` differ between the "
        "seeds, so the range is what chance in training changes. An interval in brackets is over "
        "people: 95 %, of that seed's models."
    )
    lines = ["# Results of several training seeds", "", *_wrapped(intro)]
    if facts["uncommitted"]:
        lines += ["", *_wrapped(f"Not committed: {', '.join(facts['uncommitted'])}.")]
    rows = {
        "gesture": [*metrics["gesture"]],
        "pose": [*metrics["pose"][SPLIT]],
    }
    for column in COLUMNS:
        lines += ["", f"## {column.title}", ""]
        lines += [_row(["", "mean", "range", *title, "images", "people"])]
        lines += [_row(["---"] * (len(seeds) + 5))]
        for name in rows[column.section]:
            node = _node(metrics, column, name)
            if node is not None and Spread.of(node):
                lines.append(_row([_own_name(name), *_by_seed(node, column.digits)]))
    differences = list(_differences(metrics, ()))
    if differences:
        lines += [
            "",
            "## Paired differences of the wrist-relative MPJPE, each person counted once, mm",
            "",
        ]
        lines += [_row(["", "mean", "range", *title, "images", "people"])]
        lines += [_row(["---"] * (len(seeds) + 5))]
        for path, node in differences:
            lines.append(_row([" ".join(path).replace("_", " "), *_by_seed(node, 2, "+")]))
    lines += ["", "## Training, s", "", _row(["", "mean", "range", *title, "Stage 2 steps"])]
    lines += [_row(["---"] * (len(seeds) + 4))]
    for name, run in metrics.get("training", {}).items():
        total = run.get("total_s")
        if Spread.of(total):
            cells = _by_seed(total, 0)[: 2 + len(seeds)] if isinstance(total, Mapping) else [total]
            lines.append(_row([row_name(name), *map(str, cells), str(run.get("steps", ""))]))
    return "\n".join(lines) + "\n"


def _own_name(key: str) -> str:
    return {STAGE_1: "Stage 1 alone", MAJORITY: "most frequent class"}.get(key, row_name(key))


def _by_seed(node: Facts, digits: int, sign: str = "") -> list[str]:
    """Cells: mean, range, each seed with its interval, images, people."""
    found = Spread.of(node)
    assert found is not None

    def text(value: float) -> str:
        return f"{value:{sign}.{digits}f}"

    values = node[VALUE]
    missing = [None] * len(values)
    bounds = zip(node.get("low", missing), node.get("high", missing), strict=True)
    each = [
        text(value) + (f" [{text(low)}, {text(high)}]" if None not in (low, high) else "")
        for value, (low, high) in zip(values, bounds, strict=True)
    ]
    counts = [f"{node[key]:,}" if key in node else "" for key in ("samples", "subjects")]
    same = found.least == found.most
    span = "" if same else f"{text(found.least)} to {text(found.most)}"
    return [text(found.mean), span, *each, *counts]


def _differences(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Facts]]:
    """Every comparison by the wrist-relative error, wherever the metrics have one, by its path."""
    if not isinstance(node, Mapping):
        return
    found = node.get(PRIMARY)
    if isinstance(found, Mapping) and Spread.of(found.get("by_person")):
        yield path, found["by_person"]
    for key, inner in node.items():
        yield from _differences(inner, (*path, key))
