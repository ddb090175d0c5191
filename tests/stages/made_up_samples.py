"""samples.parquet of the shards that the fixtures write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handpose.data.labels import Labels
from handpose.data.shards import Shards

PX = 64
LISTS = {
    "joints_cam": 63,
    "joint_valid": 21,
    "global_orient": 3,
    "hand_pose": 45,
    "betas": 10,
}


def write_samples() -> None:
    """samples.parquet of what the shards hold; subject and camera go by turns."""
    shards, labels = Shards.open("data/shard"), Labels.read(Path("data/labels/labels.parquet")).ids
    rows: list[dict[str, Any]] = []
    for split in shards.index.splits:
        for batch in shards.batches(split, batch=1, image_px=PX, labels=labels):
            number = int(batch.sample_id[0])
            folder = list(labels)[number % 4]
            row: dict[str, Any] = {
                "sample_id": number,
                "split": split,
                "sequence": folder if split in ("train", "validation", "test") else "ROM03_RT",
                "kind": "gesture",
                "subject": number % 3 + (9 if split == "test" else 0),
                "session": 0,
                "camera": f"40000{number % 2}",
                "frame": number,
                "is_left": bool(batch.is_left[0]),
                "has_mano": bool(batch.has_mano[0]),
            }
            for name in LISTS:
                row[name] = getattr(batch, name)[0].flatten().numpy()
            rows.append(row)
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name, size in LISTS.items():
        flat = pa.array(np.concatenate(columns[name]))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, size)
    Path("data/ingest").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), "data/ingest/samples.parquet")
    members = sorted(set(columns["sequence"]))
    Path("data/labels/membership.txt").write_text("".join(f"{m}\n" for m in members), "utf-8")
