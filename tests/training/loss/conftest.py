from __future__ import annotations

from collections.abc import Callable

import pytest

from handpose.sample import HandBatch
from tests.pose_outputs import SIDE


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(4, side=SIDE)
