"""Where a stage finds what others left, from the root of the clone."""

from __future__ import annotations

from pathlib import Path

STAND_IN = Path("data/stand_in")
"""`synthesize`'s licence-free hand model; `hand.mano` by default."""

SYNTHETIC = Path("data/synthetic")
"""`synthesize`'s data set; `data.root` by default."""

SAMPLES = Path("data/ingest/samples.parquet")
LABELS = Path("data/labels/labels.parquet")

MEMBERSHIP = Path("data/labels/membership.txt")
"""The folders whose samples are cut, trained on and evaluated, one a line."""

SHARDS = Path("data/shard")


def is_same_path(named: str | Path, place: Path) -> bool:
    """Whether a parameter names this folder, however it is written."""
    return Path(named).resolve() == place.resolve()
