"""Progress lines of long work: count, rate, time left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Progress:
    """Prints rate and time left every few seconds: `shard: 1200/5670 images, 810/s, 6 s left`."""

    def __init__(self, name: str, total: int, unit: str, every_s: float = 5.0) -> None:
        """`total` items called `unit`; the first line comes after `every_s` seconds."""
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self.done, self.started = 0, time.monotonic()
        self._printed = self.started

    def step(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items; print a line if one is due or all are done."""
        self.done += n
        now = time.monotonic()
        if now - self._printed < self.every_s and self.done < self.total:
            return
        self._printed = now
        rate = self.done / max(now - self.started, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        speed = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
        tail = f", {note}" if note else ""
        print(
            f"{self.name}: {self.done}/{self.total} {self.unit}, {speed}/s, "
            f"{left:.0f} s left{tail}",
            flush=True,
        )

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, counting each."""
        for item in items:
            yield item
            self.step()
