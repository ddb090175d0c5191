"""Objects on their sheets."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.scene.shapes import Sheet, cloth_edge, draw_object


def covered(sheet: Sheet) -> float:
    return float((sheet.picture[..., 3] > 0.5).sum())


def test_an_object_grows_with_the_hand() -> None:
    for seed in range(40):
        small, large = (draw_object(np.random.default_rng(seed), px) for px in (60.0, 120.0))
        assert covered(small) > 0
        assert covered(large) == pytest.approx(4 * covered(small), rel=0.25)


def test_an_object_ends_on_its_sheet_and_is_held_in_its_middle() -> None:
    for seed in range(40):
        sheet = draw_object(np.random.default_rng(seed), 60.0)
        border = sheet.picture[[0, -1]].sum() + sheet.picture[:, [0, -1]].sum()
        assert border < 0.02 * sheet.picture.sum()
        height, width = sheet.picture.shape[:2]
        np.testing.assert_allclose(sheet.anchor, (width / 2, height / 2))


def test_objects_are_lit_from_above() -> None:
    upper, lower = 0.0, 0.0
    for seed in range(200):
        picture = draw_object(np.random.default_rng(seed), 40.0).picture
        middle = picture.shape[0] // 2
        upper += picture[:middle, :, :3].sum() / max(picture[:middle, :, 3].sum(), 1)
        lower += picture[-middle:, :, :3].sum() / max(picture[-middle:, :, 3].sum(), 1)
    assert upper > 1.1 * lower


@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5, -2.0])
def test_cloth_lies_outwards_of_its_edge(angle: float) -> None:
    outwards = np.array([np.cos(angle), np.sin(angle)])
    for seed in range(5):
        sheet = cloth_edge(np.random.default_rng(seed), 60.0, 200, outwards)
        for way, there in ((60, 1.0), (-60, 0.0)):
            x, y = (sheet.anchor + way * outwards).astype(int)
            assert sheet.picture[y, x, 3] == pytest.approx(there, abs=0.01)
