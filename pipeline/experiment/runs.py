"""The runs of a grid: each variant and seed in a clone, its result in a file under git."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest
from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import SEEDED, Source, TrainingClone, alone
from pipeline.clones.training_pool import TrainingPool
from pipeline.experiment.grid import (
    FILE,
    GridError,
    GridFile,
    Resolved,
    SeedGrid,
    deciding,
    resolve,
)
from pipeline.experiment.result_content import content_fault
from pipeline.profiles.comments import merged
from stages.code_digest import stage_digest
from stages.params import Params, ShiftParams
from stages.paths import SCORES, WORK
from stages.sections.section import defaults

CLONES = WORK / "experiments"
RESULTS = Path("experiments/results")
"""Under git: a result took minutes to hours, and is a few kilobytes."""

STAGES_FILE = "experiments/dvc.yaml"

STAGES = ("synthesize", "ingest", "label", "shard", "pretrain", "pose", "shift", "score")
"""Whose code decides a result."""


class RunsError(HandPoseError):
    """A result cannot be read, or does not belong to its variant."""


@dataclass(frozen=True)
class ExperimentRun:
    """One variant with one seed."""

    resolved: Resolved
    seed: int

    @property
    def name(self) -> str:
        """In messages."""
        return f"{self.resolved.name}, seed {self.seed}"

    @property
    def file(self) -> Path:
        """Where its result is kept, from the root of the clone."""
        return RESULTS / self.resolved.name / f"seed-{self.seed}.json"

    def result(self, root: Path) -> dict[str, Any] | None:
        """Its result if it was run.

        Raises:
            RunsError: the file is damaged, is another run's or a copy of one, or has other
                parameters than the variant or other labels than the clone now.
        """
        path = root / self.file
        if not path.is_file():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunsError(f"{path}: is not a result ({error}); delete it and run again") from None
        if fault := content_fault(found):
            raise RunsError(f"{path}: is not a result ({fault}); delete it and run again")
        own = (self.resolved.name, self.resolved.variant.run, self.seed)
        if (of := (found["variant"], found["run"], found["seed"])) != own:
            raise RunsError(
                f"{path}: is of {_words(*of)}, expected {_words(*own)}; delete it to run it again"
            )
        if copied := self.same_weights(found, root):
            raise RunsError(
                f"{path}: has the weights of {copied}, so one of them is a copy, and each seed "
                "counts once; delete the copy to run it again"
            )
        if changed := self.differences(found):
            raise RunsError(
                f"{path}: was run with other parameters than {self.resolved.name} has now: "
                f"{'; '.join(changed)}. Delete it to run it again, or give the variant a new name"
            )
        if relabelled := self.relabelled(found, root):
            raise RunsError(
                f"{path}: was trained with other labels: {relabelled}. Delete it to run it again, "
                "or restore the labels"
            )
        return found

    def same_weights(self, content: Mapping[str, Any], root: Path) -> Path | None:
        """The file of another seed of this variant, of any grid, that has a result's weights."""
        path = root / self.file
        for other in sorted(path.parent.glob("seed-*.json")):
            # What is damaged is refused when it is read as a run.
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                same = json.loads(other.read_text("utf-8"))["weights"] == content["weights"]
                if other != path and same:
                    return other
        return None

    def labels_digest(self, folder: Path) -> str:
        """SHA-256 of the gesture map that the run reads in this folder.

        Raises:
            RunsError: it is not there.
        """
        path = folder / self.resolved.params.label.map
        if not path.is_file():
            raise RunsError(f"{path}: not found; label.map of {self.resolved.name} names it")
        return digest(path)

    def relabelled(self, content: Mapping[str, Any], root: Path) -> str:
        """How the gesture map differs from that of a result; '' if it does not.

        Older results do not say which map they were trained with.
        """
        if (old := content.get("labels")) is None:
            return ""
        path = self.resolved.params.label.map
        if not (root / path).is_file():
            return f"SHA-256 {old[:12]} of {path}, which is not there now"
        now = self.labels_digest(root)
        return "" if now == old else f"SHA-256 {old[:12]} of {path}, now {now[:12]}"

    def differences(self, content: Mapping[str, Any]) -> list[str]:
        """Parameters of a result that are not the variant's, as `pose.lr 0.001 (now 0.002)`.

        Args:
            content: of the result; keys that were added since count with their defaults.
        """
        known = merged(_without_seeds(deciding(defaults(Params))), content["settings"])
        now = _without_seeds(self.resolved.settings)
        plain = ShiftParams().model_dump(mode="json")
        shift = content.get("shift", plain), self.resolved.shift.model_dump(mode="json")
        return [
            *_differences({name: known[name] for name in now}, now),
            *_differences(*shift, prefix="evaluate.shift."),
        ]


