"""A stage as a command: its arguments, its exit code, and signals that stop it."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from handpose.errors import HandPoseError
from handpose.stop_signal import ctrl_c_raises, explain
from stages.paths import STAGE_2_MODELS

TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Environment variable of the processes that torchrun started."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

REMEDIES = {
    errno.ENOSPC: "Free space (`df -h .` shows what there is)",
    errno.EDQUOT: "Your quota of disk space is used up (`quota`): free some",
    errno.EACCES: "Fix the permission",
    errno.EPERM: "Fix the permission",
    errno.EROFS: "The file system is mounted read-only: use another folder, or mount it again",
    errno.EFBIG: "Raise the limit of a file's size (`ulimit -f`)",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 4096`)",
    errno.ENFILE: "The machine has too many open files: end other programs",
    errno.ENOMEM: "Memory is out: end other programs, or lower batch or workers in params.yaml",
    errno.EIO: "The disk fails, or a network folder is gone: `dmesg` shows it",
    errno.ESTALE: "A network folder was mounted again: enter it anew (`cd .`)",
    errno.ENAMETOOLONG: "Use a folder with a shorter path",
}
"""What to do, by the number of the system's error."""


class UsageError(HandPoseError):
    """The command line is not one of those in the docstring of the stage."""


def chosen_run(stage: str, argv: Sequence[str]) -> str:
    """The run of Stage 2 that the command line of a stage names.

    Raises:
        UsageError: it names none, or one that is not in `STAGE_2_MODELS`.
    """
    if len(argv) != 1 or argv[0] not in STAGE_2_MODELS:
        calls = " or ".join(f"`python -m stages.{stage} {run}`" for run in STAGE_2_MODELS)
        raise UsageError(
            f"found {' '.join(argv) or 'no argument'}, expected one of "
            f"{', '.join(STAGE_2_MODELS)}: {calls}"
        )
    return argv[0]


def stage_command(main: Callable[[], None], name: str, *, takes_run: bool = False) -> int:
    """`run_stage` as `python -m stages.NAME` has it: -h or --help prints the module's docstring.

    A stage that does not take the name of a run refuses every other argument, since each was meant
    to change what the stage does, and only params.yaml can.
    """
    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        print(inspect.cleandoc(sys.modules[main.__module__].__doc__ or name))
        return 0

    def refuse() -> None:
        raise UsageError(
            f"found {' '.join(argv)}, expected no argument; parameters are in params.yaml"
        )

    return run_stage(refuse if argv and not takes_run else main, name)


class Stopped(BaseException):
    """A signal asked this stage to stop; like KeyboardInterrupt, no handler of errors takes it."""

    def __init__(self, number: int) -> None:
        """`number` of the signal."""
        super().__init__(number)
        self.number = number


def run_stage(main: Callable[[], None], name: str) -> int:
    """Run a stage's `main` and return its exit code: 0, or 2 with a plain message for the user.

    HandPoseError, a full disk and a denied permission give 2, Ctrl-C, SIGTERM and SIGHUP 128 + the
    signal's number as in a shell; partial output is removed before. Any other exception is a
    defect and keeps its traceback.
    """
    with _stoppable():
        try:
            with ctrl_c_raises():
                main()
        except HandPoseError as error:
            _say(f"{name}: {error}")
            return 2
        except OSError as error:
            if not error.strerror:
                raise
            where = f" ({error.filename})" if error.filename else ""
            remedy = REMEDIES.get(error.errno or 0, "Remove the cause")
            _say(
                f"{name}: {error.strerror}{where}. No half-written file was left under its final "
                f"name. {remedy}, then run again"
            )
            return 2
        except MemoryError as error:
            _say(f"{name}: memory is out ({error}). {REMEDIES[errno.ENOMEM]}, then run again")
            return 2
        except KeyboardInterrupt:
            _say(f"{name}: stopped by Ctrl-C; run again to resume")
            return 128 + signal.SIGINT
        except Stopped as stopped:
            _say(f"{name}: stopped by {explain(stopped.number)}. Run again to resume")
            return 128 + stopped.number
    return 0


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Stopped`, so that what is half-written is removed.

    Once: batch systems signal every process of a job, and the runner forwards its own. Not where
    they are ignored (nohup) or handled otherwise, nor in a process that torchrun started, which may
    wait for the others where Python handles no signal.
    """
    mine: list[signal.Signals] = []

    def stop(number: int, _frame: object) -> None:
        for other in mine:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    if threading.current_thread() is threading.main_thread() and TORCHRUN not in os.environ:
        mine += [n for n in STOP_SIGNALS if signal.getsignal(n) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _say(text: str) -> None:
    """An error for the user; whoever should read it may be gone."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
