"""Graceful shutdown: SIGTERM, Ctrl-C and SIGHUP wait until the current step is saved."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from handpose.distributed import SINGLE_PROCESS, Distributed
from handpose.stop_signal import MEANINGS

logger = logging.getLogger(__name__)


class DeferredSignals:
    """Defers SIGTERM, Ctrl-C and SIGHUP until the training loop can exit.

    A second Ctrl-C acts at once: somebody is waiting. Any other second signal is ignored as a
    repetition: batch systems signal every process of a job, and the runner forwards its own.
    """

    def __init__(self, distributed: Distributed = SINGLE_PROCESS) -> None:
        """No signal received yet."""
        self.received = 0  # number of the first signal
        self._distributed = distributed
        self._handlers: dict[int, Any] = {}  # to be restored

    def __enter__(self) -> DeferredSignals:
        """Start deferring signals; outside of the main thread, where Python cannot, do nothing."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    self._handlers[number] = signal.signal(number, self._defer)
        return self

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            self._restore()
            signal.raise_signal(number)
        self.received = self.received or number

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def __exit__(self, kind: object, *_: object) -> None:
        """Restore the handlers; a signal since the last `exit_if_received` acts now."""
        self._restore()
        if kind is None:
            self.exit_if_received()

    def exit_if_received(self) -> None:
        """Raise SystemExit (128 + number, as shells report it) if a signal came; save before.

        If any of several processes received one, all exit at the same call.
        """
        number = self._distributed.all_reduce_max(self.received)
        if number:
            name, meaning = signal.Signals(number).name, MEANINGS[signal.Signals(number)]
            logger.info("stopped by %s; run again to resume (%s)", name, meaning)
            raise SystemExit(128 + number)
