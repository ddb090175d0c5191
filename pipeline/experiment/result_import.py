"""`handpose experiment import`: results of `timed_runs.py` into `experiments/results/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from pipeline.clones.training_clone import Source
from pipeline.experiment.grid import GridFile, read_grids
from pipeline.experiment.result_content import content_fault
from pipeline.experiment.runs import RESULTS, STAGES, ExperimentRun, runs_of
from stages.code_digest import stage_digest


class ResultImportError(HandPoseError):
    """Results that do not belong into this clone."""


def import_results(root: Path, file: Path) -> list[str]:
    """Take every result of the file that has none here; returns a line for each.

    The machine that trained them knew no git, so a result gets the commit of this clone, if its
    code is that of this clone.

    Raises:
        ResultImportError: the file is not one of `handpose experiment timed`, or a result is of
            other code, parameters or labels, of no variant and seed of the grids, or a copy of
            another; nothing is taken.
        HandPoseError: the grids or git cannot be read.
    """
    try:
        results: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
        if not isinstance(results, list) or not results:
            raise ValueError("expected a list of results")
        if fault := next(filter(None, map(content_fault, results)), ""):
            raise ValueError(fault)
    except FileNotFoundError:
        raise ResultImportError(
            f"{file}: not found; `handpose experiment timed` writes it"
        ) from None
    except ValueError as error:
        raise ResultImportError(
            f"{file}: is not a results.json of `handpose experiment timed` ({error})"
        ) from None
    source = Source.of(root, except_for=(RESULTS,))
    code = {stage: stage_digest(stage, root) for stage in STAGES}
    known = {(one.resolved.name, one.seed): one for one in _all_runs(root, read_grids(root))}
    taken: list[tuple[ExperimentRun, dict[str, Any]]] = []
    for result in results:
        variant, seed, own = (result[key] for key in ("variant", "seed", "code"))
        run = known.get((variant, seed))
        if run is None or result["run"] != run.resolved.variant.run:
            raise ResultImportError(
                f"{file}: {variant}, seed {seed}, run {result['run']} is in no grid of "
                "experiments/grid.yaml; add it, as it was where it was trained"
            )
        if other := [stage for stage in STAGES if own.get(stage) != code[stage]]:
            raise ResultImportError(
                f"{file}: {run.name} was trained with other code of {', '.join(other)} than this "
                "clone has; check out the commit that was trained, and import there"
            )
        if changed := run.differences(result):
            raise ResultImportError(
                f"{file}: {run.name} was trained with other parameters than it has here: "
                f"{'; '.join(changed)}"
            )
        if relabelled := run.relabelled(result, root):
            raise ResultImportError(
                f"{file}: {run.name} was trained with other labels than this clone has: "
                f"{relabelled}; check out the commit that was trained, and import there"
            )
        if copied := next(_copied(root, run, result, taken), ""):
            raise ResultImportError(
                f"{file}: {run.name} has the weights of {copied}, so one of them is a copy, and "
                "each seed counts once; remove the copy"
            )
        content = result | {"commit": source.commit, "uncommitted": source.changed}
        taken.append((run, content))
    return list(_write(root, taken))


def _all_runs(root: Path, grids: GridFile) -> Iterator[ExperimentRun]:
    for grid in grids.grids.values():
        yield from runs_of(root, grids, grid)


def _copied(
    root: Path,
    run: ExperimentRun,
    result: dict[str, Any],
    taken: list[tuple[ExperimentRun, dict[str, Any]]],
) -> Iterator[str]:
    """Other seeds of the variant, here or taken, that have the result's weights."""
    if path := run.same_weights(result, root):
        yield str(path)
    for other, content in taken:
        same = content["weights"] == result["weights"] and other.seed != run.seed
        if same and other.resolved.name == run.resolved.name:
            yield other.name


def _write(root: Path, taken: list[tuple[ExperimentRun, dict[str, Any]]]) -> Iterator[str]:
    for run, content in taken:
        path = root / run.file
        if path.is_file():
            yield f"{run.name}: has a result already, left as it is"
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        yield f"{run.name}: taken, {run.file}"
