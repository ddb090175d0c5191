from __future__ import annotations

from collections.abc import Callable

import pytest

from handpose.sample import HandBatch
from tests.training.loss.pose_outputs import SIDE_PX


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(4, side=SIDE_PX)
