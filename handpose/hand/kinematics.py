"""MANO's skeleton without its mesh: 16 joints, a hundred times cheaper.

Those regressed from the posed mesh, which `mano.py` has, lie up to 2 mm elsewhere; fingertips are
vertices of the mesh, and missing here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import JOINTS, MANO_JOINTS, MANO_PARENTS

CHAIN_JOINTS: NDArray[np.intp] = np.array(
    [number for number, name in enumerate(JOINTS) if name in MANO_JOINTS]
)
"""Which of the 21 joints in our order these are: all but the fingertips."""

_FROM_MANO = [MANO_JOINTS.index(JOINTS[number]) for number in CHAIN_JOINTS]


class JointChain:
    """Joints of any pose and shape: linear in betas at rest, then turned from parent to child."""

    def __init__(self, mano: Mano) -> None:
        """The rest joints and the mean pose of this model."""
        layer, regressor = mano.layer, mano.J_regressor.double()
        self._rest = regressor @ layer.v_template.double()  # (16, 3)
        self._slope = torch.einsum("jv,vdk->jdk", regressor, layer.shapedirs.double())
        self._mean = mano.hands_mean.double()

    def __call__(self, fit: Any, is_left: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Joints of N fits in the frame that they are in, as `CHAIN_JOINTS`: (N, 16, 3) m.

        Args:
            fit: `ManoFit` of arrays with a first axis of N, each in its hand's own frame.
            is_left: (N,).
        """
        root, pose, betas, transl = (torch.from_numpy(np.asarray(p, np.float64)) for p in fit)
        left = torch.from_numpy(is_left)
        pose = mirror_axis_angle(pose.view(-1, 15, 3), left).flatten(1) + self._mean
        turns = axis_angle_to_matrix(
            torch.cat([mirror_axis_angle(root, left)[:, None], pose.view(-1, 15, 3)], 1)
        )  # (N, 16, 3, 3)
        joints = mirror_points(self._posed(turns, betas), left) + transl[:, None]
        return np.asarray(joints[:, _FROM_MANO].numpy())

    def _posed(self, turns: Tensor, betas: Tensor) -> Tensor:
        """Right hands about MANO's origin: local rotations (N, 16, 3, 3) -> joints (N, 16, 3)."""
        rest = self._rest + torch.einsum("jdk,nk->njd", self._slope, betas)
        places, whole = [rest[:, 0]], [turns[:, 0]]
        for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
            bone = (rest[:, joint] - rest[:, parent])[..., None]
            places.append(places[parent] + (whole[parent] @ bone)[..., 0])
            whole.append(whole[parent] @ turns[:, joint])
        return torch.stack(places, 1)
