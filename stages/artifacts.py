"""What every stage shares: exit codes, the manifest, and progress lines."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest

T = TypeVar("T")


def run_stage(main: Callable[[], None], name: str) -> int:
    """Run a stage's `main` and return its exit code: 0, or 2 with a plain message for the user.

    HandPoseError, a full disk and a denied permission give 2, Ctrl-C gives 130 as in a shell. Any
    other exception is a defect and keeps its traceback.
    """
    try:
        main()
    except HandPoseError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return 2
    except OSError as error:
        if not error.strerror:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"{name}: {error.strerror}{where}. No half-written file was left under its final name. "
            "Free space (`df -h .` shows what there is) or fix the permission, then run "
            "again",
            file=sys.stderr,
            flush=True,
        )
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped by Ctrl-C; run again to resume", file=sys.stderr, flush=True)
        return 128 + signal.SIGINT
    return 0


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically.

    Raises:
        ValueError: a value is NaN or infinite, which strict readers cannot parse.
    """
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_manifest(
    path: Path, *, started: float, counts: dict[str, Any], outputs: Iterable[Path]
) -> None:
    """Write the manifest beside a stage's artefacts: counts, digests, versions and seconds.

    `started` is the stage's `time.monotonic()`. No stage may depend on a manifest: its seconds
    differ in every run.
    """
    packages = (
        "torch",
        "timm",
        "smplx",
        "webdataset",
        "numpy",
        "pyarrow",
        "opencv-python-headless",
    )
    write_json(
        path,
        {
            "counts": counts,
            "digests": {str(out): digest(out) for out in outputs},
            "versions": {name: metadata.version(name) for name in packages},
            "seconds": round(time.monotonic() - started, 2),
        },
    )


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
