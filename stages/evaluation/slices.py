"""By what the test images are divided to show where a model fails: the group of each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.evaluation.scores import Scores
from handpose.hand.facing import FACINGS

Names = NDArray[Any]
"""(N,) texts."""

SECTOR_DEG = 30
THIRDS = np.array(["first third", "middle third", "last third"])
FIFTHS = np.array(
    ["least sure fifth", "second fifth", "third fifth", "fourth fifth", "surest fifth"]
)
MISSING = np.array(["all 21 joints", "1 to 5 joints missing", "6 or more joints missing"])


def facing_names(scores: Scores) -> Names:
    """Palm, back, edge or unknown."""
    names = np.array([*FACINGS, "unknown"])
    found: Names = names[scores.facing]  # UNKNOWN is -1, the last
    return found


def rotation_names(scores: Scores) -> Names:
    """The 30-degree sector of each hand's rotation in the image: `000 to 030`, or unknown."""
    known = np.isfinite(scores.rotation)
    degrees = np.degrees(np.where(known, scores.rotation, 0)) % 360
    first = (degrees // SECTOR_DEG * SECTOR_DEG).astype(int) % 360
    names = [f"{start:03d} to {start + SECTOR_DEG:03d}" for start in first]
    return np.where(known, names, "unknown")


def phase_names(origin: Mapping[str, NDArray[Any]]) -> Names:
    """The third of its sequence in which an image was taken, by the evaluated frames.

    `only frame` where a sequence has one. Gesture sequences often begin and end in neutral poses.

    Args:
        origin: (N,) subject, session, sequence, is_left and frame.
    """
    keys = [origin[name].tolist() for name in ("subject", "session", "sequence", "is_left")]
    texts = [" ".join(map(str, key)) for key in zip(*keys, strict=True)]
    _, own = np.unique(texts, return_inverse=True)  # (N,)
    frame = origin["frame"].astype(np.float64)
    first, last = np.full(own.max() + 1, np.inf), np.full(own.max() + 1, -np.inf)
    np.minimum.at(first, own, frame)
    np.maximum.at(last, own, frame)
    length = (last - first)[own]
    share = (frame - first[own]) / np.where(length > 0, length, 1)  # 0 to 1
    third = np.minimum((share * len(THIRDS)).astype(int), len(THIRDS) - 1)
    return np.where(length > 0, THIRDS[third], "only frame")


def visibility_names(scores: Scores) -> Names:
    """How many of the 21 joints have an annotation; the others were hidden or out of the image."""
    missing = (~scores.joint_valid.astype(bool)).sum(1)
    found: Names = MISSING[np.digitize(missing, [1, 6])]
    return found


def confidence_names(scores: Scores) -> Names:
    """The fifth of the samples by Stage 1's probability of its class, the least sure first."""
    order = np.argsort(scores.confidence, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found: Names = FIFTHS[rank * len(FIFTHS) // max(len(rank), 1)]
    return found
