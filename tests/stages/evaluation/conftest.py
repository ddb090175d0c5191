"""Made-up scores and the people of their samples."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.evaluation.scores import Scores
from tests.stages.evaluation.made_up_scores import SUBJECTS, made_up_scores


@pytest.fixture
def subjects() -> np.ndarray:
    return SUBJECTS


@pytest.fixture
def scores() -> Scores:
    return made_up_scores()
