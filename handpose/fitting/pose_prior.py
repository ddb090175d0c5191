"""How a hand bends before any point is seen: axes of the joints, usual angles, soft limits.

Each of MANO's 15 joints turns by x = (bend, side, twist) rad, the components of its full axis-angle
(flat hand = 0) along three axes of the rest skeleton: bend closes the hand, twist is about the
bone. What points do not determine stays at the relaxed hand, `hands_mean`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.hand.skeleton import JOINTS, MANO_JOINTS

AXES = ("bend", "side", "twist")

THUMB_PAD = math.radians(55)
"""The thumb's pad is turned from the palm's direction to the fingers by this much: our estimate, as
in `synthetic/articulation.py`."""

DEVIATION = {
    "finger": ((0.6, 0.25, 0.15), (0.6, 0.15, 0.15), (0.45, 0.15, 0.15)),
    "thumb": ((0.5, 0.5, 0.4), (0.4, 0.25, 0.2), (0.5, 0.15, 0.15)),
}
"""Standard deviation of x about the relaxed hand, rad, for the three joints of a digit. Our choice:
wide enough for fits of MANO, whose joints are free to turn about every axis."""

FREE = (-100, 100)
LIMITS_DEG = {
    "finger": (
        ((-30, 96), (-34, 34), (-30, 30)),
        ((-15, 108), (-25, 25), (-25, 25)),
        ((-20, 80), (-25, 25), (-25, 25)),
    ),
    "thumb": (
        (FREE, FREE, FREE),
        ((-45, 80), (-40, 40), (-35, 35)),
        ((-35, 90), (-25, 25), (-25, 25)),
    ),
}
"""Where x begins to be unlikely; the flexion is that of `synthetic/articulation.py` and 10 deg."""

LIMIT_DEVIATION = 0.05
"""Standard deviation beyond a limit, rad."""


class PosePrior:
    """Axes, mean, standard deviation and limits of the 45 angles."""

    def __init__(self, mano: Mano) -> None:
        """Axes from the rest skeleton of the mean shape."""
        rest = mano.joints_from(mano.layer.v_template[None])[0].cpu()  # (21, 3)
        at = dict(zip(JOINTS, rest, strict=True))
        along = F.normalize(at["middle_1"] - at["wrist"], dim=0)
        radial = at["index_1"] - at["pinky_1"]
        radial = F.normalize(radial - (radial @ along) * along, dim=0)
        palmar = torch.linalg.cross(radial, along)
        frames, deviation, limits = [], [], []
        for name in MANO_JOINTS[1:]:
            digit, level = name.split("_")
            child = f"{digit}_{int(level) + 1}" if level != "3" else f"{digit}_tip"
            kind = "thumb" if digit == "thumb" else "finger"
            tilt = THUMB_PAD if digit == "thumb" else 0.0
            pad = math.cos(tilt) * palmar - math.sin(tilt) * radial
            twist = F.normalize(at[child] - at[name], dim=0)
            bend = F.normalize(torch.linalg.cross(twist, pad), dim=0)
            frames.append(torch.stack([bend, torch.linalg.cross(twist, bend), twist], 1))
            deviation.append(DEVIATION[kind][int(level) - 1])
            limits.append(LIMITS_DEG[kind][int(level) - 1])
        self.frames = torch.stack(frames)  # (15, 3, 3) columns: the axes of `AXES`
        self.mean = self.angles(mano.hands_mean.view(1, 15, 3).cpu())[0]  # (15, 3)
        self.precision = torch.tensor(deviation) ** -2  # (15, 3) 1 / rad^2
        low, high = torch.deg2rad(torch.tensor(limits, dtype=torch.float32)).unbind(-1)
        self.low, self.high = low, high  # (15, 3)

    def angles(self, pose: Tensor) -> Tensor:
        """Full axis-angles (N, 15, 3) -> x (N, 15, 3) rad."""
        return torch.einsum("jdi,njd->nji", self.frames, pose)

    def pose(self, x: Tensor) -> Tensor:
        """The inverse of `angles`."""
        return torch.einsum("jdi,nji->njd", self.frames, x)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cost (N,), half its gradient and half its second derivative (N, 15, 3) at x."""
        away = x - self.mean
        beyond = x - x.clamp(self.low, self.high)
        stiff = LIMIT_DEVIATION**-2
        cost = (self.precision * away**2 + stiff * beyond**2).sum((1, 2))
        gradient = self.precision * away + stiff * beyond
        return cost, gradient, self.precision + stiff * (beyond != 0)
