"""Rotations, joints, the camera of the whole photo, and left hands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.other_models.crop_hand import CropHand, CropPlace, in_photo, posed, translation
from tests.other_models import second_networks

WIDTH, HEIGHT = 320, 240
FINGERTIPS = [744, 320, 443, 554, 671]
OPENPOSE = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
"""Of MANO's 16 joints and five fingertips (hamer/models/mano_wrapper.py)."""
PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]


@pytest.fixture
def hand() -> CropHand:
    rng = torch.Generator().manual_seed(0)
    near_rest = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)
    return CropHand(
        near_rest + 0.4 * torch.randn(3, 96, generator=rng),
        0.5 * torch.randn(3, 10, generator=rng),
        torch.tensor([[0.9, 0.02, -0.01], [1.2, -0.03, 0.0], [0.7, 0.0, 0.04]]),
    )


class Photos(NamedTuple):
    """Where three crops are."""

    middle: Tensor
    side: Tensor
    K: Tensor

    def place(self, is_left: bool) -> CropPlace:
        return CropPlace(self.middle, self.side, torch.full((3,), is_left), self.K)

    def mirrored(self) -> Photos:
        """The same photos seen in a mirror: u becomes WIDTH - 1 - u."""
        middle, K = self.middle.clone(), self.K.clone()
        middle[:, 0] = WIDTH - 1 - middle[:, 0]
        K[:, 0, 2] = WIDTH - 1 - K[:, 0, 2]
        return self._replace(middle=middle, K=K)


@pytest.fixture
def photos() -> Photos:
    K = torch.tensor([[500.0, 0, 150], [0, 520, 130], [0, 0, 1]]).repeat(3, 1, 1)
    middle = torch.tensor([[201.0, 94], [60, 200], [150, 130]])
    return Photos(middle, torch.tensor([180.0, 90, 300]), K)


# --- rotations and joints ------------------------------------------------------------------------


def test_six_numbers_are_two_columns_one_after_the_other(hand: CropHand) -> None:
    expected = [second_networks.rotations(rot6d) for rot6d in hand.rot6d.double().numpy()]
    np.testing.assert_allclose(hand.rotations.numpy(), expected, atol=1e-6)


def test_the_mesh_is_manos_and_its_joints_are_regressed(hand: CropHand, mano: Mano) -> None:
    found = posed(hand, mano)
    expected = mano(hand.rotations[:, 0], hand.rotations[:, 1:], hand.betas)
    assert (found.vertices == expected.vertices).all()
    assert (found.joints == expected.joints).all()


def test_own_joints_are_where_the_bones_turn(hand: CropHand, mano: Mano) -> None:
    layer = mano.layer
    template, shapes = layer.v_template.double().numpy(), layer.shapedirs.double().numpy()
    regressor = mano.J_regressor.double().numpy()
    found = posed(hand, mano)
    for k, rotations in enumerate(hand.rotations.double().numpy()):
        rest = regressor @ (template + shapes @ hand.betas[k].double().numpy())
        joints, turned = [rest[0]], [rotations[0]]
        for joint in range(1, 16):
            parent = PARENTS[joint]
            joints.append(joints[parent] + turned[parent] @ (rest[joint] - rest[parent]))
            turned.append(turned[parent] @ rotations[joint])
        tips = found.vertices[k].double().numpy()[FINGERTIPS]
        expected = np.concatenate([joints, tips])[OPENPOSE]
        np.testing.assert_allclose(found.own_joints[k].numpy(), expected, atol=1e-6)
    apart = (found.own_joints - found.joints).norm(dim=-1)
    assert (apart[:, 1:] > 1e-4).any() and (apart < 0.02).all()


# --- the photo -----------------------------------------------------------------------------------


def test_the_camera_of_the_photo_is_the_published_one(hand: CropHand, photos: Photos) -> None:
    """cam_crop_to_full of hamer/utils/renderer.py, with one focal length and the middle as c."""
    focal = 5000 / 256 * WIDTH
    K = torch.tensor([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]).repeat(3, 1, 1)
    for is_left in (False, True):
        found = translation(hand.camera, photos._replace(K=K).place(is_left))
        for k, (s, tx, ty) in enumerate(hand.camera.tolist()):
            (x, y), b = photos.middle[k].tolist(), float(photos.side[k])
            tx = -tx if is_left else tx
            expected = [
                tx + 2 * (x - WIDTH / 2) / (b * s),
                ty + 2 * (y - HEIGHT / 2) / (b * s),
                2 * focal / (b * s),
            ]
            np.testing.assert_allclose(found[k].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("is_left", [False, True])
def test_the_photos_camera_sees_what_the_crops_camera_sees(
    hand: CropHand, photos: Photos, mano: Mano, is_left: bool
) -> None:
    """Exactly so for a crop at the principal point, whose focal length is the network's."""
    K = photos.K.clone()
    K[:, 0, 0] = K[:, 1, 1] = 5000 / 256 * photos.side
    found = in_photo(hand, mano, photos._replace(K=K, middle=K[:, :2, 2]).place(is_left))
    for points, px in (
        (found.joints, found.joints_px),
        (found.own_joints, found.own_joints_px),
    ):
        uv = project((points + found.translation[:, None]).double(), K.double())
        np.testing.assert_allclose(uv.numpy(), px.numpy(), atol=2e-3)


def test_elsewhere_in_the_photo_they_agree_within_the_perspective(
    hand: CropHand, photos: Photos, mano: Mano
) -> None:
    found = in_photo(hand, mano, photos.place(False))
    uv = project(found.own_joints + found.translation[:, None], photos.K)
    away = (uv - found.own_joints_px).norm(dim=-1).mean(-1)
    assert (away < 0.1 * photos.side).all(), "without the crop's place they are 50 px apart"


def test_a_left_hand_is_the_right_hand_of_the_mirrored_photo(
    hand: CropHand, photos: Photos, mano: Mano
) -> None:
    """The crop, and so what the network says, is the same."""
    right = in_photo(hand, mano, photos.place(False))
    left = in_photo(hand, mano, photos.mirrored().place(True))
    mirror = torch.tensor([-1.0, 1, 1])
    for name in ("vertices", "joints", "own_joints", "translation"):
        mirrored = getattr(right, name) * mirror
        torch.testing.assert_close(getattr(left, name), mirrored, rtol=1e-5, atol=1e-6)
    for name in ("joints_px", "own_joints_px"):
        u, v = getattr(right, name).unbind(-1)
        expected = torch.stack([WIDTH - 1 - u, v], -1)
        torch.testing.assert_close(getattr(left, name), expected, rtol=1e-5, atol=1e-3)
