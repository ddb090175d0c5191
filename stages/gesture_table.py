"""The gesture poses that go with the hand model: its own table, or the project's."""

from __future__ import annotations

from pathlib import Path

from handpose.synthetic.articulation import TABLE, GesturePose, read_gesture_poses
from stages.sections.dataset import HandParams


def own_gesture_table(hand: HandParams) -> Path | None:
    """The table of gesture poses that lies beside the hand model, for it alone; None: none does."""
    table = Path(hand.mano) / TABLE
    return table if table.is_file() else None


def gesture_poses(hand: HandParams) -> tuple[GesturePose, ...]:
    """The gestures: of the hand model's own table, or of the project's.

    Raises:
        GesturePoseError: a cell does not fit its column.
    """
    return read_gesture_poses(own_gesture_table(hand))
