"""The evaluation for people: a short text for the terminal, and one HTML file with everything."""

from __future__ import annotations

import base64
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.scores import STAGE_1
from handpose.evaluation.statistics import Estimate
from stages.evaluation import findings
from stages.evaluation.findings import Evaluation
from stages.evaluation.summary import CHANCE, FULL, MAJORITY, MODELS, SCRATCH, Subgroup

WIDTH = 100
TEMPLATE = Path(__file__).parent / "report.html.j2"

NETWORKS = {
    STAGE_1: "Stage 1",
    FULL: "Stage 2, full model",
    SCRATCH: "Stage 2, without pretraining",
    MAJORITY: "most frequent class",
    CHANCE: "chance",
}
GESTURE_COLUMNS = {
    "coarse_accuracy": "coarse",
    "fine_accuracy": "fine",
    "coarse_macro_f1": "coarse macro F1",
    "fine_macro_f1": "fine macro F1",
    "coarse_accuracy_ignoring_hand": "coarse, any hand",
}
CURVES = {
    "pck_auc": "AUC of PCK, wrist-relative, 0-50 mm",
    "pa_pck_auc": "AUC of PCK after PA, 0-50 mm",
}
_BEFORE = [column.key for column in COLUMNS].index("table2_mpjpe_mm")
ALL_COLUMNS = (*COLUMNS[:_BEFORE], PUBLISHED, *COLUMNS[_BEFORE:])
"""Every protocol, those of Table 2 side by side."""

BREAKDOWNS = {
    "subject": "person",
    "hand": "hand",
    "joint": "joint",
    "gesture": "gesture",
    "camera": "camera",
}
"""Keys of `Evaluation.parts` and what one of each is called."""


def digits(key: str) -> int:
    """How many decimals a number of this key is printed with."""
    if key.endswith("_mm") or key == "uv_px":
        return 2
    return 3


def told(estimate: Estimate | None, decimals: int) -> str:
    """`30.91 [28.10, 33.52]`; without an interval the value alone, a dash for nothing."""
    if estimate is None or not math.isfinite(estimate.value):
        return "-"
    value = f"{estimate.value:.{decimals}f}"
    if not math.isfinite(estimate.low) or estimate.low == estimate.high:
        return value
    return f"{value} [{estimate.low:.{decimals}f}, {estimate.high:.{decimals}f}]"


# --- terminal ------------------------------------------------------------------------------------


def summary(e: Evaluation) -> str:
    """The short result table, at most 100 columns wide."""
    people = ", ".join(map(str, e.test.subjects))
    gesture = [
        (name, *(told(e.gesture[key].get(f"{level}_accuracy"), 3) for level in ("coarse", "fine")))
        for key, name in NETWORKS.items()
    ]
    pose = [
        (
            name,
            *(told(e.test.pose[key].get(c), 1) for c in ("wrist_mpjpe_mm", "pa_mpjpe_mm")),
            told(e.test.pose[key].get(PUBLISHED.key), 1),
            e.runs[key].seconds_told() if key in e.runs else "-",
        )
        for key, name in MODELS.items()
    ]
    lines = [
        f"Test: {e.test.samples:,} images of people never trained on (subjects {people}).",
        f"Classes are {e.handedness}; [low, high] is a 95 % interval that resamples people.",
        "",
        *_aligned(("Gestures, top-1 accuracy", "coarse", "fine"), gesture),
        "",
        *_aligned(
            ("Pose, mm", "wrist-relative", "PA", "Table 2 as publ.", "training"),
            pose,
        ),
        "",
        *(textwrap.fill(f"- {told}", WIDTH, subsequent_indent="  ") for told in _in_short(e)),
        "",
        "Pictures, curves, tables, limits: results/report.html. Numbers: results/metrics.json.",
    ]
    return "\n".join(lines) + "\n"


def _in_short(e: Evaluation) -> list[str]:
    """The verdict and the paired difference, the baselines, the caution."""
    return [*findings.pretraining(e)[::2], *findings.baselines(e), findings.caution(e)]


def _aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in plain text: the first column to the left, the others to the right."""
    table = [header, *rows]
    first, *widths = (max(len(row[k]) for row in table) for k in range(len(header)))
    lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in table]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


# --- HTML ----------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A table as text; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def html(e: Evaluation, images: Mapping[str, Path]) -> str:
    """The whole report as one file that needs no network.

    Args:
        e: the evaluation.
        images: PNG files by name: pck, training, confusion, map, and best, median, worst.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(
        e=e,
        findings=findings,
        verdict=e.comparisons["wrist_mpjpe_mm"].verdict,
        gesture=_gesture_table(e),
        pose={name: pose_table(e, name) for name in e.splits},
        compared=_comparison_table(e),
        parts={BREAKDOWNS[key]: _part_table(key, rows) for key, rows in e.parts.items()},
        protocols=ALL_COLUMNS,
        images={name: _inline(path) for name, path in images.items()},
    )


def pose_table(e: Evaluation, split: str) -> Table:
    """Every protocol (row) of every model (column) on one split."""
    names = {**{c.key: _with_unit(c.name, c.unit) for c in ALL_COLUMNS}, **CURVES}
    pose = e.splits[split].pose
    rows = [
        (
            name,
            *(told(pose[model].get(key), digits(key)) for model in MODELS),
            str(max((pose[m][key].samples for m in MODELS if key in pose[m]), default=0)),
        )
        for key, name in names.items()
    ]
    return Table(("protocol", *MODELS.values(), "images"), rows)


def _with_unit(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _gesture_table(e: Evaluation) -> Table:
    shown = [key for key in GESTURE_COLUMNS if key in e.gesture[STAGE_1]]
    rows = [
        (name, *(told(e.gesture[network].get(key), 3) for key in shown))
        for network, name in NETWORKS.items()
    ]
    return Table(("heads", *(GESTURE_COLUMNS[key] for key in shown)), rows)


def _comparison_table(e: Evaluation) -> Table:
    names = {c.key: _with_unit(c.name, c.unit) for c in COLUMNS}
    rows = [
        (
            names[key],
            told(c.difference, 2),
            told(c.by_person, 2),
            f"{c.subjects_lower} of {c.difference.subjects}",
            f"{c.p_value:.3g} (at best {c.smallest_p:.3g})",
            c.verdict,
        )
        for key, c in e.comparisons.items()
    ]
    means = ("by image [bootstrap]", "by person [Student]")
    header = ("with minus without", *means, "lower for", "p", "error")
    return Table(header, rows)


def _part_table(key: str, parts: Sequence[Subgroup]) -> Table:
    keys = list(parts[0].estimates) if parts else []
    for part in parts:
        keys += [k for k in part.estimates if k not in keys]
    rows = [
        (
            part.name,
            *(told(part.estimates.get(k), digits(k)) for k in keys),
            str(max(e.samples for e in part.estimates.values())),
        )
        for part in parts
    ]
    return Table((BREAKDOWNS[key], *map(_part_heading, keys), "images"), rows)


def _part_heading(key: str) -> str:
    """A column of a breakdown in words."""
    if key == "coarse_accuracy":
        return "Stage 1 coarse"
    run = next(run for run in MODELS if key.startswith(run))
    metric = "PA, mm" if key.endswith("pa_mpjpe_mm") else "wrist-relative, mm"
    return f"{MODELS[run]}: {metric}"


def _inline(path: Path) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
