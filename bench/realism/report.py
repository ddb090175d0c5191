"""What is printed, and the record that is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from bench.realism.scores import METRICS, Change, Judged, groups, summary
from handpose.evaluation.statistics import SHARE, Estimate

WHAT_IT_MEANS = (
    "This test is weak: the detector scores cartoon hands as high as photos and does not prefer a "
    "finer mesh. A low figure shows a fault of the rendering; a high one does not show that it "
    "looks real. Compare renderings of the same instants, by logit and side."
)

WORST = 10
"""Gestures that are printed; the record has all of them."""

NAME_WIDTH, WIDTH = 24, 13


def table(found: Judged) -> Iterator[str]:
    """The lines of a table: all photos, then each group; of gestures those with most 2D error."""
    yield _line("", ["photos", *(metric.heading for metric in METRICS.values())])
    everything = np.ones(len(found.frames), np.bool_)
    own = summary(found, everything)
    yield _row("all", int(everything.sum()), own)
    yield _line("  95 % by person", ["", *(_interval(name, one) for name, one in own.items())])
    for kind, members in groups(found).items():
        scored = {name: (int(rows.sum()), summary(found, rows)) for name, rows in members.items()}
        names = list(scored)
        if kind == "gesture":
            names = sorted(names, key=lambda name: -scored[name][1]["error_2d"].value)[:WORST]
        yield f"{kind}, the {len(names)} worst by 2D error" if kind == "gesture" else kind
        yield from (_row(f"  {name}", *scored[name]) for name in names)


def change_table(changes: Mapping[str, Change]) -> Iterator[str]:
    """The lines of a paired comparison."""
    yield _line("  95 % by person", ["change", "from", "to", "p", "better", "worse"])
    for name, change in changes.items():
        one = change.comparison.by_person
        p = change.comparison.student_p
        cells = [
            _value(name, change.comparison.difference.value, sign=True),
            _value(name, one.low, sign=True),
            _value(name, one.high, sign=True),
            "-" if math.isnan(p) else f"{p:.3f}",
            str(change.better),
            str(change.worse),
        ]
        yield _line(f"  {METRICS[name].heading}", cells)


def record(found: Judged) -> dict[str, Any]:
    """All of it for JSON: NaN as null."""
    everything = np.ones(len(found.frames), np.bool_)
    frames = {
        "image": [frame.image for frame in found.frames],
        "subject": [frame.subject for frame in found.frames],
        "gesture": [frame.gesture for frame in found.frames],
        "facing": [frame.facing for frame in found.frames],
        "box_px": [round(frame.box_px, 1) for frame in found.frames],
        "grey": found.is_grey.tolist(),
    }
    figures = {name: [_number(v) for v in column] for name, column in found.columns.items()}
    return {
        "all": _estimates(summary(found, everything)),
        **{
            kind: {name: _estimates(summary(found, rows)) for name, rows in members.items()}
            for kind, members in groups(found).items()
        },
        "photos": frames | figures,
    }


def change_record(changes: Mapping[str, Change]) -> dict[str, Any]:
    """A paired comparison for JSON."""
    return {
        name: {
            "change": _number(change.comparison.difference.value),
            "by_person": _estimate(change.comparison.by_person),
            "p": _number(change.comparison.student_p),
            "better": change.better,
            "worse": change.worse,
        }
        for name, change in changes.items()
    }


def _row(name: str, photos: int, own: Mapping[str, Estimate]) -> str:
    return _line(name, [str(photos), *(_value(key, one.value) for key, one in own.items())])


def _line(name: str, cells: Iterable[str]) -> str:
    return (f"{name:{NAME_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)).rstrip()


def _interval(name: str, one: Estimate) -> str:
    if math.isnan(one.low):
        return "-"
    return f"{_value(name, one.low)}..{_value(name, one.high)}"


def _value(name: str, value: float, sign: bool = False) -> str:
    """As people read it: shares and 2D error in %, others as they are; - for none."""
    if math.isnan(value):
        return "-"
    percent = METRICS[name].bounds == SHARE or name == "error_2d"
    digits = 2 if name == "logit" else 1
    return f"{100 * value if percent else value:{'+' if sign else ''}.{digits}f}"


def _estimates(own: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: _estimate(one) for name, one in own.items()}


def _estimate(one: Estimate) -> dict[str, Any]:
    return {
        "value": _number(one.value),
        "low": _number(one.low),
        "high": _number(one.high),
        "photos": one.samples,
        "people": one.subjects,
    }


def _number(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
