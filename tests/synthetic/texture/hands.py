"""The stand-in hand in its rest pose: its surface, joints, regions and landmarks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.render.surface import Surface
from handpose.synthetic.pose_hand import HandPoser
from handpose.synthetic.skin import Regions, regions
from handpose.synthetic.texture.landmarks import Landmarks


class RestHand(NamedTuple):
    """A right hand as the renderer knows it."""

    surface: Surface
    joints: NDArray[np.floating]  # (21, 3) m
    where: Regions
    landmarks: Landmarks


def rest_hand(mano: Mano, forearm: bool = True) -> RestHand:
    """The rest pose of this model."""
    poser = HandPoser(mano)
    surface = Surface(mano.faces.numpy(), poser.rest_vertices, forearm)
    joints = poser.rest_joints
    return RestHand(surface, joints, regions(surface, joints), Landmarks(surface, joints))