def runs_of(root: Path, grids: GridFile, grid: SeedGrid) -> list[ExperimentRun]:
    """Every variant with every seed, seed by seed, so that early results are comparable.

    Raises:
        GridError: see `resolve`; or a variant does not make the test set of the grid.
    """
    variants = resolve(root, grids, grid.variants)
    for one in variants:
        if grid.test_set and grid.test_set not in one.test_sets:
            raise GridError(
                f"{root / FILE}: a grid is compared on {grid.test_set!r}, but its variant "
                f"{one.name} has these test sets: {', '.join(one.test_sets) or 'none'}; "
                "set evaluate.shift.severities in it, or ingest.held_out_gestures"
            )
    return [ExperimentRun(one, seed) for seed in grid.seeds for one in variants]


class Runner:
    """Runs what has no result yet, several at once."""

    def __init__(
        self, root: Path, machine: Machine, jobs: int, show: Callable[[str], None]
    ) -> None:
        """`show` gets every line, of any thread, one at a time."""
        self.root = root
        self.source = Source.of(root, except_for=(RESULTS,))
        self.code = {stage: stage_digest(stage, root) for stage in STAGES}
        self._pool = TrainingPool(jobs, machine.cores, show)
        self.machine = replace(machine, omp_num_threads=self._pool.threads)

    def run(self, runs: Sequence[ExperimentRun]) -> list[str]:
        """Run all of them; returns a line for each that failed.

        Data are made first, once for each set of parameters, since jobs would make them twice.

        Raises:
            CloneError: another process runs experiments here.
            KeyboardInterrupt: after the running trainings have saved their state.
        """
        with alone(self.root / CLONES, "handpose experiment run"), self._pool.stopping():
            for run in {one.resolved.data_settings: one for one in reversed(runs)}.values():
                show = self._pool.line_of(run.name)
                try:
                    clone, _ = self._prepared(run)
                    clone.make_data(show)
                    if run.resolved.shift.severities:
                        clone.repro([f"{STAGES_FILE}:shift"], show)
                except HandPoseError as error:
                    return [f"{run.name}: {error}"]
            return self._pool.run({run.name: partial(self._one, run) for run in runs})

    def _prepared(self, run: ExperimentRun) -> tuple[TrainingClone, list[str]]:
        """The clone of a run, in which DVC sees the stage of experiments, and what it sets."""
        clone = self._clone(run)
        changed = clone.prepare(self.machine)
        ignored = clone.folder / ".dvcignore"
        lines = ignored.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.strip() != f"/{STAGES_FILE}"]
        ignored.write_text("".join(kept), encoding="utf-8")
        return clone, changed

    def _clone(self, run: ExperimentRun) -> TrainingClone:
        folder = CLONES / run.resolved.name / f"seed-{run.seed}"
        return TrainingClone(self.source, folder, run.name, run.seed, run.resolved.overrides)

    def _one(self, run: ExperimentRun) -> None:
        """Train, score, and keep the result; the clone is deleted, DVC's cache has its models."""
        name = run.resolved.variant.run
        clone, changed = self._prepared(run)
        labels = run.labels_digest(clone.folder)
        target = f"{STAGES_FILE}:score@{name}"
        threads = self._pool.threads
        clone.repro([target], self._pool.line_of(run.name), {"OMP_NUM_THREADS": threads})
        scores = json.loads((clone.folder / SCORES / f"{name}.json").read_text("utf-8"))
        result = content_of(run, changed, asdict(self.machine), self.code, labels, scores)
        result |= {"commit": self.source.commit, "uncommitted": self.source.changed}
        path = self.root / run.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(clone.folder)
        with contextlib.suppress(OSError):  # other seeds have theirs there
            clone.folder.parent.rmdir()
        self._pool.line(f"{run.name}: done, {run.file}")


def content_of(
    run: ExperimentRun,
    changed: Sequence[str],
    machine: Mapping[str, Any],
    code: Mapping[str, str],
    labels: str,
    scores: Mapping[str, Any],
) -> dict[str, Any]:
    """What the file of a result holds, but for its commit.

    Args:
        run: the run.
        changed: parameters that it set, as of `override`.
        machine: that it ran on.
        code: digests of the stages' code.
        labels: digest of the gesture map, as of `labels_digest`.
        scores: what `stages/score.py` wrote.
    """
    return {
        "variant": run.resolved.name,
        "seed": run.seed,
        "set": list(changed),
        "commit": "",
        "uncommitted": [],
        "machine": dict(machine),
        "code": dict(code),
        "labels": labels,
        "settings": _without_seeds(run.resolved.settings),
        "shift": run.resolved.shift.model_dump(mode="json"),
        **scores,
    }


def _words(variant: str, run: str, seed: int) -> str:
    return f"variant {variant}, run {run}, seed {seed}"


def _without_seeds(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The training seeds are those of the run."""
    return {
        name: {key: value for key, value in section.items() if key != "seed"}
        if name in SEEDED
        else dict(section)
        for name, section in settings.items()
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys with other values, as `pose.lr 0.001 (now 0.002)`."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key} {a} (now {b})")
    return found
