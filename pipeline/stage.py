"""Run one stage: `python -m pipeline.stage NAME [ARGS]` runs `python -m stages.NAME ARGS`.

This is the `cmd` of every stage in `dvc.yaml`. The stage runs as a child process. This runner
forwards its output, reports it to a Prefect server where one answers (`pipeline/live`), and makes
sure that the stage never outlives the command that started it. No result depends on any of that.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

from handpose.errors import HandPoseError
from handpose.files import is_stray, remove_partial
from handpose.stop_signal import explain
from pipeline.runner.child_process import StageProcess

STAGES = Path(__file__).parent.parent / "stages"

RECORDS = Path("data/code")
"""What stage `code` writes, see `stages/code_digest.py`."""

PACKAGES = ("numpy", "pyarrow", "torch")
"""A Python without one of them is not that of this project's environment."""

LESS_MEMORY = {
    "synthesize": "synthesize.workers",
    "shard": "shard.workers",
    "pretrain": "pretrain.batch",
    "pose": "pose.batch",
    "evaluate": "evaluate.batch",
    "score": "evaluate.batch",
}
"""The key in `params.yaml` by which a stage needs less memory, by its module."""


def stage_names() -> list[str]:
    """The modules in `stages/` that can be run."""
    modules = (path for path in STAGES.glob("*.py") if not is_stray(Path(path.name)))
    return sorted(path.stem for path in modules if "__main__" in path.read_text("utf-8"))


def _refresh_record(stage: str) -> None:
    """Record the code that a stage starts with, where stage `code` has recorded any."""
    if (RECORDS / f"{stage}.json").is_file():
        from stages.code_digest import refresh_record

        refresh_record(stage)


def _after_kill(stage: StageProcess, name: str) -> None:
    """Say which signal ended a stage that could not say so, and remove its partial output."""
    if not stage.ended_by:
        return
    code = 128 + stage.ended_by
    cause = explain(stage.ended_by, LESS_MEMORY.get(name.partition(" ")[0], ""))
    text = f"{name}: exit code {code}, ended by {cause}. `dvc repro` runs it again, or resumes it"
    stage.output.write(sys.stderr, f"{text}\n".encode())
    work = Path("work") / name.replace(" ", "-")
    remove_partial([work, *work.glob("*"), work.with_name(f"{work.name}-torchrun")])
    with contextlib.suppress(HandPoseError, OSError):
        from pipeline.dag import read_dag

        outs = [one.outs for one in read_dag(Path.cwd()).values() if one.command == name]
        remove_partial(Path(out) for own in outs for out in own)


def main(argv: list[str] | None = None) -> int:
    """Run a stage and return its exit code, 128 + number for a signal."""
    args = sys.argv[1:] if argv is None else argv
    if args[:1] in (["-h"], ["--help"]):
        print(f"{(__doc__ or '').strip()}\n\nNAME: {', '.join(stage_names())}")
        return 0
    if not args or args[0] not in stage_names():
        found = repr(args[0]) if args else "nothing"
        print(f"stage: expected one of {', '.join(stage_names())}; found {found}", file=sys.stderr)
        return 2
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        print(
            f"stage: the python on PATH, {sys.executable}, lacks this project's packages; "
            "activate its environment (source .venv/bin/activate), or make it: make setup",
            file=sys.stderr,
        )
        return 2
    stage = StageProcess([sys.executable, "-m", f"stages.{args[0]}", *args[1:]])
    name = os.environ.get("DVC_STAGE")
    if name is None or sys.platform != "linux":  # by hand, or where no process can be watched
        if name is not None:
            _refresh_record(args[0])
        code = stage.watch()
        _after_kill(stage, " ".join(args))
        return code
    from pipeline.live.reporter import Reporter
    from pipeline.runner.dvc_command import DvcCommand

    try:
        command = DvcCommand.above(os.getpid())
        dvc = command.open() if command else None
    except OSError as error:  # whether DVC runs is not known, so the stage does
        stage.output.line(
            f"stage: dvc cannot be watched here ({error.strerror}), so this run is not reported, "
            "and a kill -9 of dvc would not stop this stage"
        )
        _refresh_record(args[0])
        code = stage.watch()
        _after_kill(stage, " ".join(args))
        return code
    if command is None or dvc is None:
        stage.abandon()
        code = stage.watch()
        _after_kill(stage, " ".join(args))
        return code
    reporter = Reporter(Path.cwd(), name, command, stage.output.line)
    stage.on_line = reporter.line
    _refresh_record(args[0])  # while the stage starts
    code = stage.watch(dvc)
    _after_kill(stage, " ".join(args))
    reporter.end(code, stage.message(code), abandoned=stage.abandoned)
    return code


if __name__ == "__main__":
    sys.exit(main())
