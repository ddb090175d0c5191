"""`handpose field`: results/field.md and results/field.json.

Nothing is averaged over files, and nothing is guessed: a row without numbers says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handpose.evaluation.official import COLUMNS as OFFICIAL
from handpose.evaluation.pixel_share import SHARES
from handpose.evaluation.protocols import PUBLISHED
from handpose.files import atomic_file
from handpose.hint.hands import read_subsets, sha256_of
from handpose.nets.network_by_name import EANET
from pipeline.benchmark.evaluate_benchmark import HINT
from pipeline.field.field_results import (
    BenchmarkResults,
    FieldResult,
    benchmark_results,
    imported_results,
    own_network,
    own_result,
)
from pipeline.field.field_rows import FIELD, PAPER, ROWS, TERMS, FieldRow, row_of
from pipeline.field.latency import Latency, Setting, latencies
from pipeline.imported.held_out import HeldOut
from stages.evaluation.data import EvaluationData
from stages.evaluation.report import ALL_COLUMNS, digits, format_estimate
from stages.evaluation.summary import FULL, PRIMARY, SCRATCH, to_json
from stages.ingestion.formats import BENCHMARKS, benchmark_root, open_benchmark
from stages.params import Params
from stages.paths import FIELD_FACTS, FIELD_PAGE, SAMPLES, STAGE_2_MODELS
from stages.running.artifacts import write_json

SCHEMA = 1
"""Of the JSON file; it grows when a field goes, or means another thing."""

SHOWN = (PRIMARY, "pa_mpjpe_mm", "pa_mpvpe_mm", PUBLISHED.key, "table2_mpvpe_mm")
"""Protocols of the page; the JSON file has all."""

SHOWN_OFFICIAL = ("xyz_root_mm", "xyz_pa_mm", "mesh_pa_mm", "xyz_pa_auc")
"""The same of benchmarks."""

SHOWN_2D = {f"pck_{share:.2f}": f"2D joints within {share:.2f} of the box" for share in SHARES}
"""The same of HInt."""

Write = Callable[[str], None]


@dataclass(frozen=True)
class FieldLine:
    """A row with one of its results."""

    group: str
    row: str
    result: FieldResult


@dataclass(frozen=True)
class Field:
    """Everything that is written."""

    split: str
    images: int  # 0: no data are here
    over: str  # what intervals resample
    data_sha256: str
    lines: Sequence[FieldLine]
    benchmarks: Sequence[BenchmarkResults]
    setting: Setting
    latency: Mapping[str, Sequence[Latency]]  # by row; empty if it was not measured

    @classmethod
    def gather(cls, params: Params, split: str, device: torch.device, rounds: int) -> Field:
        """What is here of each row.

        Args:
            params: of this clone.
            split: that is evaluated.
            device: that latency is measured on.
            rounds: of the latency; 0: it is not measured.

        Raises:
            HandPoseError: a file of results, a model or the data are damaged.
        """
        held_out = _held_out(params, split)
        lines = list(_lines(held_out, split))
        found = (benchmark_results(name, _sha256(params, name)) for name in (*BENCHMARKS, HINT))
        own = {_own_row(run).name: folder for run, folder in STAGE_2_MODELS.items()}
        return cls(
            split,
            len(held_out) if held_out else 0,
            _over(held_out) if held_out else "",
            held_out.sha256 if held_out else "",
            lines,
            [one for one in found if one is not None],
            Setting.of(device),
            latencies(own, Path(params.hand.mano), device, rounds) if rounds else {},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, NaN as null."""
        return {
            "schema": SCHEMA,
            "split": self.split,
            "images": self.images,
            "intervals_over": self.over,
            "data_sha256": self.data_sha256,
            "rows": [
                {"group": line.group, "row": line.row, **_result_json(line.result)}
                for line in self.lines
            ],
            "benchmarks": {
                one.name: {
                    "intervals_over": one.over,
                    "rows": [_result_json(result) for result in one.results],
                }
                for one in self.benchmarks
            },
            "latency": {
                "device": self.setting.device,
                "threads": self.setting.threads,
                "rows": {
                    row: [one.to_json() for one in times] for row, times in self.latency.items()
                },
            },
            "published_by_others": {
                row.name: [one._asdict() for one in row.published] for row in ROWS if row.published
            },
            "protocols": {c.key: c.protocol for c in ALL_COLUMNS},
        }

    def page(self) -> str:
        """The same as Markdown."""
        return "\n".join(_page(self)) + "\n"


