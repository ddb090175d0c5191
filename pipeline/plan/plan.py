"""`handpose plan`: which stages would run, which would not, why, and how long they last took."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from handpose.counted import counted
from handpose.errors import HandPoseError
from pipeline.dvc_internals import DepChange, FileVersion
from pipeline.plan.forecast import Fate, Forecast, forecast
from pipeline.plan.git_diff import changed_code, changed_lines, unknown

Number = TypeVar("Number", int, float)

SIGNS = {Fate.UNCHANGED: "=", Fate.RESTORED: "<", Fate.RUNS: ">", Fate.STOPS: "!"}
MOST_CHANGES = 6
CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ")

REMEDIES = {
    "dvc.lock": "take one side (`git checkout --ours dvc.lock`, or --theirs), then `dvc checkout` "
    "brings back its results and `dvc repro` what is left to do",
    "dvc.yaml": "fix it by hand: `git diff` shows both sides",
    "params.yaml": "fix it by hand: `git diff` shows both sides",
}


class PlanError(HandPoseError):
    """There is nothing to plan with."""


class Plan(NamedTuple):
    """What was found."""

    lines: list[str]
    stops: bool  # dvc would not get to the end


def plan(root: Path, targets: Sequence[str] = ()) -> Plan:
    """What `dvc repro TARGETS` would do, and why.

    Raises:
        PlanError: `dvc.yaml` is missing, or a git conflict is left in a file that DVC reads.
        ForecastError: DVC cannot use them.
    """
    check(root)
    found = forecast(root, list(targets))
    width = max((len(one.stage) for one in found), default=0)
    lines = [line for one in found for line in _describe(one, width, root)]
    if any(change.kind in ("input", "code") for one in found for change in one.changes) and (
        why := unknown(root)
    ):
        lines += ["", f"Which lines of a file changed is not known. {why}"]
    return Plan([*lines, "", *_total(found)], any(one.fate is Fate.STOPS for one in found))


def check(root: Path) -> None:
    """Refuse files that DVC could not read, with a remedy.

    Raises:
        PlanError: see `plan`.
    """
    if not (root / "dvc.yaml").is_file():
        raise PlanError("dvc.yaml: not found; run this in the folder of the clone")
    for name, remedy in REMEDIES.items():
        path = root / name
        lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
        marks = [k for k, line in enumerate(lines, 1) if line.startswith(CONFLICT)]
        if marks:
            raise PlanError(f"{name}:{marks[0]}: a git conflict is left in it; {remedy}")


# --- a stage -------------------------------------------------------------------------------------


def _describe(one: Forecast, width: int, root: Path) -> Iterator[str]:
    """`> pretrain  runs  about 1 min 23 s, 5.1 MB`, and under it why."""
    head = f"{SIGNS[one.fate]} {one.stage:<{width}}  {one.fate.value:<9}"
    yield f"{head}  {_cost(one)}".rstrip()
    if one.frozen:
        yield "      frozen in dvc.yaml: its inputs are not checked"
    for change in one.changes[:MOST_CHANGES]:
        yield from (f"      {line}" for line in _reason(change, root))
    if left := one.changes[MOST_CHANGES:]:
        code = all(change.kind == "code" for change in left)
        yield f"      ... and {len(left)} more" + ("" if code else f": dvc status {one.stage}")
    if one.after:
        yield f"      after {', '.join(one.after)}"
    for line in one.fault.splitlines():
        yield f"      {line}"


def _cost(one: Forecast) -> str:
    """What the last recorded run took."""
    if one.fate is Fate.RESTORED:
        return format_bytes(one.size)
    if one.fate is not Fate.RUNS:
        return ""
    seconds = _seconds(one)
    if not one.recorded:
        return "time and size unknown: no run is recorded"
    time = "for an unknown time" if seconds is None else f"about {format_seconds(seconds)}"
    return f"{time}, {format_bytes(one.size)}"


def _seconds(one: Forecast) -> float | None:
    """Of the last recorded run, by its manifest; None: unknown."""
    if not one.recorded:
        return None
    try:
        text = one.manifest.read_text("utf-8") if one.manifest else "{}"
        seconds = float(json.loads(text)["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if 0 <= seconds < math.inf else None


def _reason(change: DepChange, root: Path) -> Iterator[str]:
    if change.kind == "first":
        yield "dvc.lock has no run of it"
    elif change.kind == "command":
        yield f"its command changed: {change.name}"
    elif change.kind == "always":
        yield "always_changed is set in dvc.yaml"
    elif change.kind == "output":
        yield f"{change.name}: {change.new}"
    elif change.kind == "parameter":
        yield f"{change.name}: {_value(change.old)} -> {_value(change.new)}"
    elif change.kind == "code":
        yield from _code_reason(change, root)
    else:
        old: FileVersion | None = change.old
        lines = changed_lines(root, change.name, old.md5) if old else []
        yield change.name + ("" if lines else f": {_version(old)} -> {_version(change.new)}")
        yield from (f"  {line}" for line in lines)


def _code_reason(change: DepChange, root: Path) -> Iterator[str]:
    """A file of the stage's code, and how much of it changed."""
    if change.old is None:
        yield f"{change.name}: new in its code"
    elif change.new is None:
        yield f"{change.name}: no longer part of its code"
    else:
        lines = changed_code(root, change.name, change.old)
        yield change.name + ("" if lines else ": changed")
        yield from (f"  {line}" for line in lines)


