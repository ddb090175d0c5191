"""Open one door: `python -m pipeline.stage NAME [ARGS]` runs `python -m stages.NAME ARGS`.

This is the `cmd` of every stage in `dvc.yaml`. The door runs as a child process, so that this
runner can watch it (and report to a Prefect server) without being part of any result.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

STAGES = Path(__file__).parent.parent / "stages"

FAST = {
    "GOMP_SPINCOUNT": "3000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
"""Environment of a door, where the user has set nothing else.

Threads that wait for each other soon sleep instead of spinning: on a busy machine two spinning
torch threads ran at a fourteenth of their speed. Freed memory is kept for the next step instead of
being handed back: a training step on two cores takes a sixth less time. Neither changes a result.
"""


def doors() -> list[str]:
    """Names of the doors: the modules in `stages/` that can be run."""
    runnable = (path for path in STAGES.glob("*.py") if "__main__" in path.read_text("utf-8"))
    return sorted(path.stem for path in runnable)


def main(argv: list[str] | None = None) -> int:
    """Run a door and return its exit code; a signal to the runner reaches the door."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] not in doors():
        found = repr(args[0]) if args else "nothing"
        print(f"stage: expected one of {', '.join(doors())}; found {found}", file=sys.stderr)
        return 2
    door = subprocess.Popen(
        [sys.executable, "-m", f"stages.{args[0]}", *args[1:]], env=FAST | os.environ
    )
    # Ctrl-C reaches the whole foreground group by itself; SIGTERM does not.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: door.send_signal(number))
    code = door.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
