from __future__ import annotations

from pathlib import Path

import numpy as np

from handpose.synthetic.articulation import TABLE, read_gesture_poses
from stages.gesture_table import gesture_poses, own_gesture_table
from stages.params import HandParams


def test_a_hand_brings_its_own_gestures(stand_in: Path, anny: Path) -> None:
    own, other = HandParams(mano=str(anny)), HandParams(mano=str(stand_in))
    assert own_gesture_table(own) == anny / TABLE and own_gesture_table(other) is None
    found, project = gesture_poses(own), gesture_poses(other)
    for table, expected in ((found, anny / TABLE), (project, None)):
        angles = [pose.angles for pose in read_gesture_poses(expected)]
        np.testing.assert_array_equal([pose.angles for pose in table], angles)
    one, two = (next(p.angles for p in table if p.gesture == "fist") for table in (found, project))
    assert not np.array_equal(one, two)
