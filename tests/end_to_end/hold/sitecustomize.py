"""Holds a process still at a chosen call until a signal comes, so that a kill always hits there.

Python imports a `sitecustomize` that it finds on PYTHONPATH in every process. This one acts only in
the process whose command line holds the word HANDPOSE_HOLD_IN: the call number HOLD_COUNT of
HOLD_CALL (`module:function`) whose arguments hold HOLD_TEXT does not begin. HOLD_FILE gets the
process's number when it is there.
"""

from __future__ import annotations

import functools
import importlib
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any


def _hold_before(call: str, count: int, text: str, file: Path) -> None:
    module, _, path = call.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    function = getattr(owner, name)
    calls = 0

    @functools.wraps(function)
    def held(*args: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += text in str(args)
        if text in str(args) and calls == count:
            _wait(file)
        return function(*args, **keywords)

    setattr(owner, name, held)


def _wait(file: Path) -> None:
    """Until a signal has come that did not end the process; what it asked for is done after."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(theirs.fileno())
    partial = file.with_suffix(".partial")
    partial.write_text(str(os.getpid()), encoding="utf-8")
    partial.replace(file)
    select.select([ours], [], [], 120)


if (word := os.environ.get("HANDPOSE_HOLD_IN")) and any(word in part for part in sys.orig_argv):
    _hold_before(
        os.environ["HOLD_CALL"],
        int(os.environ["HOLD_COUNT"]),
        os.environ["HOLD_TEXT"],
        Path(os.environ["HOLD_FILE"]),
    )
