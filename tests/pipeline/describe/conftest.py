"""The tiny nets of tests/nets serve here too."""

from __future__ import annotations

from tests.nets.conftest import gesture_net, image, is_left, make_pose_net

__all__ = ["gesture_net", "image", "is_left", "make_pose_net"]
