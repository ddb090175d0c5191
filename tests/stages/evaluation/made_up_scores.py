"""Scores of a split as drawn numbers."""

from __future__ import annotations

import numpy as np

from handpose.evaluation.interventions import GATES_CLOSED
from handpose.evaluation.protocols import COLUMNS
from handpose.evaluation.scores import STAGE_1, Scores
from handpose.sample import UNLABELLED
from stages.evaluation.summary import FULL, MODELS, RUNS, Classes

N = 40
LEFT = np.arange(N) % 5 == 0
CLASSES = Classes(
    coarse=["fist", "gun", "fist", "gun"],
    fine=["fist", "gun", "fist", "gun"],
    hands=["right", "right", "left", "left"],
    majority={"coarse": 1, "fine": 2},
)


SUBJECTS = np.arange(N) % 4 + 9


def made_up_scores() -> Scores:
    """Forty samples: a tenth without annotated wrist, the last ten without a gesture."""
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(N) < 30, rng.integers(0, 4, N), UNLABELLED)

    def pose(size: float) -> dict[str, np.ndarray]:
        joints = size * rng.random((N, 21))
        joints[::10] = np.nan
        known = np.arange(N) % 10 > 0
        found = {
            c.key: np.where(known, (size if c.unit else 1) * rng.random(N), np.nan) for c in COLUMNS
        }
        return {
            **found,
            "joint_errors_mm": joints,
            "pa_joint_errors_mm": joints / 2,
            "table2_joint_errors_mm": joints / 3,
        }

    predicted = {
        name: {k: rng.integers(0, 4, N) for k in ("coarse", "fine")} for name in (STAGE_1, FULL)
    }
    return Scores(
        sample_id=np.arange(N),
        has_mano=np.ones(N, bool),
        joint_valid=np.ones((N, 21), bool),
        classes={"coarse": truth, "fine": truth},
        predicted=predicted,
        pose={model: pose(size) for model, size in zip(MODELS, (20, 30, 25, 15, 60), strict=True)},
        interventions={FULL: {GATES_CLOSED: {"wrist_mpjpe_mm": pose(20)["wrist_mpjpe_mm"]}}},
        joints={},
        facing=np.arange(N) % 4 - 1,
        rotation=np.linspace(-np.pi, np.pi, N, endpoint=False) + 0.01,
        view={FULL: {"mirrored_fingers": (np.arange(N) % 4 == 0).astype(float)}},
        confidence=rng.random(N),
        vertex_errors_mm={run: rng.random(778) + 5 for run in RUNS},
        features={},
        logits={},
        feature_rows=np.arange(0),
    )
