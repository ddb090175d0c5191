"""A joint regressor in the form of InterHand2.6M's, made of random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.skeleton import FROM_INTERHAND, TIPS

VERTICES_PER_JOINT = 120


def made_up_regressor(seed: int = 0) -> NDArray[np.float32]:
    """(21, 778): rows in InterHand2.6M's order that sum to 1; fingertips are one vertex each."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((21, 778))
    for row in rows:
        row[rng.choice(778, VERTICES_PER_JOINT, replace=False)] = rng.random(VERTICES_PER_JOINT)
    rows /= rows.sum(1, keepdims=True)
    tips = FROM_INTERHAND[list(TIPS)]
    rows[tips] = np.eye(778)[list(TIP_VERTICES["interhand"])]
    return rows.astype(np.float32)
