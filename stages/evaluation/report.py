"""Reports of an evaluation: a short text for the terminal, and one HTML file with everything."""

from __future__ import annotations

import base64
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import markupsafe

from handpose.evaluation import statistics
from handpose.evaluation.interventions import INTERVENTIONS
from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.scores import STAGE_1
from handpose.evaluation.statistics import Estimate
from stages.evaluation import findings
from stages.evaluation.findings import Evaluation
from stages.evaluation.summary import (
    CHANCE,
    FULL,
    MAJORITY,
    MODELS,
    PRIMARY,
    SCRATCH,
    Subgroup,
)
from stages.evaluation.two_hands import MRRPE, TwoHands

WIDTH = 100
TEMPLATE = Path(__file__).parent / "report.html.j2"
MESH_SCRIPT = Path(__file__).parent / "mesh.js"

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
ACCURACIES = ("coarse_accuracy", "fine_accuracy")
ERRORS = ("wrist_mpjpe_mm", "pa_mpjpe_mm", PUBLISHED.key)
"""Columns of the summary."""
TOKEN_COLUMNS = (PRIMARY, "pa_mpjpe_mm")
"""Errors to which interventions on the gesture tokens are charged."""
CURVES = {
    "pck_auc": "AUC of PCK, wrist-relative, 0-50 mm",
    "pa_pck_auc": "AUC of PCK after PA, 0-50 mm",
}
_BEFORE = [column.key for column in COLUMNS].index("table2_mpjpe_mm")
ALL_COLUMNS = (*COLUMNS[:_BEFORE], PUBLISHED, *COLUMNS[_BEFORE:])
"""All protocols, those of Table 2 adjacent."""

BREAKDOWNS = {
    "subject": "person",
    "hand": "hand",
    "joint": "joint",
    "gesture": "gesture",
    "camera": "camera name, over all sessions",
    "facing": "face of the hand",
    "rotation": "rotation in the image, degrees clockwise from fingers up",
    "phase": "phase of the sequence",
    "visibility": "annotated joints",
    "confidence": "Stage 1's probability of its gesture",
}
"""Keys of `Evaluation.subgroups` and the name of one of each."""


def digits(key: str) -> int:
    """Number of printed decimals for a key."""
    if key.endswith("_mm") or key == "uv_px":
        return 2
    return 3


def format_estimate(estimate: Estimate | None, decimals: int) -> str:
    """`30.91 [28.10, 33.52]`; the value alone if there is no interval, a dash if no value."""
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
        (name, *(format_estimate(e.gesture[key].get(k), 3) for k in ACCURACIES))
        for key, name in _networks(e).items()
    ]
    pose = [
        (
            name,
            *(format_estimate(e.test.pose[key].get(k), 1) for k in ERRORS),
            e.runs[key].format_seconds() if key in e.runs else "-",
        )
        for key, name in MODELS.items()
    ]
    lines = [
        f"Test: {e.test.samples:,} images of people not in the training set (subjects {people}).",
        f"Classes are {e.handedness}; [low, high]: Student's 95 % interval over people.",
        "",
        *aligned(("Gestures, top-1 accuracy", "coarse", "fine"), gesture),
        "",
        *aligned(
            ("Pose, mm", "wrist-relative", "PA", "Table 2 as publ.", "training"),
            pose,
        ),
        "",
        *(textwrap.fill(f"- {text}", WIDTH, subsequent_indent="  ") for text in _key_findings(e)),
        "",
        "Pictures, curves, tables, limits: results/report.html. Numbers: results/metrics.json.",
    ]
    return "\n".join(lines) + "\n"


def _networks(e: Evaluation) -> dict[str, str]:
    """The names of those whose gesture accuracy is shown: heads that nothing trained have none."""
    return {key: name for key, name in NETWORKS.items() if key != STAGE_1 or e.knows_gestures}


def _key_findings(e: Evaluation) -> list[str]:
    """The verdict, the paired difference, the baselines and the caution."""
    return [
        *findings.pretraining(e)[:3:2],
        findings.tokens(e)[0],
        *findings.baselines(e),
        *findings.two_hands(e),
        findings.caution(e),
    ]


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A plain-text table: first column left-aligned, the others right-aligned."""
    table = [header, *rows]
    first, *widths = (max(len(row[k]) for row in table) for k in range(len(header)))
    lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in table]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


# --- HTML ----------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A table of strings; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def html(e: Evaluation, images: Mapping[str, Path], mesh: str | None = None) -> str:
    """The whole report as one self-contained HTML file.

    Args:
        e: the evaluation.
        images: PNG files by name: pck, training, confusion, map, outputs, vertices, and pairs,
            best, median, worst.
        mesh: JSON of `ErrorMesh.for_browser`, without characters that end a script.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(
        e=e,
        findings=findings,
        mrrpe=MRRPE,
        verdict=e.comparisons[PRIMARY].verdict,
        gesture=_gesture_table(e),
        pose={name: pose_table(e, name) for name in e.splits},
        compared=_comparison_table(e),
        tokens=_token_table(e),
        subgroups={
            BREAKDOWNS[key]: _subgroup_table(key, rows, gestures=e.knows_gestures)
            for key, rows in e.subgroups.items()
            if key != "confidence" or e.knows_gestures
        },
        two_hands={
            name: _two_hands_tables(split.two_hands)
            for name, split in e.splits.items()
            if split.two_hands
        },
        protocols=ALL_COLUMNS,
        images={name: _inline(path) for name, path in images.items()},
        mesh=None if mesh is None else markupsafe.Markup(mesh.replace("<", "\\u003c")),
        mesh_script=markupsafe.Markup(MESH_SCRIPT.read_text("utf-8")),
    )


