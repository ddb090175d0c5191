"""PCK in pixels against loops over joints."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.evaluation.pixel_share import SHARES, pixel_shares


def test_a_share_is_the_mean_over_joints_of_each_joints_share() -> None:
    rng = np.random.default_rng(0)
    errors, counted = rng.uniform(0, 0.3, (40, 21)), rng.random((40, 21)) < 0.4
    counted[:, 7] = False  # a joint that nobody shows
    counted[::5] = False  # a video without any
    videos = np.array([f"video{k % 5}" for k in range(40)])
    found = pixel_shares(errors, counted, videos)
    for share in SHARES:
        own = []
        for joint in range(21):
            seen = [errors[k, joint] <= share for k in range(40) if counted[k, joint]]
            if seen:
                own.append(np.mean(seen))
        assert len(own) == 20
        assert found[share].value == pytest.approx(np.mean(own), abs=1e-9)
        assert found[share].low < found[share].value < found[share].high
        assert found[share].subjects == 4 and found[share].samples == 32


def test_no_error_is_1_and_a_great_one_0() -> None:
    videos = np.array(["a", "b", "c"])
    every = np.ones((3, 21), np.bool_)
    for error, share in ((0.0, 1.0), (1.0, 0.0)):
        found = pixel_shares(np.full((3, 21), error), every, videos)
        assert {one.value for one in found.values()} == {share}
