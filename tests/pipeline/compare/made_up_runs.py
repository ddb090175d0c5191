"""Made-up runs: folders of clones with results, a dvc.lock and nothing that was trained."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from stages.code_digest import RECORDS
from stages.paths import LABELS, PREDICTIONS, SAMPLES, SHARDS
from tests.pipeline.made_up import evaluation, labels

ROOT = Path(__file__).parents[3]
PEOPLE = 4
PRIMARY = "pretrained_wrist_mpjpe_mm"

LR = {"pose.lr": 0.005}
"""What the other recipe has otherwise."""


def table(seed: int, runs: int, level: float, people: int = PEOPLE) -> np.ndarray:
    """Errors (runs, people): people differ by 3, runs by 0.3, cells by 0.2."""
    rng = np.random.default_rng(seed)
    person = np.random.default_rng(99).normal(0, 3, people)
    run = rng.normal(0, 0.3, (runs, 1))
    return np.asarray(level + person + run + rng.normal(0, 0.2, (runs, people)))


def predictions(errors: np.ndarray, **changes: Any) -> pa.Table:
    """Test images whose mean per person is `errors` (people,), with other numbers as they are."""
    image = np.random.default_rng(7).normal(0, 5, (PEOPLE, 15))
    image -= image.mean(1, keepdims=True)
    return evaluation(**{PRIMARY: (errors[:, None] + image).ravel()} | changes)


def make_run(
    folder: Path,
    rows: pa.Table,
    *,
    seed: int,
    pretrain: int | None = None,
    md5s: dict[str, str] | None = None,
    relabelled: pa.Table | None = None,
    params: Mapping[str, Any] | None = None,
) -> Path:
    """A clone with these results; `params` by key, such as pose.lr."""
    for path in (PREDICTIONS, LABELS):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / PREDICTIONS)
    pq.write_table(labels() if relabelled is None else relabelled, folder / LABELS)
    found = {
        str(SAMPLES): "5a" * 16,
        str(SHARDS / "tars"): "7a" * 16,
        str(RECORDS / "pose.json"): "c0" * 16,
        **{
            str(path): hashlib.md5((folder / path).read_bytes()).hexdigest()
            for path in (PREDICTIONS, LABELS)
        },
        **(md5s or {}),
    }
    first = seed if pretrain is None else pretrain
    values: dict[str, Any] = {
        "pretrain": {"seed": first, "lr": 0.001, "device": "auto"},
        "pose": {"seed": seed, "lr": 0.002},
        "data": {"root": str(folder)},
    }
    for key, value in (params or {}).items():
        section, name = key.split(".")
        values.setdefault(section, {})[name] = value
    outs = [{"path": path, "md5": md5} for path, md5 in found.items()]
    lock = {"stages": {"all": {"params": {"params.yaml": values}, "outs": outs}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", folder)
    own = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    own["pretrain"]["seed"], own["pose"]["seed"] = first, seed
    (folder / "params.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    return folder


def make_table(folder: Path, errors: np.ndarray, params: Mapping[str, Any] | None = None) -> None:
    """`seed-0`, `seed-1` and so on, a row of errors (runs, people) each."""
    for seed, row in enumerate(errors):
        make_run(folder / f"seed-{seed}", predictions(row), seed=seed, params=params)
