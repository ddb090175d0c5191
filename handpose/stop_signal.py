"""What a signal that ended a process means, and Ctrl-C before a program can act on it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

CRASH = (
    "a compiled library crashed: `python -X faulthandler -m stages.NAME` shows where, and "
    "`handpose doctor` checks the versions"
)

MEANINGS = {
    signal.SIGKILL: (
        "if nobody sent it (`kill -9`, a batch system), memory was out: `dmesg` shows it, or in a "
        "container memory.events of its cgroup"
    ),
    signal.SIGTERM: "`kill`, a batch system's time limit and a shutdown send it",
    signal.SIGHUP: "its terminal or SSH session was closed: start it under `nohup` or in `tmux`",
    signal.SIGINT: "Ctrl-C",
    signal.SIGBUS: "a disk or /dev/shm was full under a memory map: `df -h . /dev/shm`",
    signal.SIGSEGV: CRASH,
    signal.SIGABRT: CRASH,
    signal.SIGILL: CRASH,
    signal.SIGFPE: CRASH,
    signal.SIGXCPU: "its limit of CPU time was reached: `ulimit -t`",
    signal.SIGXFSZ: "its limit of file size was reached: `ulimit -f`",
}


def explain(number: int, lower: str = "") -> str:
    """`SIGKILL: if nobody sent it ..., memory was out: ...`.

    Args:
        number: of the signal.
        lower: the key in `params.yaml` by which the process needs less memory, if there is one.
    """
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    meaning = MEANINGS.get(signal.Signals(number), "") if name.startswith("SIG") else ""
    remedy = f", and lower {lower} in params.yaml" if lower and number == signal.SIGKILL else ""
    return f"{name}: {meaning}{remedy}" if meaning else name


class _Quit:
    """A handler of SIGINT: one line and exit code 130, at once and without a traceback."""

    def __init__(self, line: str) -> None:
        self.line = line

    def __call__(self, number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{self.line}\n".encode())
        os._exit(128 + number)  # nothing is written yet, and an import may swallow an exception


def program() -> str:
    """What this process runs: the module of `python -m`, else the file's name, such as `handpose`.

    Asked by the package that the program lies in, while that is imported.
    """
    if sys.argv[:1] != ["-m"]:  # `-m` stands there until Python has found the module
        return os.path.basename(sys.argv[0]) if sys.argv else ""
    words = sys.orig_argv
    return words[words.index("-m") + 1] if "-m" in words[:-1] else ""


def quit_on_ctrl_c(line: str) -> None:
    """Let Ctrl-C end this program with this line, as long as it imports its modules.

    Called by the first module that it imports. Nothing changes where Ctrl-C is ignored or handled.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _Quit(line))


@contextlib.contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt again, where `quit_on_ctrl_c` has changed that."""
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, _Quit):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)
