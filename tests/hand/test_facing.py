"""Which face of a hand is seen: by geometry, for both hands, from everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from handpose.hand.facing import FACINGS, UNKNOWN, facing, image_rotation, palm_normal
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.sample import HandBatch

RIGHT = torch.tensor([False])


@pytest.fixture
def palm_up(mano: Mano) -> Tensor:
    """(1, 21, 3) m: a right hand at rest whose palm faces the camera, a metre before it."""
    joints = mano(torch.eye(3)[None], torch.eye(3).expand(1, 15, 3, 3), torch.zeros(1, 10)).joints
    normal = palm_normal(joints, RIGHT)[0].numpy()
    turn, _ = Rotation.align_vectors([[0, 0, -1]], [normal])
    turned: Tensor = (joints - joints[:, :1]) @ torch.from_numpy(turn.as_matrix()).float().T
    return turned + torch.tensor([0, 0, 1.0])


def seen(joints: Tensor, is_left: Tensor = RIGHT) -> str:
    valid = torch.ones(joints.shape[:2], dtype=torch.bool)
    return FACINGS[int(facing(joints, valid, is_left))]


def about_y(joints: Tensor, degrees: float) -> Tensor:
    turn = torch.from_numpy(Rotation.from_euler("y", degrees, degrees=True).as_matrix()).float()
    middle = joints[:, (WRIST, JOINTS.index("index_1"), JOINTS.index("pinky_1"))].mean(1)
    return (joints - middle) @ turn.T + torch.tensor([0, 0, 1.0])


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(0, "palm"), (70, "palm"), (80, "edge"), (90, "edge"), (100, "edge"), (110, "back"),
     (180, "back"), (-70, "palm"), (-90, "edge"), (-110, "back")],
)  # fmt: skip
def test_a_turned_hand_shows_palm_edge_and_back(
    degrees: float, expected: str, palm_up: Tensor
) -> None:
    assert seen(about_y(palm_up, degrees)) == expected


def test_bent_fingers_are_on_the_side_of_the_palm(make_batch: Callable[..., HandBatch]) -> None:
    batch = make_batch(32)
    middle, tip = JOINTS.index("middle_1"), JOINTS.index("middle_tip")
    knuckle, wrist = batch.joints_cam[:, middle], batch.joints_cam[:, WRIST]
    along = torch.nn.functional.normalize(knuckle - wrist, dim=-1)
    finger = batch.joints_cam[:, tip] - knuckle
    normal = palm_normal(batch.joints_cam, batch.is_left)
    bent = (finger * along).sum(-1) < 0.02
    assert not bent.any() or ((finger * normal).sum(-1)[bent] > 0).float().mean() > 0.9


def test_the_mirror_image_is_the_other_hand_with_the_same_face(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(64)
    flipped = mirror_points(batch.joints_cam, torch.ones(64, dtype=torch.bool))
    own = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    assert torch.equal(own, facing(flipped, batch.joint_valid, ~batch.is_left))
    other = facing(batch.joints_cam, batch.joint_valid, ~batch.is_left)
    known = (own != UNKNOWN) & (own != FACINGS.index("edge"))
    assert known.any() and (own != other)[known].all()


def test_a_turned_camera_sees_the_same_face(make_batch: Callable[..., HandBatch]) -> None:
    batch = make_batch(64)
    turn = torch.from_numpy(Rotation.from_euler("xyz", (0.2, -0.3, 1.0)).as_matrix()).float()
    own = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    assert torch.equal(own, facing(batch.joints_cam @ turn.T, batch.joint_valid, batch.is_left))


def test_without_a_joint_of_the_palm_it_is_not_known(palm_up: Tensor) -> None:
    for name, known in (("pinky_1", False), ("wrist", False), ("thumb_tip", True)):
        valid = torch.ones(1, 21, dtype=torch.bool)
        valid[0, JOINTS.index(name)] = False
        assert (int(facing(palm_up, valid, RIGHT)) != UNKNOWN) is known


@pytest.mark.parametrize("degrees", [0, 45, 90, 179, -90])
def test_rotation_in_the_image_is_clockwise_from_fingers_up(degrees: float) -> None:
    uv = torch.zeros(1, 21, 2)
    angle = math.radians(degrees)
    uv[0, JOINTS.index("middle_1")] = torch.tensor([math.sin(angle), -math.cos(angle)])
    assert math.degrees(float(image_rotation(uv))) == pytest.approx(degrees, abs=1e-3)
