"""A line of hands.jsonl with the required keys alone, and MANO parameters for one."""

from __future__ import annotations

from typing import Any

LINE: dict[str, Any] = {
    "image": "day1/0001.jpg",
    "size": [64, 48],
    "K": [[100, 0, 32], [0, 100, 24], [0, 0, 1]],
    "joints": [[0.01 * (k % 5), 0.01 * (k // 5), 0.6] for k in range(21)],
    "subject": 3,
    "side": "right",
}
MANO: dict[str, Any] = {
    "global_orient": [0.1, 0, 0],
    "hand_pose": [0.0] * 45,
    "betas": [0.5] * 10,
    "transl": [0, 0, 0.6],
}
