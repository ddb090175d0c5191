"""Writing JSON, and the manifest beside a stage's outputs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from handpose.files import atomic_file, digest


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
            "versions": {name: _version(name) for name in packages},
            "seconds": round(time.monotonic() - started, 2),
        },
    )


def _version(package: str) -> str | None:
    """None if it is not installed, as smplx need not be (`handpose/hand/mano.py`)."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
