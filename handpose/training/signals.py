"""A polite end: SIGTERM, Ctrl-C and a closed terminal wait for the step in work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from handpose.distributed import SINGLE_PROCESS, Distributed


class Stop:
    """Holds SIGTERM, Ctrl-C and SIGHUP back until the loop can leave.

    A second Ctrl-C acts at once: somebody is waiting. Any other second signal is the same wish come
    twice, since a batch system signals every process of a job, and the runner hands its own on.
    """

    def __init__(
        self, tell: Callable[[str], None], distributed: Distributed = SINGLE_PROCESS
    ) -> None:
        """No signal came yet; `tell` is given a line when one makes the loop leave."""
        self.signal = 0
        self._tell, self._distributed = tell, distributed
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        """Begin to hold signals back; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                    self._before[number] = signal.signal(number, self._hold)
        return self

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            self._restore()
            signal.raise_signal(number)
        self.signal = self.signal or number

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, kind: object, *_: object) -> None:
        """Signals act as before; one that came after the last `leave` acts now."""
        self._restore()
        if kind is None:
            self.leave()

    def leave(self) -> None:
        """End the process as a shell reports a signal, if one came; all must be saved by now.

        Of several processes, all leave at the same call if a signal came to one of them.
        """
        number = self._distributed.all_reduce_max(self.signal)
        if number:
            self._tell(f"stopped by {signal.Signals(number).name}; run again to go on")
            raise SystemExit(128 + number)