def _value(value: Any) -> str:
    return "(not there)" if value is None else json.dumps(value)


def _version(version: FileVersion | None) -> str:
    """`8.9 kB 77cabc12`; the MD5 of a folder ends in .dir in dvc.lock."""
    if version is None:
        return "(new)"
    size = "" if version.size is None else f"{format_bytes(version.size)} "
    return size + version.md5[:8]


# --- all of them ---------------------------------------------------------------------------------


def _total(found: Sequence[Forecast]) -> Iterator[str]:
    runs = [one for one in found if one.fate is Fate.RUNS]
    restored = [one for one in found if one.fate is Fate.RESTORED]
    stopped = [one for one in found if one.fate is Fate.STOPS]
    if stopped:
        yield f"dvc repro would stop at {stopped[0].stage}, and run nothing after it."
    elif not runs and not restored:
        what = f"all {len(found)} stages are" if len(found) != 1 else f"{found[0].stage} is"
        yield f"Nothing to do: {what} as dvc.lock has {'them' if len(found) != 1 else 'it'}."
    if runs:
        yield f"{len(runs)} of {counted(len(found), 'stage')} would run."
        yield from _sum(runs)
    if restored:
        yield f"{len(restored)} would come from DVC's cache without running."
    if any(one.after for one in runs):
        yield "A stage that comes after another is skipped if its inputs come out as they were."
    if rehearsed := [one.stage for one in found if one.rehearsed]:
        verb = "was" if len(rehearsed) == 1 else "were"
        yield (
            f"{' and '.join(rehearsed)} {verb} run in a temporary folder to see what comes out; "
            "nothing here was changed."
        )


def _sum(runs: Sequence[Forecast]) -> Iterator[str]:
    """Time and disk of all that run, as far as they are known."""
    seconds = {one.stage: _seconds(one) for one in runs}
    sizes = {one.stage: one.size if one.recorded else None for one in runs}
    yield f"Time: {_at_least(seconds, format_seconds)}, and a few seconds for each to start."
    yield f"Disk: {_at_least(sizes, format_bytes)}, once here and once in DVC's cache."


def _at_least(values: Mapping[str, Number | None], text: Callable[[Number], str]) -> str:
    """`about 75 s, by the last recorded run`, `at least 75 s, unknown for train`, `unknown`."""
    known = [value for value in values.values() if value is not None]
    without = [stage for stage, value in values.items() if value is None]
    if not known:
        return "unknown"
    total = text(sum(known[1:], known[0]))
    if without:
        return f"at least {total}, unknown for {', '.join(without)}"
    return f"about {total}, by the last recorded run" + ("s" if len(known) > 1 else "")


def format_seconds(seconds: float) -> str:
    """`0.7 s`, `83 s`, `4 min 20 s`, `3 h 5 min`."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_bytes(size: int | None) -> str:
    """`512 B`, `8.9 kB`, `21 MB`; thousands, as `ls --si` counts. None: `unknown size`."""
    if size is None:
        return "unknown size"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:.0f} {unit}"
