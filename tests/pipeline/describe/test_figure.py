from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from handpose.nets.pose_net import PoseNet
from handpose.render.tiles import PageError
from pipeline.describe.figure import (
    HEIGHT,
    KEY,
    WIDTH,
    Box,
    X,
    _arrows,
    boxes,
    draw_architecture,
    label_text,
)


def recorded_labels(path: Path) -> str:
    """The labels that a drawing was made with, from its file."""
    with Image.open(path) as picture:
        return str(picture.info.get(KEY, ""))


def boxes_of(net: PoseNet, image: Tensor, is_left: Tensor) -> dict[str, Box]:
    return boxes(net, image[:1], is_left[:1], backbone="hrnet_w18_small")


def shapes(net: PoseNet, image: Tensor, is_left: Tensor) -> dict[str, str]:
    """What the figure says, with a plain x."""
    found = boxes_of(net, image, is_left)
    return {name: " ".join(box.shapes).replace(X, "x") for name, box in found.items()}


def test_shapes_are_those_of_the_network(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor
) -> None:
    found = shapes(make_pose_net(), image, is_left)
    assert found["image"] == "3x64x64"
    assert found["backbone"].split()[:2] == ["/4", "16x16x16"]
    assert found["project"] == "32x6x6"
    assert found["grid"] == "32x6x6"
    assert found["volume"] == "21x5x6x6"
    assert found["uvd"] == "21x3"
    assert found["joint_tokens"] == found["fusion"] == "21x32"
    assert found["gesture_tokens"] == "2x32"
    assert found["heads"] == "pose 16x6 shape 10"
    assert found["mano"] == "joints 21x3 vertices 778x3"
    assert found["feature"] == "240"
    assert found["classifiers"] == "coarse 6 fine 9"


def test_other_sizes_are_drawn_as_other_shapes(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor
) -> None:
    found = shapes(make_pose_net(grid=4, dim=16, volume_depth=3), image, is_left)
    assert found["volume"] == "21x3x4x4"
    assert found["gesture_tokens"] == "2x16"


def test_ablation_has_no_gesture_tokens(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor, tmp_path: Path
) -> None:
    found = boxes_of(make_pose_net(gesture_tokens=False), image, is_left)
    assert "gesture_tokens" not in found
    draw_architecture(found, tmp_path / "a.png")
    assert "21 + 0 tokens" in recorded_labels(tmp_path / "a.png")


@pytest.mark.parametrize("global_feature", [True, False])
def test_global_feature_leads_to_the_heads_only_where_they_read_it(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor, global_feature: bool
) -> None:
    plain = boxes_of(make_pose_net(global_feature=False), image, is_left)
    found = boxes_of(make_pose_net(global_feature=global_feature), image, is_left)
    assert ("and global feature" in found["heads"].notes) is global_feature
    assert len(list(_arrows(found))) == len(list(_arrows(plain))) + global_feature


def test_picture_is_written_with_its_labels(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor, tmp_path: Path
) -> None:
    found, out = boxes_of(make_pose_net(fusion="cross"), image, is_left), tmp_path / "new" / "a.png"
    draw_architecture(found, out)
    with Image.open(out) as picture:
        assert picture.size == (2 * WIDTH, 2 * HEIGHT)
    assert recorded_labels(out) == label_text(found)
    assert f"cross-attention {X}1" in label_text(found)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="expected a name that ends in"):
        draw_architecture({}, tmp_path / "a.jpg")
