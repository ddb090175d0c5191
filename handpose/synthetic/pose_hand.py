"""Poses the hand model in the world: its mesh and joints, and the MANO parameters of both.

The rig's frame has x right, y up, z to the front; an upright hand shows its palm to the front. A
left hand is the mirror image of a right one; its parameters are those of the left MANO model.
T is the number of frames. Annotated joints are by the hand model's `joint_definition`; what is
rendered does not depend on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, JOINTS, inverse
from handpose.synthetic.articulation import Articulation
from handpose.synthetic.movement.motion import Motion

Array = NDArray[np.floating[Any]]

OWN = "smplx"
"""Fingertips of the joints by which a hand is built and placed, whatever the data set's are."""

MIRROR = np.array([-1.0, 1.0, 1.0])


class PosedHand(NamedTuple):
    """One hand over T frames, in the world."""

    is_left: bool
    vertices: Array  # (T, 778, 3) m
    joints: Array  # (T, 21, 3) m, order of hand/skeleton.py, by the model's joint definition
    elbow: Array  # (T, 3) unit, direction of the forearm
    pose: Array  # (T, 48) axis-angle of that hand's MANO model, relative to hands_mean
    shape: Array  # (10,)
    trans: Array  # (T, 3) m


class HandPoser:
    """Poses one hand model."""

    def __init__(self, mano: Mano) -> None:
        """Computes the hinge axes from the rest pose of the model."""
        self._mano = mano
        with torch.no_grad():
            flat = torch.eye(3).expand(1, 15, 3, 3)
            rest = mano(torch.eye(3)[None], flat, torch.zeros(1, 10))
            joints = mano.joints_from(rest.vertices, OWN)
        self.rest_vertices: Array = rest.vertices[0].numpy()  # (778, 3) m
        self.rest_joints: Array = joints[0].numpy()  # (21, 3) m, MANO's own and smplx's tips
        self._upright = _upright(self.rest_joints)
        self.articulation = Articulation(self.rest_joints[inverse(FROM_MANO_AND_TIPS)][:16])

    def pose_hand(
        self, motion: Motion, betas: Array, is_left: bool, to_world: Array, origin: Array
    ) -> PosedHand:
        """The hand along a motion.

        Args:
            motion: in the rig's frame, of a right hand.
            betas: (10,).
            is_left: pose a left hand as its mirror image.
            to_world: (3, 3) rig -> world.
            origin: (3,) m, the rig's origin in the world.
        """
        count = len(motion.angles)
        relative = self.articulation.pose(motion.angles) - self._mano.hands_mean.numpy().reshape(
            15, 3
        )
        vertices, joints, middle, wrist = self._bend(relative, betas)
        mirror = MIRROR if is_left else np.ones(3)
        world = to_world * mirror  # (3, 3) rig, mirrored for a left hand, -> world
        root = _wrist_rotation(motion.wrist) @ self._upright  # (T, 3, 3) MANO -> rig

        def in_world(points: Array) -> Array:
            rig = (points - middle) @ root.swapaxes(1, 2) + motion.position[:, None]  # (T, N, 3)
            return np.asarray(rig @ world.T + origin)

        # MANO turns about its rest wrist J0: x = root (v - J0) + J0 + trans
        at_wrist = in_world(np.broadcast_to(wrist, (count, 1, 3)))[:, 0]
        own_root = Rotation.from_matrix(world @ root * mirror).as_rotvec()  # (T, 3)
        own_pose = (relative * (mirror[0] * mirror)).reshape(count, 45)
        return PosedHand(
            is_left=is_left,
            vertices=in_world(vertices),
            joints=in_world(joints),
            elbow=_elbow(motion.wrist) @ world.T,
            pose=np.concatenate([own_root, own_pose], 1),
            shape=betas,
            trans=at_wrist - mirror * wrist,
        )

    def _bend(self, relative: Array, betas: Array) -> tuple[Array, Array, Array, Array]:
        """A right hand with its root at 0.

        Vertices (T, 778, 3), joints (T, 21, 3), their middle (T, 1, 3) and the rest wrist (3,).
        """
        pose = torch.tensor(relative, dtype=torch.float32).flatten(1)  # (T, 45)
        shape = torch.tensor(betas, dtype=torch.float32).expand(len(pose), 10)
        root = torch.eye(3).expand(len(pose), 3, 3)
        with torch.no_grad():
            posed = self._mano(root, self._mano.rotations(pose), shape)
            own = self._mano.joints_from(posed.vertices, OWN)
            wrist = self._mano.rest_wrist(shape[:1])[0]
        vertices, joints, own, wrist = (
            part.numpy().astype(np.float64) for part in (*posed, own, wrist)
        )
        return vertices, joints, own.mean(1, keepdims=True), wrist


def _upright(joints: Array) -> Array:
    """(3, 3) MANO's rest frame -> rig: fingers up, palm to the front; joints (21, 3)."""
    at = dict(zip(JOINTS, np.asarray(joints, np.float64), strict=True))
    distal = at["middle_1"] - at["wrist"]
    distal /= np.linalg.norm(distal)
    radial = at["index_1"] - at["pinky_1"]
    radial -= (radial @ distal) * distal
    radial /= np.linalg.norm(radial)
    return np.stack([radial, distal, np.cross(radial, distal)])


def _wrist_rotation(wrist: Array) -> Array:
    """Pitch about x, then roll about the forearm, then yaw in the plane: (T, 3) -> (T, 3, 3)."""
    pitch, yaw, roll = wrist.T
    turns = Rotation.from_euler("ZYX", np.stack([yaw, roll, pitch], 1), degrees=True)
    return np.asarray(turns.as_matrix())


def _elbow(wrist: Array) -> Array:
    """Direction of the forearm, which follows the wrist's yaw but not its pitch: (T, 3)."""
    yaw = np.radians(wrist[:, 1])
    return np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], 1)
