"""Stage 2's networks by name: the paper's own, and the baseline that it is compared with.

A record without a name is older than the choice, and of the paper's own network.
"""

from __future__ import annotations

from typing import Any

from handpose.hand.mano import Mano
from handpose.nets.eanet.eanet import EaNet
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet

PoseNetwork = PoseNet | EaNet

GESTURE_GUIDED = "gesture_guided"
EANET = "eanet"


def network_class(network: str = GESTURE_GUIDED) -> type[PoseNetwork]:
    """The class of this name.

    Raises:
        ValueError: there is none.
    """
    match network:
        case "gesture_guided":
            return PoseNet
        case "eanet":
            return EaNet
    raise ValueError(f"no network {network!r}; there are {GESTURE_GUIDED} and {EANET}")


def make_pose_network(
    gesture_net: GestureNet, mano: Mano, *, network: str = GESTURE_GUIDED, **keywords: Any
) -> PoseNetwork:
    """The network of this name and these keywords, with its first weights.

    Args:
        gesture_net: Stage 1's network; its encoder serves here.
        mano: the right-hand model.
        network: see `network_class`.
        **keywords: those of its class.

    Raises:
        ValueError: there is no such network.
    """
    return network_class(network)(gesture_net, mano, **keywords)
