"""Writes a made-up HInt in the data set's own layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handpose.hint.hands import SUBSETS
from tests.freihand.made_up_hands import write_photo

NAMES = {
    "newdays": "ND_video{video}_frame{k:06d}_{side}",
    "epick": "EK_{k:04d}_P0{video}_10_frame_{k:010d}_{side}",
    "ego4d": "{video:036d}_{k:036d}_505_pnr_frame_{side}",
}


def write_hint(root: Path, hands: Mapping[str, int], without_photos: str = "") -> None:
    """So many hands of each subset, of three videos each; joints in boxes of 80 to 160 px."""
    rng = np.random.default_rng(0)
    for subset, count in hands.items():
        folder = root / SUBSETS[subset]
        folder.mkdir(parents=True)
        for k in range(count):
            name = NAMES[subset].format(video=k % 3, k=k, side="lr"[k % 2])
            left, top = rng.uniform(20, 60, 2)
            width, height = rng.uniform(80, 160, 2)
            joints = rng.uniform([left, top], [left + width, top + height], (21, 2))
            hand = {
                "bbox": [[left, top, left + width, top + height]],
                "keypoints": joints.tolist(),
                "occlusion": rng.integers(0, 2, 21).tolist(),
            }
            (folder / f"{name}.json").write_text(json.dumps([hand]))
            if subset != without_photos:
                write_photo(folder / f"{name}.jpg", (256, 256), k)
