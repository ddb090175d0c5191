"""What `dvc repro` would do, stage by stage, and why; nothing is written.

It walks the stages in DVC's own order and asks of each what DVC asks: are command, parameters and
inputs those of `dvc.lock`? If not, has the run-cache seen them? A stage that would be restored
tells what its outputs will be, so that the stages after it can be asked in turn.
`tests/end_to_end/test_relabel.py` holds it against what DVC then does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta

from handpose.errors import HandPoseError
from pipeline.plan import dvc_stage
from pipeline.plan.dvc_stage import CannotRunError, DepChange, Known, Moved
from pipeline.plan.rehearsal import FileHash, rehearse


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
    after: list[str] = field(default_factory=list)  # stages before it that write its inputs anew
    manifest: Path | None = None  # the last run's, in the workspace or the cache
    size: int | None = None  # bytes of its outputs; None if it never ran here
    frozen: bool = False
    rehearsed: bool = False  # it was run aside, so its outputs are known
    fault: str = ""  # why DVC stops here


def forecast(root: Path, targets: list[str]) -> list[Forecast]:
    """Every stage that `dvc repro TARGETS` looks at, in its order, up to one where it stops.

    Raises:
        ForecastError: no DVC repository, `dvc.yaml` cannot be used, or a target is unknown.
    """
    try:
        repo = Repo(str(root))
        graph = get_active_graph(repo.index.graph)
        chosen = collect_stages(repo, targets or [os.path.join(repo.root_dir, "dvc.yaml")])
        stages = [s for s in plan_repro(graph, chosen) if isinstance(s, PipelineStage)]
        return list(_Walk().over(stages))
    except DvcException as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise ForecastError(f"{error}{cause}") from None


class _Walk:
    """The stages in order, and which outputs those so far would change."""

    def __init__(self) -> None:
        self.moved: list[Moved] = []
        self.same: dict[str, Known] = {}  # outputs that stay, not to be hashed for each reader

    def over(self, stages: list[PipelineStage]) -> Iterator[Forecast]:
        for stage in stages:
            found = Forecast(
                stage.name,
                manifest=dvc_stage.manifest(stage),
                size=dvc_stage.size(stage.outs),
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

    def _take_frozen(self, stage: PipelineStage, found: Forecast) -> None:
        """DVC takes a frozen stage's outputs as they are; they have to be there."""
        if missing := [out.def_path for out in stage.outs if not out.exists]:
            raise CannotRunError(f"{', '.join(missing)} is missing: dvc unfreeze {stage.name}")
        found.changes = dvc_stage.changed_outs(stage)

    def _decide(self, stage: PipelineStage, found: Forecast) -> None:
        self._compare(stage, found)
        as_locked = not (found.changes or found.after)
        if as_locked:
            found.changes = dvc_stage.changed_outs(stage)
            if not found.changes:
                self.same |= {out.fs_path: (out.hash_info, out.meta) for out in stage.outs}
                return
        kept = None if found.after else dvc_stage.kept_outs(stage, as_locked=as_locked)
        if kept is None:
            found.fate = Fate.RUNS
            self._run(stage, found)
            return
        found.fate, found.size = Fate.RESTORED, dvc_stage.size(kept)
        for out in kept:
            self.moved.append(Moved(out.fs_path, stage.name, (out.hash_info, out.meta), out))

    def _compare(self, stage: PipelineStage, found: Forecast) -> None:
        """Command, parameters and inputs against `dvc.lock`; afterwards the stage holds the new."""
        first = not any(item.hash_info for item in (*stage.deps, *stage.outs))
        changes = [DepChange("first", stage.name)] if first else []
        if stage.cmd_changed:
            changes.append(DepChange("command", stage.cmd))
        if stage.always_changed or stage.is_callback:
            changes.append(DepChange("always", stage.name))
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                changes += dvc_stage.changed_params(dep)
                continue
            moved = [m for m in self.moved if dvc_stage.overlap(m.path, dep.fs_path)]
            known = self.same.get(dep.fs_path) or dvc_stage.content(dep, moved)
            if known is None:
                found.after += [m.stage for m in moved if m.stage not in found.after]
                continue
            if dep.hash_info != known[0]:
                old, new = dvc_stage.version(dep.hash_info, dep.meta), dvc_stage.version(*known)
                changes.append(DepChange("input", dep.def_path, old, new))
            dep.hash_info, dep.meta = known
        found.changes = changes[:1] if first else changes

    def _run(self, stage: PipelineStage, found: Forecast) -> None:
        """Note that its outputs are unknown; where it is quick, look what they will be."""
        written: Mapping[str, FileHash] = {}
        here = not any(
            dvc_stage.overlap(moved.path, dep.fs_path) for moved in self.moved for dep in stage.deps
        )
        if here and (stage.meta or {}).get("rehearse"):
            inputs, outs = ([item.def_path for item in items] for items in (stage.deps, stage.outs))
            written, fault = rehearse(Path(stage.wdir), stage.cmd, inputs, outs)
            if fault:
                raise CannotRunError(fault)
            found.rehearsed = True
        for out in stage.outs:
            new = written.get(out.def_path)
            known = (HashInfo("md5", new.md5), Meta(size=new.size)) if new else None
            if known is None or known[0] != out.hash_info:
                self.moved.append(Moved(out.fs_path, stage.name, known))
