"""`handpose table`: train with several seeds, and write README's table of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import Source, TrainingClone, alone, data_stages
from pipeline.clones.training_pool import TrainingPool
from pipeline.dag import read_dag
from pipeline.plan.plan import format_bytes, format_seconds
from pipeline.readme_block import README
from pipeline.runner.output import Output
from pipeline.table.results_page import BLOCK, FACTS, PAGE, WRITTEN, write_markdown
from pipeline.table.seed_results import as_text, merged_metrics
from stages.paths import WORK

CLONES = WORK / "table"
FEWEST = 3


class TableError(HandPoseError):
    """The table cannot be made."""


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers.

    Raises:
        TableError: they are not three or more different whole numbers.
    """
    words = [word.strip() for word in text.split(",")]
    seeds = [int(word) for word in words if word.isdecimal()]
    if len(seeds) < len(words) or len(set(seeds)) < max(FEWEST, len(words)):
        raise TableError(
            f"--seeds {text}: expected {FEWEST} or more different whole numbers, such as 0,1,2; a "
            "range over fewer says little"
        )
    return seeds


def table(
    root: Path, seeds: Sequence[int], *, jobs: int | None = None, allow_dirty: bool = False
) -> None:
    """Train with each seed and write the results into files under git.

    If interrupted, run the same command again to resume.

    Args:
        root: of the clone.
        seeds: of both trainings.
        jobs: seeds at once, each with its share of the cores; None: one a core, on a GPU one.
        allow_dirty: train with changes that are not committed.

    Raises:
        HandPoseError: the tree has changes that are not committed, README has no place for the
            table, or seeds fail.
        KeyboardInterrupt: after the running trainings have saved their state.
    """
    read_dag(root)  # in another folder nothing else makes sense
    BLOCK.inside((root / README).read_text("utf-8"))  # before hours of training
    source = Source.of(root, except_for=WRITTEN)
    if source.changed and not allow_dirty:
        raise TableError(
            f"{source.some_changes()} not committed: the table has to name a commit that gives it. "
            "Commit first; or --allow-dirty trains with these changes, and the table says so"
        )
    machine = Machine.here()
    jobs = min(jobs or (1 if machine.gpu else machine.cores), len(seeds))
    output = Output()
    pool = TrainingPool(jobs, machine.cores, output.line)
    environ = {"OMP_NUM_THREADS": pool.threads} if jobs > 1 else {}
    if environ:
        machine = replace(machine, omp_num_threads=pool.threads)
    clones = [seed_clone(source, seed) for seed in seeds]
    with alone(root / CLONES, "handpose table"), contextlib.closing(output), pool.stopping():
        for line in announcement(source, clones, jobs):
            print(line, flush=True)
        for clone in clones:
            clone.prepare(machine)
        clones[0].make_data(pool.line_of(clones[0].name))  # once: jobs would make them twice
        if failed := pool.run({one.name: partial(_train, one, pool, environ) for one in clones}):
            raise TableError("\n".join(failed))
        facts = {
            "command": f"handpose table --seeds {','.join(map(str, seeds))} --jobs {jobs}",
            "commit": source.commit,
            "uncommitted": source.changed,
            "machine": asdict(machine),
            "seeds": list(seeds),
            "metrics": merged_metrics([clone.metrics() for clone in clones]),
        }
    with atomic_file(root / FACTS) as temporary:
        temporary.write_text(as_text(facts) + "\n", encoding="utf-8")
    write_markdown(root, facts)
    print((root / PAGE).read_text("utf-8"))
    print(f"wrote {FACTS}, {PAGE} and the table in {README}; `git diff` shows what changed")


def seed_clone(source: Source, seed: int) -> TrainingClone:
    """The clone of one seed; nothing else in its parameters differs."""
    return TrainingClone(source, CLONES / f"seed-{seed}", f"seed {seed}", seed)


def announcement(source: Source, clones: Sequence[TrainingClone], jobs: int) -> Iterator[str]:
    """What will be done, and the time and disk it takes as far as a run in this clone shows."""
    root = source.root
    changed = f" with {len(source.changed)} changed files" if source.changed else ""
    order = f"{jobs} at once" if jobs > 1 else "one after another"
    yield f"Commit {source.commit[:10]}{changed}, {len(clones)} seeds, {order}."
    for clone in clones:
        if clone.folder.is_dir():
            folder = clone.folder.relative_to(root)
            yield f"seed {clone.seed}: {folder} exists; training resumes there"
    seconds, size = _last_run(root)
    free = format_bytes(shutil.disk_usage(root).free)
    if seconds is None:
        yield f"Time and disk are unknown: nothing was run in this clone; {free} are free."
        return
    yield (
        f"A new seed takes about {format_seconds(seconds)}, as the run in this clone did, and "
        f"{format_bytes(size)} below {CLONES}; {free} are free."
        + (f" {jobs} at once take longer each than one with all cores." if jobs > 1 else "")
    )


def _last_run(root: Path) -> tuple[float | None, int]:
    """Seconds of the stages that every seed runs, and bytes of all outputs, in this clone."""
    dag = read_dag(root)
    own = [stage for name, stage in dag.items() if name not in data_stages(dag)]
    manifests = [root / out for stage in own for out in stage.outs if "manifest" in Path(out).name]
    try:
        seconds = sum(json.loads(path.read_text("utf-8"))["seconds"] for path in manifests)
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0
    outs = {root / out for stage in dag.values() for out in stage.outs}
    return seconds, sum(_size(path) for path in outs)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _train(clone: TrainingClone, pool: TrainingPool, environ: Mapping[str, str]) -> None:
    """Train one seed; its lines are shown after its name."""
    begun = time.monotonic()
    clone.train(pool.line_of(clone.name), environ)
    pool.line(f"{clone.name}: done in {format_seconds(time.monotonic() - begun)}")
