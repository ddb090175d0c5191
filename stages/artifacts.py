"""What every door shares: progress lines, atomic writes, the manifest, and exit code 2."""

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
    """Exit code of a door: 0, or 2 with a plain message for what the user can mend.

    A full disk or a refused permission is the user's to mend too, and Ctrl-C is the user's wish
    (130, as a shell tells it); every other exception is ours and keeps its traceback.
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
            f"{name}: {error.strerror}{where}. Nothing half-written was kept under its final name; "
            "`df -h .` tells what is free. Free space or mend the permission, and run again",
            file=sys.stderr,
            flush=True,
        )
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped by Ctrl-C; run again to go on", file=sys.stderr, flush=True)
        return 128 + signal.SIGINT
    return 0


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; a NaN is refused, since strict readers cannot open it."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_manifest(
    path: Path, *, started: float, counts: dict[str, Any], outputs: Iterable[Path]
) -> None:
    """The manifest beside a stage's artefacts: counts, digests, versions and seconds.

    `started` is the stage's `time.monotonic()`. It is never a dependency of another stage, since
    its seconds change with every run.
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
    """One line with rate and ETA every few seconds: `shard: 1200/5670 images, 810/s, 6 s left`."""

    def __init__(self, name: str, total: int, unit: str, every_s: float = 5.0) -> None:
        """`total` items called `unit`; the first line comes after `every_s` seconds."""
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self.done, self.started = 0, time.monotonic()
        self._told = self.started

    def step(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items; print when it is time or when all are done."""
        self.done += n
        now = time.monotonic()
        if now - self._told < self.every_s and self.done < self.total:
            return
        self._told = now
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
        """The same items, counted as they pass."""
        for item in items:
            yield item
            self.step()
