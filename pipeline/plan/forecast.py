"""What `dvc repro` would do, stage by stage, and why; nothing is written.

It walks the stages in DVC's order and asks of each what DVC asks: are command, parameters and
inputs those of `dvc.lock`? If not, does the run cache have them? The outputs of a stage that would
be restored are known, so the stages after it can be asked in turn.
`tests/end_to_end/test_relabel.py` compares the forecast with what DVC then does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from pipeline import dvc_internals, git
from pipeline.dvc_internals import CannotRunError, ChangedOut, DepChange, DvcError, Known
from pipeline.plan.rehearsal import RehearsedFile, rehearse
from stages.code_digest import RECORDS


class ForecastError(HandPoseError):
    """DVC cannot read the pipeline, or does not know a target."""


class Fate(Enum):
    """What DVC does with a stage."""

    UNCHANGED = "unchanged"
    RESTORED = "restored"  # its outputs come from the cache
    RUNS = "runs"
    STOPS = "stops"  # DVC gives up here


@dataclass
class Forecast:
    """What happens to one stage."""

    stage: str
    fate: Fate = Fate.UNCHANGED
    changes: list[DepChange] = field(default_factory=list)
    after: list[str] = field(default_factory=list)  # stages before it that rewrite its inputs
    manifest: Path | None = None  # the last run's, in the workspace or the cache
    recorded: bool = False  # whether dvc.lock has a run of it
    size: int | None = None  # bytes of its outputs, by that run; None: unknown
    frozen: bool = False
    rehearsed: bool = False  # it was run in a temporary folder, so its outputs are known
    fault: str = ""  # why DVC stops here


def forecast(root: Path, targets: list[str]) -> list[Forecast]:
    """Every stage that `dvc repro TARGETS` looks at, in its order, up to one where it stops.

    Raises:
        ForecastError: no DVC repository, `dvc.yaml` cannot be used, or a target is unknown.
    """
    try:
        with dvc_internals.dvc_errors():
            return list(_Walk().over(dvc_internals.stages_of_repro(root, targets)))
    except DvcError as error:
        if "is not a git repository" in str(error) and git.repository(root) is None:
            raise ForecastError(f"{root}: {git.NO_REPOSITORY}") from None
        raise ForecastError(str(error)) from None


class _Walk:
    """The stages in order, and which outputs those so far would change."""

    def __init__(self) -> None:
        self.changed: list[ChangedOut] = []
        self.unchanged: dict[str, Known] = {}  # outputs that stay, not to be hashed for each reader

    def over(self, stages: list[Any]) -> Iterator[Forecast]:
        for stage in stages:
            found = Forecast(
                stage.name,
                manifest=dvc_internals.manifest(stage),
                recorded=dvc_internals.recorded(stage.outs),
                size=dvc_internals.size(stage.outs),
                frozen=stage.frozen,
            )
            try:
                if stage.frozen:
                    self._take_frozen(stage, found)
                else:
                    self._decide(stage, found)
            except CannotRunError as error:
                found.fate, found.fault = Fate.STOPS, str(error)
            yield found
            if found.fate is Fate.STOPS:
                return

    def _take_frozen(self, stage: Any, found: Forecast) -> None:
        """DVC takes a frozen stage's outputs as they are; they have to be there."""
        if missing := [out.def_path for out in stage.outs if not out.exists]:
            raise CannotRunError(f"{', '.join(missing)} is missing: dvc unfreeze {stage.name}")
        found.changes = dvc_internals.changed_outs(stage)

    def _decide(self, stage: Any, found: Forecast) -> None:
        self._compare(stage, found)
        as_locked = not (found.changes or found.after)
        if as_locked:
            found.changes = dvc_internals.changed_outs(stage)
            if not found.changes:
                self.unchanged |= {out.fs_path: (out.hash_info, out.meta) for out in stage.outs}
                return
        outs = None if found.after else dvc_internals.restorable_outs(stage, as_locked=as_locked)
        if outs is None:
            found.fate = Fate.RUNS
            self._run(stage, found)
            return
        found.fate, found.size = Fate.RESTORED, dvc_internals.size(outs)
        for out in outs:
            known = (out.hash_info, out.meta)
            self.changed.append(ChangedOut(out.fs_path, stage.name, known, out))

    def _compare(self, stage: Any, found: Forecast) -> None:
        """Command, parameters and inputs against `dvc.lock`; afterwards the stage holds the new."""
        first = not any(item.hash_info for item in (*stage.deps, *stage.outs))
        changes = [DepChange("first", stage.name)] if first else []
        if stage.cmd_changed:
            changes.append(DepChange("command", stage.cmd))
        if stage.always_changed or stage.is_callback:
            changes.append(DepChange("always", stage.name))
        for dep in stage.deps:
            if dvc_internals.is_params(dep):
                changes += dvc_internals.changed_params(dep)
                continue
            before = self._changed_before(dep)
            known = self.unchanged.get(dep.fs_path) or dvc_internals.known_input(dep, before)
            if known is None:
                found.after += [out.stage for out in before if out.stage not in found.after]
                continue
            if dep.hash_info != known[0]:
                changes += self._changed_input(stage, dep, known)
            dep.hash_info, dep.meta = known
        found.changes = changes[:1] if first else changes

    def _changed_input(self, stage: Any, dep: Any, known: Known) -> list[DepChange]:
        """An input that is another than in `dvc.lock`; of a record of code, the changed files."""
        if Path(dep.def_path).parent == RECORDS:
            before = _code_files(dvc_internals.cached_file(stage, dep.hash_info))
            now = _code_files(self._content(stage, dep))
            if before is not None and now is not None:
                return [
                    DepChange("code", path, before.get(path), now.get(path))
                    for path in sorted({*before, *now})
                    if before.get(path) != now.get(path)
                ]
        old = dvc_internals.version(dep.hash_info, dep.meta)
        return [DepChange("input", dep.def_path, old, dvc_internals.version(*known))]

    def _run(self, stage: Any, found: Forecast) -> None:
        """Its outputs are unknown, unless it is quick enough to be rehearsed."""
        written: dict[str, RehearsedFile] = {}
        inputs = {dep.def_path: self._content(stage, dep) for dep in stage.deps}
        if (stage.meta or {}).get("rehearse") and None not in inputs.values():
            there = {path: content for path, content in inputs.items() if content is not None}
            outs = [out.def_path for out in stage.outs]
            outcome = rehearse(Path(stage.wdir), stage.cmd, there, outs)
            if outcome.fault:
                raise CannotRunError(outcome.fault)
            written, found.rehearsed = outcome.outs, outcome.ended
        for out in stage.outs:
            new = written.get(out.def_path)
            known = dvc_internals.known_file(new.md5, len(new.content)) if new else None
            if known is None or known[0] != out.hash_info or out.status():
                content = new.content if new else None
                self.changed.append(ChangedOut(out.fs_path, stage.name, known, content=content))

    def _changed_before(self, dep: Any) -> list[ChangedOut]:
        return [out for out in self.changed if dvc_internals.overlap(out.path, dep.fs_path)]

    def _content(self, stage: Any, dep: Any) -> Path | bytes | None:
        """An input as it will be: where it lies, or its bytes; None while that is unknown."""
        before = self._changed_before(dep)
        if not before:
            return Path(dep.fs_path)
        if len(before) > 1 or before[0].path != dep.fs_path or before[0].known is None:
            return None
        (out,) = before
        if out.content is not None:
            return out.content
        return dvc_internals.cached_file(stage, out.known[0]) if out.known else None


def _code_files(record: Path | bytes | None) -> dict[str, str] | None:
    """Digests by path from a record that `stages/code.py` wrote; None if it is not to be had."""
    try:
        content = record.read_bytes() if isinstance(record, Path) else record
        return dict(json.loads(content)["files"]) if content else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
