"""MANO's joints by the chain: those of the posed mesh."""

from __future__ import annotations

import numpy as np
import torch

from handpose.data.annotation_table import ManoFit
from handpose.hand.kinematics import CHAIN_JOINTS, JointChain
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import JOINTS, MANO_JOINTS, TIPS


def test_the_chain_has_every_joint_but_the_tips() -> None:
    assert set(CHAIN_JOINTS.tolist()) | set(TIPS) == set(range(len(JOINTS)))
    assert len(CHAIN_JOINTS) == 16


def test_joints_of_the_chain_are_those_of_smplx_and_near_the_posed_mesh(mano: Mano) -> None:
    rng = torch.Generator().manual_seed(0)
    root, pose = torch.randn(6, 3, generator=rng), 0.4 * torch.randn(6, 45, generator=rng)
    betas, transl = torch.randn(6, 10, generator=rng), torch.randn(6, 3, generator=rng)
    is_left = torch.arange(6) % 2 == 1
    own = (mirror_axis_angle(p.view(6, -1, 3), is_left).flatten(1) for p in (root, pose))
    fit = ManoFit(*(part.double().numpy() for part in (*own, betas, transl)))
    found = JointChain(mano)(fit, is_left.numpy())

    posed = mano.layer(
        betas=betas,
        global_orient=axis_angle_to_matrix(root)[:, None],
        hand_pose=mano.rotations(pose),
    )
    names = [JOINTS[joint] for joint in CHAIN_JOINTS]
    theirs = posed.joints[:, [MANO_JOINTS.index(name) for name in names]]
    expected = mirror_points(theirs, is_left) + transl[:, None]
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-6)

    regressed = mano.hand(root, pose, betas, is_left).joints[:, CHAIN_JOINTS].numpy()
    away = np.linalg.norm(found - found[:, :1] - regressed, axis=-1)
    assert away.max() < 0.003
