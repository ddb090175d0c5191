"""Writes a made-up FreiHAND in the data set's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from handpose.freihand.lists import PHOTO_PX
from handpose.freihand.reader import VERSIONS
from handpose.hand.mano import Mano
from tests.freihand.made_up_hands import MadeUpHands, made_up_hands, write_photo

K = np.array([[480.0, 0, 111.5], [0, 470, 112.5], [0, 0, 1]])
MIDDLE_MCP = 9


def write_freihand(
    root: Path, mano: Mano, *, evaluation: int = 24, training: int = 0, photos: bool = True
) -> dict[str, MadeUpHands]:
    """FreiHAND with so many hands; returns them by part."""
    root.mkdir(parents=True, exist_ok=True)
    written = {}
    for part, count in (("evaluation", evaluation), ("training", training)):
        if not count:
            continue
        hands = made_up_hands(mano, count, "freihand", seed=len(part))
        focal = (K[0, 0] + K[1, 1]) / 2
        mcp = hands.joints[:, MIDDLE_MCP]
        scale = focal / mcp[:, 2:]
        uv = K[:2, 2] + mcp[:, :2] * scale
        parts = (hands.global_orient, hands.hand_pose, hands.betas, uv, scale)
        bones = np.linalg.norm(hands.joints[:, 9] - hands.joints[:, 10], axis=-1)
        lists = {
            "K": np.tile(K, (count, 1, 1)),
            "xyz": hands.joints,
            "mano": np.concatenate(parts, 1)[:, None],
            "scale": bones,
            "verts": hands.vertices,
        }
        for name, values in lists.items():
            (root / f"{part}_{name}.json").write_text(json.dumps(values.tolist()))
        versions = len(VERSIONS) if part == "training" else 1
        for k in range(count * versions if photos else 0):
            write_photo(root / part / "rgb" / f"{k:08d}.jpg", (PHOTO_PX, PHOTO_PX), k)
        written[part] = hands
    return written