def write_field(
    params: Params, *, split: str, device: torch.device, rounds: int, write: Write
) -> Path:
    """Write both files; returns the page's.

    Raises:
        HandPoseError: see `Field.gather`.
    """
    found = Field.gather(params, split, device, rounds)
    FIELD_PAGE.parent.mkdir(parents=True, exist_ok=True)
    write_json(FIELD_FACTS, found.to_json())
    with atomic_file(FIELD_PAGE) as partial:
        partial.write_text(found.page(), encoding="utf-8")
    for line in found.lines:
        error = format_estimate(line.result.estimates.get(PRIMARY), digits(PRIMARY))
        write(f"{line.row}: {line.result.state}" + (f", {error} mm" if error != "-" else ""))
    write(f"wrote {FIELD_PAGE} and {FIELD_FACTS}")
    return FIELD_PAGE


# --- rows ----------------------------------------------------------------------------------------


def _held_out(params: Params, split: str) -> HeldOut | None:
    """The evaluated samples of a split; None in a clone without data."""
    if not SAMPLES.is_file():
        return None
    data = EvaluationData.open(
        image_px=params.encoder.image_px, canonical=False, batch=params.evaluate.batch
    )
    return HeldOut.open(data, split)


def _over(held_out: HeldOut) -> str:
    return held_out.units.explained(len(set(held_out.subjects.tolist())))


def _sha256(params: Params, name: str) -> str | None:
    """Of a benchmark's truth; None if its folder is not configured."""
    if name not in params.data.benchmarks:
        return None
    if name == HINT:
        return sha256_of(read_subsets(benchmark_root(params.data, name))[0])
    return open_benchmark(params.data, name).truth().sha256


def _own_row(run: str) -> FieldRow:
    """The row that this clone's model of a run is; the paper's own where there is no model."""
    network = own_network(run)
    rows = [row for row in PAPER if row.run and row.run[1] == run]
    return next((row for row in rows if row.run and row.run[0] == network), rows[-1])


def _lines(held_out: HeldOut | None, split: str) -> Iterator[FieldLine]:
    """Each row with its results, or what is missing; then files of models that are no row."""
    own = {_own_row(run).name: run for run in (FULL, SCRATCH) if own_network(run) is not None}
    imported: dict[str, list[FieldResult]] = {}
    others: list[FieldResult] = []
    for result in imported_results(held_out, split):
        row = row_of(result.model)
        (imported.setdefault(row.name, []) if row else others).append(result)
    for group, rows in (("paper", PAPER), ("field", FIELD)):
        for row in rows:
            found = list(imported.get(row.name, []))
            if row.name in own:
                found.insert(0, own_result(own[row.name], row.name, held_out))
            if not found:
                found = [FieldResult(row.name, "missing", _how(row))]
            yield from (FieldLine(group, row.name, one) for one in found)
    yield from (FieldLine("others", one.model, one) for one in others)


def _how(row: FieldRow) -> str:
    """How to get a row that is not here."""
    if row.run and row.run[0] != EANET and own_network(row.run[1]) == EANET:
        return f"this clone is of profile eanet: `handpose configure --profile demo`; {row.how}"
    return row.how


# --- JSON ----------------------------------------------------------------------------------------


def _result_json(result: FieldResult) -> dict[str, Any]:
    found: dict[str, Any] = to_json(
        {
            "model": result.model,
            "state": result.state,
            "remark": result.remark,
            "images": result.images,
            "estimates": result.estimates,
            "source": result.source,
        }
    )
    return found


# --- Markdown ------------------------------------------------------------------------------------


def _page(field: Field) -> Iterator[str]:
    yield from ("# The field's table", "", "Written by `handpose field`; do not edit.", "")
    yield from _split(field)
    yield from _remarks(field)
    for one in field.benchmarks:
        yield from _benchmark(one)
    yield from _latency(field)
    yield from _published()


