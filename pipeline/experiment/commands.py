"""The commands `handpose experiment ...`: arguments, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from handpose.errors import HandPoseError
from stages.paths import WORK

if TYPE_CHECKING:
    from pipeline.experiment.runs import ExperimentRun

TIMED = WORK / "timed"

GridName = Annotated[str, Argument(metavar="GRID", help="Name of a grid in experiments/grid.yaml.")]


class ExperimentError(HandPoseError):
    """A grid cannot be run as it was asked for."""


def add_to(experiment: typer.Typer) -> None:
    """Add the commands to the group `experiment`, in the order of its help."""
    for name, command in (
        ("list", list_),
        ("run", run),
        ("table", table),
        ("report", report),
        ("timed", timed),
        ("import", import_),
    ):
        experiment.command(name)(command)


def list_() -> None:
    """Show the grids, and which of their runs have a result."""
    from pipeline.experiment.grid import read_grids
    from pipeline.experiment.runs import runs_of

    root = Path.cwd()
    grids = read_grids(root)
    for name, grid in grids.grids.items():
        print(f"{name}: {grid.what}")
        runs = runs_of(root, grids, grid)
        for variant in grid.variants:
            own = [one for one in runs if one.resolved.name == variant]
            there = [str(one.seed) for one in own if one.result(root) is not None]
            missing = [str(one.seed) for one in own if one.result(root) is None]
            seeds = [f"seeds {', '.join(there)} done"] if there else []
            seeds += [f"seeds {', '.join(missing)} missing"] if missing else []
            print(f"  {variant}: {grids.variants[variant].what}; {'; '.join(seeds)}")


def run(
    name: GridName,
    jobs: Annotated[
        int, Option("--jobs", "-j", min=1, help="Trainings at once; each has its share of cores.")
    ] = 1,
    only: Annotated[
        list[str] | None, Option(metavar="VARIANT", help="Run this variant alone; repeatable.")
    ] = None,
    most: Annotated[
        int | None, Option(min=1, help="Run at most this many of the missing runs.")
    ] = None,
    allow_dirty: Annotated[
        bool, Option("--allow-dirty", help="Train with uncommitted changes.")
    ] = False,
) -> None:
    """Train each variant with each seed that has no result yet.

    If interrupted, run the same command again to resume.
    """
    from pipeline.clones.machine_record import Machine
    from pipeline.experiment.grid import read_grids
    from pipeline.experiment.runs import Runner, runs_of

    root = Path.cwd()
    grids = read_grids(root)
    grid = grids.grid(name)
    if unknown := sorted(set(only or ()) - set(grid.variants)):
        raise ExperimentError(
            f"--only {' '.join(unknown)}: expected variants of {name}: {', '.join(grid.variants)}"
        )
    runs = [one for one in runs_of(root, grids, grid) if not only or one.resolved.name in only]
    left = [one for one in runs if one.result(root) is None]
    runner = Runner(root, Machine.here(), jobs, lambda line: print(line, flush=True))
    if runner.source.changed and not allow_dirty:
        raise ExperimentError(
            f"{runner.source.some_changes()} not committed: a result has to name a commit that "
            "gives it. Commit first; or --allow-dirty runs with these changes, and each result "
            "says so"
        )
    chosen = left[:most]
    print(_plan(name, runs, left, chosen))
    failed = runner.run(chosen) if chosen else []
    if failed:
        lines = "\n".join(failed)
        raise ExperimentError(f"{len(failed)} of {len(chosen)} runs failed:\n{lines}")


def _plan(
    name: str,
    runs: list[ExperimentRun],
    left: list[ExperimentRun],
    chosen: list[ExperimentRun],
) -> str:
    if not left:
        return f"{name}: all {len(runs)} runs have a result; `handpose experiment table {name}`"
    now = f"now {len(chosen)}: " if len(chosen) < len(left) else ""
    names = "; ".join(one.name for one in chosen)
    return f"{name}: {len(left)} of {len(runs)} runs have no result yet; {now}{names}"


def table(name: GridName) -> None:
    """Compare the variants of a grid, over seeds and people."""
    from pipeline.experiment.pages.grid_page import write_page

    print(write_page(Path.cwd(), name))


def report() -> None:
    """Write docs/results.md: what the grids answer, and every difference of them.

    And results/experiments.html: one file with a table of all variants.
    """
    from pipeline.experiment.pages.experiments_page import write_results

    written = write_results(Path.cwd())
    print(written.text)
    print(f"wrote {', '.join(map(str, written.files))} and a page for each grid")


def timed(
    name: GridName,
    minutes: Annotated[
        float, Option(min=0.1, help="Time limit; unfinished runs are stopped.")
    ] = 9.0,
    jobs: Annotated[
        int, Option("--jobs", "-j", min=1, help="Trainings at once, on one GPU or a core each.")
    ] = 8,
    out: Annotated[Path, Option(metavar="FOLDER", help="results.json and curves.csv.")] = TIMED,
) -> None:
    """Train what fits into some minutes, on a machine without DVC and git.

    For a GPU machine that is available for a limited time. Copy results.json to a clone and run
    `handpose experiment import`.
    """
    import tempfile
    import time

    from pipeline.clones.machine_record import Machine
    from pipeline.experiment.grid import read_grids
    from pipeline.experiment.runs import runs_of
    from pipeline.experiment.timed_runs import TimedRuns

    begun = time.monotonic()
    root = Path.cwd()
    grids = read_grids(root)
    runs = runs_of(root, grids, grids.grid(name))
    with tempfile.TemporaryDirectory(prefix="handpose-") as folder:
        timed_runs = TimedRuns(
            root=root,
            work=Path(folder) / "runs",
            jobs=jobs,
            deadline=begun + 60 * minutes,
            show=lambda line: print(f"{time.monotonic() - begun:.0f} s: {line}", flush=True),
            machine=Machine.here(),
        )
        done = timed_runs.run(runs, out)
    print(f"{len(done)} of {len(runs)} runs of {name} ended; wrote {out}")


def import_(
    file: Annotated[Path, Argument(metavar="FILE", help="results.json of `timed`.")],
) -> None:
    """Take results of another machine into experiments/results.

    Only those of this clone's code and parameters.
    """
    from pipeline.experiment.result_import import import_results

    print("\n".join(import_results(Path.cwd(), file)))