def pose_table(e: Evaluation, split: str) -> Table:
    """Protocols (rows) by models (columns) on one split."""
    names = {**{c.key: _with_unit(c.name, c.unit) for c in ALL_COLUMNS}, **CURVES}
    pose = e.splits[split].pose
    rows = [
        (
            name,
            *(format_estimate(pose[model].get(key), digits(key)) for model in MODELS),
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
        (name, *(format_estimate(e.gesture[network].get(key), 3) for key in shown))
        for network, name in _networks(e).items()
    ]
    return Table(("heads", *(GESTURE_COLUMNS[key] for key in shown)), rows)


def _comparison_table(e: Evaluation) -> Table:
    names = {c.key: _with_unit(c.name, c.unit) for c in COLUMNS}
    verdicts = statistics.verdicts(e.comparisons, PRIMARY)
    rows = [
        (
            names[key] + (" (primary)" if key == PRIMARY else ""),
            format_estimate(c.difference, 2),
            format_estimate(c.by_person, 2),
            f"{c.subjects_lower} of {c.difference.subjects}",
            f"{c.p_value:.3g} (at least {c.smallest_p:.3g})",
            verdicts[key],
        )
        for key, c in e.comparisons.items()
    ]
    means = ("by image", "by person")
    header = ("with minus without", *means, "lower for", "sign-flip p", "error, by person")
    return Table(header, rows)


def _token_table(e: Evaluation) -> Table:
    """What changing the gesture tokens of a trained model adds to its errors."""
    names = {c.key: c.name for c in COLUMNS}
    rows = [
        (
            f"{MODELS[run]}: {INTERVENTIONS[name]}",
            *(format_estimate(costs[key].by_person, 2) for key in TOKEN_COLUMNS),
            str(costs[PRIMARY].difference.samples),
        )
        for run, found in e.interventions.items()
        for name, costs in found.items()
    ]
    return Table(("change", *(f"{names[key]}, mm" for key in TOKEN_COLUMNS), "images"), rows)


def _two_hands_tables(found: TwoHands) -> list[Table]:
    """Hands by how much of them lies in the other's box, their joints by place, and MRRPE."""
    mrrpe = [
        (MODELS[run], format_estimate(estimate, digits("mrrpe_mm")), str(estimate.samples))
        for run, estimate in found.mrrpe_mm.items()
    ]
    return [
        _grouped("hands", found.covered),
        _grouped("joints, mean of each hand", found.places),
        Table(("relative to the other hand", "MRRPE, mm", "photos with both wrists"), mrrpe),
    ]


def _subgroup_table(key: str, subgroups: Sequence[Subgroup], *, gestures: bool) -> Table:
    """A breakdown; without `gestures`, Stage 1's accuracy is left out."""
    if not gestures:
        subgroups = [
            Subgroup(name, {k: found for k, found in estimates.items() if k != "coarse_accuracy"})
            for name, estimates in subgroups
        ]
    return _grouped(BREAKDOWNS[key], subgroups)


def _grouped(heading: str, subgroups: Sequence[Subgroup]) -> Table:
    keys = list(subgroups[0].estimates) if subgroups else []
    for subgroup in subgroups:
        keys += [k for k in subgroup.estimates if k not in keys]
    rows = [
        (
            subgroup.name,
            *(format_estimate(subgroup.estimates.get(k), digits(k)) for k in keys),
            str(max(e.samples for e in subgroup.estimates.values())),
        )
        for subgroup in subgroups
    ]
    return Table((heading, *map(_subgroup_heading, keys), "images"), rows)


def _subgroup_heading(key: str) -> str:
    """Heading of a breakdown's column."""
    if key == "coarse_accuracy":
        return "Stage 1 coarse"
    run = next(run for run in MODELS if key.startswith(run))
    metric = "PA, mm" if key.endswith("pa_mpjpe_mm") else "wrist-relative, mm"
    return f"{MODELS[run]}: {metric}"


def _inline(path: Path) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
