"""What a benchmark's truth is known by."""

from __future__ import annotations

import numpy as np

from handpose.data.reader import BenchmarkTruth


def test_the_digest_of_a_truth_is_of_its_hands() -> None:
    numbers, joints = np.arange(4), np.random.default_rng(0).normal(size=(4, 21, 3))
    truth = BenchmarkTruth(numbers, joints, None, np.zeros(4, np.int64))
    assert truth.sha256 == truth._replace(unit=np.ones(4, np.int64)).sha256
    moved = joints.copy()
    moved[2, 5, 1] += 1e-6
    others = (truth._replace(joints=moved), truth._replace(official=numbers + 1))
    assert len({truth.sha256, *(one.sha256 for one in others)}) == 3
