"""Trainings side by side, each with its share of the cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from handpose.errors import HandPoseError


class TrainingPool:
    """Trains several clones at once. Each line that is shown begins with what it is of."""

    def __init__(self, jobs: int, cores: int, show: Callable[[str], None]) -> None:
        """`show` gets the lines of all trainings, one at a time."""
        self.jobs = jobs
        self.threads = str(max(1, cores // jobs))
        """OMP_NUM_THREADS of each training."""
        self._show, self._lock = show, threading.Lock()
        self._stopped = threading.Event()

    def line(self, text: str) -> None:
        """Show a line."""
        with self._lock:
            self._show(text)

    def line_of(self, name: str) -> Callable[[str], None]:
        """Takes the output of the training of this name.

        Once the pool has stopped it raises KeyboardInterrupt, which ends `dvc repro` after the
        running stage has saved its state; what is printed until then is shown.
        """
        raised = False

        def on_line(text: str) -> None:
            nonlocal raised
            if text.strip():
                self.line(f"{name}: {text}")
            if self._stopped.is_set() and not raised:
                raised = True
                raise KeyboardInterrupt

        return on_line

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """Stop all trainings at the end of the block, however it ends."""
        try:
            yield
        finally:
            self._stopped.set()

    def run(self, trainings: Mapping[str, Callable[[], None]]) -> list[str]:
        """Run all of them, by name; returns a line for each that failed.

        Raises:
            KeyboardInterrupt: after the running trainings have saved their state.
        """
        failed: list[str] = []
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = {pool.submit(train): name for name, train in trainings.items()}
            try:
                for future in as_completed(futures):
                    try:
                        future.result()
                    except HandPoseError as error:
                        name, text = futures[future], str(error)
                        is_named = text.startswith(f"{name}: ")
                        failed.append(text if is_named else f"{name}: {text}")
                        self.line(f"{name}: failed")
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        return failed
