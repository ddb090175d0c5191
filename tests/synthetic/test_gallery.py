from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handpose.hand.mano import Mano
from handpose.render.tiles import PageError
from handpose.synthetic import gallery
from handpose.synthetic.articulation import read_gesture_poses


def test_every_gesture_has_a_cell_and_a_left_hand_is_the_mirror_of_a_right(
    mano: Mano, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = next(pose for pose in read_gesture_poses() if pose.gesture == "fake_gun")
    left = dataclasses.replace(right, right_folder="")
    monkeypatch.setattr(gallery, "read_gesture_poses", lambda _: (right, left) * 3)  # a full row
    out = tmp_path / "new folder" / "gestures.png"
    gallery.contact_sheet(mano, out)

    page = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert page.shape[1] == 1197
    starts = [
        gallery.GAP_PX,
        2 * gallery.GAP_PX + gallery.SEAM_PX + sum(px for _, px in gallery.VIEWS),
    ]
    offset = 0
    for _, width in gallery.VIEWS:
        views = [
            page[gallery.GAP_PX :][: gallery.HEIGHT_PX, start + offset :][:, :width]
            for start in starts
        ]
        red = [view[..., 0] - view[..., 2] > 20 for view in views]  # skin against grey
        assert all(0.1 < skin.mean() < 0.6 for skin in red)
        assert (red[0] != red[1][:, ::-1]).mean() < 0.01
        offset += width + gallery.SEAM_PX
    caption = page[gallery.GAP_PX + gallery.HEIGHT_PX :][: gallery.CAPTION_PX]
    assert caption[:, : starts[1]].min() < 100


def test_a_name_that_is_not_a_png_is_refused(tmp_path: Path, mano: Mano) -> None:
    with pytest.raises(PageError, match="gestures: pictures are PNG files"):
        gallery.contact_sheet(mano, tmp_path / "gestures")
