"""The judge begins at a palm and follows the joints to rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.realism import crop
from bench.realism.judge import SURE, Judge, Reading
from handpose.detection.palm_detector import Palm
from tests.bench.realism.test_crop import hand

PHOTO = np.zeros((120, 160, 3), np.uint8)
BORDER = 80
UV = hand()


class Approaching(Judge):
    """Sees the hand `moved` from where it is, by how far the crop is from where it should be."""

    moved: Callable[[np.ndarray], np.ndarray] = staticmethod(lambda away: 0.2 * away)
    logit = SURE + 1
    scale = 1.0
    sees_a_palm = True

    def palms(self, photo: Any) -> list[Palm]:
        assert photo.shape == (120 + 2 * BORDER, 160 + 2 * BORDER, 3)
        if not self.sees_a_palm:
            return []
        centre = UV[[0, 5, 17]].mean(0) + BORDER
        points = np.tile(centre, (7, 1))
        points[2] = UV[9] + BORDER
        points[0] = UV[0] + BORDER
        return [Palm(np.array([*(centre - 15), *(centre + 15)]), points, 0.9)]

    def _read(self, photo: Any, A: Any) -> Reading:
        true = UV + BORDER
        middle = crop.to_photo(np.full((1, 2), crop.SIDE_PX / 2), A)[0]
        away = middle - true.mean(0)
        uv = true.mean(0) + self.scale * (true - true.mean(0)) + self.moved(away)
        return Reading(self.logit, False, uv, np.zeros((21, 3)))


def judge(**changes: Any) -> Judge:
    unopened: Any = None
    kind = type("Changed", (Approaching,), changes)
    found: Judge = kind(unopened, unopened)
    return found


def test_a_hand_is_found_where_it_is() -> None:
    found = judge(moved=staticmethod(lambda away: 0.01 * away)).find(PHOTO)
    assert found is not None
    np.testing.assert_allclose(found.uv, UV, atol=1.0)
    assert np.linalg.norm(found.uv - UV, axis=1).mean() < 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"sees_a_palm": False},
        {"logit": SURE - 0.1},
        {"scale": 0.01},
        {"moved": staticmethod(lambda away: np.random.default_rng().normal(0, 20, 2) + 50)},
    ],
    ids=["no palm", "not sure", "collapsed", "no rest"],
)
def test_no_hand_is_found(changes: dict[str, Any]) -> None:
    assert judge(**changes).find(PHOTO) is None