def _split(field: Field) -> Iterator[str]:
    names = {c.key: f"{c.name}, {c.unit}" for c in ALL_COLUMNS}
    yield from (f"## Split {field.split} of this clone", "")
    if field.images:
        yield (
            f"{field.images:,} images; [low, high]: Student's 95 % interval over {field.over}. "
            f"Digest of photos and annotated joints: {field.data_sha256[:16]}. How, on what and "
            "how long a model was trained is not compared."
        )
    else:
        yield "No data are here: `dvc repro` makes or reads them."
    yield from _table(
        ("row", "state", *(names[key] for key in SHOWN), "images"),
        [
            (
                line.row if line.row == line.result.model else f"{line.row} ({_short(line)})",
                line.result.state,
                *(format_estimate(line.result.estimates.get(key), digits(key)) for key in SHOWN),
                f"{line.result.images:,}" if line.result.images else "-",
            )
            for line in field.lines
        ],
    )


def _short(line: FieldLine) -> str:
    """What a result is beside the name of its row: the model's folder, or what its file says."""
    return line.result.model.removeprefix(f"{line.row}: ")


def _remarks(field: Field) -> Iterator[str]:
    remarked = [line for line in field.lines if line.result.remark]
    for state, heading in (
        ("missing", "How to get what is missing"),
        ("refused", "Refused"),
        ("imported", "Remarks"),
    ):
        own = [line for line in remarked if line.result.state == state]
        if own:
            yield from (f"## {heading}", "")
            yield from (f"- **{line.row}**: {line.result.remark.rstrip('.')}." for line in own)
            yield ""
            if state == "missing":
                yield from (
                    "MANO is downloaded by each user (`handpose mano import`); a file of "
                    "predictions is as docs/imported.md describes.",
                    f"Licences: {TERMS}.",
                    "",
                )


def _benchmark(one: BenchmarkResults) -> Iterator[str]:
    yield from (f"## {one.name}, by its own evaluator", "")
    if one.over:
        yield f"[low, high]: Student's 95 % interval over {one.over}."
    scored = {key for result in one.results for key in result.estimates}
    names = {key: name for key, name in _benchmark_names() if key in scored}
    yield from _table(
        ("predictions", "state", *names.values(), "hands"),
        [
            (
                result.model,
                result.state,
                *(format_estimate(result.estimates.get(key), digits(key)) for key in names),
                f"{result.images:,}",
            )
            for result in one.results
        ],
    )
    yield from (f"- **{one.model}**: {one.remark}" for one in one.results if one.remark)
    yield ""


def _benchmark_names() -> Iterator[tuple[str, str]]:
    """Keys of benchmarks' scores on the page, and their names."""
    for column in OFFICIAL:
        if column.key in SHOWN_OFFICIAL:
            yield column.key, f"{column.name}, mm" if column.unit else column.name
    yield from SHOWN_2D.items()


def _latency(field: Field) -> Iterator[str]:
    yield from ("## Latency", "")
    if not field.latency:
        yield "Not measured: no model is here, or `--rounds 0` was given."
        yield ""
        return
    yield (
        f"{field.setting.device}; threads: {field.setting.threads}; medians after one call that "
        "is not counted. CPU time is of all threads, and means more where the machine does other "
        "work too. Of models that are not here nothing was measured."
    )
    yield from _table(
        ("row", "included", "batch", "ms an image, wall", "ms an image, CPU", "rounds"),
        [
            (
                row,
                one.included,
                str(one.batch),
                f"{1000 * one.seconds.wall:.1f}",
                f"{1000 * one.seconds.cpu:.1f}",
                str(one.rounds),
            )
            for row, times in field.latency.items()
            for one in times
        ],
    )


def _published() -> Iterator[str]:
    yield from ("## Figures that others published", "")
    yield (
        "Theirs, on other data, by other protocols and on other machines: comparable with nothing "
        "above, and here so that nobody has to look for them."
    )
    yield from _table(
        ("row", "measure", "value", "of", "source"),
        [(row.name, *one) for row in ROWS for one in _in_order(row)],
    )


def _in_order(row: FieldRow) -> Iterator[tuple[str, str, str, str]]:
    yield from ((one.measure, one.value, one.data, one.source) for one in row.published)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from ("", f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}")
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    yield ""
