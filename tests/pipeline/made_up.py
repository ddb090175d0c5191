"""Made-up evaluations: results/predictions.parquet without a model, and labels.parquet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from handpose.sample import UNLABELLED

FOLDERS = ("0001_a", "0002_b", "ROM")


def evaluation(**changes: Any) -> pa.Table:
    """Four people, three folders, five frames of each; every number by default the same."""
    rows = [
        {
            "split": "test",
            "subject": subject,
            "session": 1,
            "sequence": folder,
            "kind": "rom" if folder == "ROM" else "gesture",
            "camera": "400001",
            "frame": frame,
            "is_left": False,
            "coarse": UNLABELLED if folder == "ROM" else 1,
            "fine": UNLABELLED if folder == "ROM" else 2,
            "stage_1_coarse": 1,
            "stage_1_fine": 2,
            "pretrained_wrist_mpjpe_mm": 30.0 + subject,
            "pretrained_pa_mpjpe_mm": 10.0,
            "scratch_wrist_mpjpe_mm": 40.0,
            "scratch_pa_mpjpe_mm": 12.0,
        }
        for subject in (9, 10, 11, 12)
        for folder in FOLDERS
        for frame in range(5)
    ]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return pa.table(columns | {name: np.asarray(values) for name, values in changes.items()})


def labels(**changed: tuple[str, str]) -> pa.Table:
    names = {"0001_a": ("open", "open_wide"), "0002_b": ("open", "open_b")} | changed
    coarse, fine = zip(*names.values(), strict=True)
    ids = {name: k for k, name in enumerate(sorted({*coarse, *fine}))}
    return pa.table(
        {
            "folder": list(names),
            "hand": ["right"] * len(names),
            "coarse": coarse,
            "fine": fine,
            "coarse_id": [ids[c] for c in coarse],
            "fine_id": [ids[f] for f in fine],
            "twin_coarse_id": [ids[c] for c in coarse],
            "twin_fine_id": [ids[f] for f in fine],
        }
    )
