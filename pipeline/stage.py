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

STAGES = Path(__file__).parent.parent / "stages"

RECORDS = Path("data/code")
"""What stage `code` writes, see `stages/code_digest.py`."""


def stage_names() -> list[str]:
    """The modules in `stages/` that can be run."""
    runnable = (path for path in STAGES.glob("*.py") if "__main__" in path.read_text("utf-8"))
    return sorted(path.stem for path in runnable)


def _refresh_record(stage: str) -> None:
    """Record the code that a stage starts with, where stage `code` has recorded any."""
    if (RECORDS / f"{stage}.json").is_file():
        from stages.code_digest import refresh_record

        refresh_record(stage)


def main(argv: list[str] | None = None) -> int:
    """Run a stage and return its exit code, 128 + number for a signal."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] not in stage_names():
        found = repr(args[0]) if args else "nothing"
        print(f"stage: expected one of {', '.join(stage_names())}; found {found}", file=sys.stderr)
        return 2
    stage = StageProcess([sys.executable, "-m", f"stages.{args[0]}", *args[1:]])
    name = os.environ.get("DVC_STAGE")
    if name is None or sys.platform != "linux":  # by hand, or where no process can be watched
        if name is not None:
            _refresh_record(args[0])
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
    _refresh_record(args[0])  # while the stage starts
    code = stage.watch(dvc)
    reporter.end(code, stage.message(code), abandoned=stage.abandoned)
    return code


if __name__ == "__main__":
    sys.exit(main())
