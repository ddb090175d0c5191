"""The annotated ground truth, against smplx's own models of both hands."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, JOINTS, TIPS
from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.movement.motion import Motion, gesture_motion
from handpose.synthetic.pose_hand import MIRROR, HandPoser, PosedHand
from tests.hand.made_up_regressor import made_up_regressor

POSES = read_gesture_poses()
PHASE = np.array([0.1, 0.4, 0.6])
BETAS = np.random.default_rng(0).normal(size=10)
TURN = np.asarray(Rotation.random(rng=1).as_matrix())
ORIGIN = np.array([0.3, -0.2, 0.5])


def motion() -> Motion:
    return gesture_motion(np.random.default_rng(2), PHASE, POSES[0], POSES[10], 4.5)


@pytest.fixture(scope="module")
def poser(mano: Mano) -> HandPoser:
    return HandPoser(mano)


def native_vertices(folder: Path, hand: PosedHand) -> NDArray[np.floating]:
    """The mesh as a user of InterHand2.6M makes it: smplx, that hand's file, plus trans."""
    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.MANO(
            str(folder), is_rhand=not hand.is_left, use_pca=False, flat_hand_mean=False, ext="npz"
        )
    pose = torch.tensor(hand.pose, dtype=torch.float32)
    with torch.no_grad():
        out = model(
            betas=torch.tensor(hand.shape, dtype=torch.float32).expand(len(pose), 10),
            global_orient=pose[:, :3],
            hand_pose=pose[:, 3:],
        )
    return np.asarray(out.vertices) + hand.trans[:, None]


@pytest.mark.parametrize("is_left", [False, True])
def test_annotated_parameters_give_the_rendered_mesh(
    poser: HandPoser, stand_in: Path, is_left: bool
) -> None:
    hand = poser.pose_hand(motion(), BETAS, is_left, TURN, ORIGIN)
    np.testing.assert_allclose(native_vertices(stand_in, hand), hand.vertices, atol=1e-5)


def test_left_hand_is_the_mirror_image(poser: HandPoser) -> None:
    right, left = (
        poser.pose_hand(motion(), BETAS, is_left, np.eye(3), np.zeros(3))
        for is_left in (False, True)
    )
    for name in ("vertices", "joints", "elbow"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name) * MIRROR, atol=1e-9)
    signs = np.array([1, -1, -1])
    np.testing.assert_allclose(
        left.pose.reshape(-1, 16, 3), right.pose.reshape(-1, 16, 3) * signs, atol=1e-6
    )


def test_an_upright_hand_points_up_and_shows_its_palm(poser: HandPoser) -> None:
    still = Motion(np.zeros((1, 21)), np.zeros((1, 3)), np.zeros((1, 3)))
    for is_left in (False, True):
        hand = poser.pose_hand(still, BETAS, is_left, np.eye(3), np.zeros(3))
        at = dict(zip(JOINTS, hand.joints[0], strict=True))
        assert (at["middle_tip"] - at["wrist"])[1] > 0.14
        assert abs(at["index_1"] - at["pinky_1"])[0] > 0.04
        # seen from the front, the thumb of a right hand that shows its palm is on the right
        assert ((at["thumb_tip"] - at["pinky_1"])[0] > 0) != is_left
        np.testing.assert_allclose(hand.joints[0].mean(0), 0, atol=1e-6)


def test_the_wrist_pitches_back_rolls_and_leans(poser: HandPoser) -> None:
    turns = np.array([[-80.0, 0, 0], [0, 80, 0], [0, 0, 180]])  # pitch, yaw, roll
    hands = poser.pose_hand(
        Motion(np.zeros((3, 21)), turns, np.zeros((3, 3))), BETAS, False, np.eye(3), np.zeros(3)
    )
    finger = hands.joints[:, JOINTS.index("middle_tip")] - hands.joints[:, 0]
    across = hands.joints[:, JOINTS.index("index_1")] - hands.joints[:, JOINTS.index("pinky_1")]
    assert finger[0, 2] < -0.13  # bent back: away from the front, palm up
    assert finger[1, 0] < -0.13  # leaning to the left as seen from the front
    assert across[2, 0] < -0.04  # turned about: it shows its back
    assert hands.elbow[0] == pytest.approx([0, -1, 0])
    assert hands.elbow[1] @ finger[1] < -0.13  # the forearm leans with the hand


@pytest.mark.parametrize("is_left", [False, True])
def test_the_joints_definition_moves_the_annotation_and_nothing_that_is_rendered(
    stand_in: Path, poser: HandPoser, is_left: bool
) -> None:
    regressor = made_up_regressor()[FROM_INTERHAND]
    smplx_hand = poser.pose_hand(motion(), BETAS, is_left, TURN, ORIGIN)
    for definition in (JointDefinition("interhand"), JointDefinition("", regressor, "a.npy")):
        other = HandPoser(Mano.load(stand_in, definition))
        hand = other.pose_hand(motion(), BETAS, is_left, TURN, ORIGIN)
        for name in ("vertices", "elbow", "pose", "shape", "trans"):
            np.testing.assert_array_equal(getattr(hand, name), getattr(smplx_hand, name))
        matrix = regressor
        if definition.regressor is None:
            arrays = np.load(stand_in / "MANO_RIGHT.npz")
            matrix = definition.matrix(arrays["J_regressor"], arrays["weights"])
        np.testing.assert_allclose(hand.joints, matrix @ hand.vertices, atol=1e-6)
        mm = 1000 * np.linalg.norm(hand.joints - smplx_hand.joints, axis=-1)[:, list(TIPS)]
        assert mm.min() > 3.5 and mm.max() < 7
