"""Every path that one stage writes and another program reads, from the root of the clone."""

from __future__ import annotations

from pathlib import Path

from handpose.errors import HandPoseError

STAND_IN = Path("data/stand_in")
"""`synthesize`'s licence-free hand model; `hand.mano` by default."""

SYNTHETIC = Path("data/synthetic")
"""`synthesize`'s data set; `data.root` by default."""

SYNTHESIZE_MANIFEST = Path("data/synthesize_manifest.json")

INPUTS = Path("data/inputs")
ANNOTATIONS_RECORD = INPUTS / "annotations.json"
HAND_RECORD = INPUTS / "hand.json"

INGEST = Path("data/ingest")
SAMPLES = INGEST / "samples.parquet"
REJECTS = INGEST / "rejects.parquet"
CONTRADICTIONS = INGEST / "contradictions.parquet"

LABEL = Path("data/labels")
LABELS = LABEL / "labels.parquet"

MEMBERSHIP = LABEL / "membership.txt"
"""The folders whose samples are cropped, trained on and evaluated, one per line."""

SHARDS = Path("data/shard")
SHARD_REJECTS = SHARDS / "rejects.csv"
"""Samples whose crop could not be cut."""

SHIFTED = Path("data/shifted/shards")
"""The shifted test sets of `evaluate.shift`, for experiments."""

SHIFT_MANIFEST = Path("data/shifted/manifest.json")

STAGE_1_MODEL = Path("models/pretrain")
STAGE_2_MODELS = {run: Path("models/pose") / run for run in ("pretrained", "scratch")}
"""By run: from Stage 1's weights, or without pretraining."""

RESULTS = Path("results")
METRICS = RESULTS / "metrics.json"
PREDICTIONS = RESULTS / "predictions.parquet"
SCORES = RESULTS / "scores"
"""Of one Stage 2 model each, person by person, for experiments."""

IMPORTED = RESULTS / "imported"
"""What `handpose evaluate` measures of other models, by benchmarks and on shifted images."""

FIELD_PAGE = RESULTS / "field.md"
FIELD_FACTS = RESULTS / "field.json"

WORK = Path("work")
"""Live checkpoints and pictures; outside DVC's outs, which it deletes before a stage runs."""


def is_same_path(named: str | Path, path: Path) -> bool:
    """Whether a parameter names this path, however it is written."""
    return Path(named).resolve() == path.resolve()


def require(path: Path, stage: str, error: type[HandPoseError]) -> None:
    """Raise `error` where a file is not there that this stage writes."""
    if not path.is_file():
        raise error(f"{path}: not found; run `dvc repro {stage}` first")
