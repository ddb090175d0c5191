"""Open one door: `python -m pipeline.stage NAME [ARGS]` runs `python -m stages.NAME ARGS`.

This is the `cmd` of every stage in `dvc.yaml`. The door runs as a child process. This runner hands
its lines on, tells them to a Prefect server where one answers (`pipeline/live`), and sees to it
that the door never outlives the command that asked for it. No result depends on any of that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.runner.child_stage import StageProcess, say

STAGES = Path(__file__).parent.parent / "stages"


def stage_names() -> list[str]:
    """Names of the doors: the modules in `stages/` that can be run."""
    runnable = (path for path in STAGES.glob("*.py") if "__main__" in path.read_text("utf-8"))
    return sorted(path.stem for path in runnable)


def main(argv: list[str] | None = None) -> int:
    """Run a door and return its exit code, 128 + its number for a signal."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] not in stage_names():
        found = repr(args[0]) if args else "nothing"
        print(f"stage: expected one of {', '.join(stage_names())}; found {found}", file=sys.stderr)
        return 2
    door = StageProcess([sys.executable, "-m", f"stages.{args[0]}", *args[1:]])
    stage = os.environ.get("DVC_STAGE")
    if stage is None or sys.platform != "linux":  # by hand, or where no process can be watched
        return door.watch()
    from pipeline.live.reporter import Reporter
    from pipeline.runner.dvc_command import Command  # while the door is on its way

    command = Command.above(os.getpid())
    dvc = command.open() if command else None
    if command is None or dvc is None:
        door.abandon()
        return door.watch()
    reporter = Reporter(Path.cwd(), stage, command, say)
    door.on_line = reporter.line
    code = door.watch(dvc)
    reporter.end(code, door.message(code), abandoned=door.abandoned)
    return code


if __name__ == "__main__":
    sys.exit(main())
