"""Run one stage: `python -m pipeline.stage NAME [ARGS]` runs `python -m stages.NAME ARGS`.

This is the `cmd` of every stage in `dvc.yaml`. The stage runs as a child process. This runner
forwards its output, reports it to a Prefect server where one answers (`pipeline/live`), and makes
sure that the stage never outlives the command that started it. No result depends on any of that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.runner.child_process import StageProcess
from stages.code_digest import entry_points, refresh_record

STAGES = Path(__file__).parent.parent / "stages"


def stage_names() -> list[str]:
    """The modules in `stages/` that can be run."""
    return entry_points(STAGES)


def main(argv: list[str] | None = None) -> int:
    """Run a stage and return its exit code, 128 + number for a signal."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] not in stage_names():
        found = repr(args[0]) if args else "nothing"
        print(f"stage: expected one of {', '.join(stage_names())}; found {found}", file=sys.stderr)
        return 2
    stage = StageProcess([sys.executable, "-m", f"stages.{args[0]}", *args[1:]])
    name = os.environ.get("DVC_STAGE")
    if name is not None:
        refresh_record(args[0])  # while the stage starts
    if name is None or sys.platform != "linux":  # by hand, or where no process can be watched
        return stage.watch()
    from pipeline.live.reporter import Reporter
    from pipeline.runner.dvc_command import DvcCommand

    command = DvcCommand.above(os.getpid())
    dvc = command.open() if command else None
    if command is None or dvc is None:
        stage.abandon()
        return stage.watch()
    reporter = Reporter(Path.cwd(), name, command, stage.output.line)
    stage.on_line = reporter.line
    code = stage.watch(dvc)
    reporter.end(code, stage.message(code), abandoned=stage.abandoned)
    return code


if __name__ == "__main__":
    sys.exit(main())
