"""MANO parameters from refined joint tokens (paper, section 3.2.3).

Letters: B batch, J = 21 joints, C token width, F width of the global feature.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTATIONS = 16
BETAS = 10


class ManoHead(nn.Module):
    """Two MLPs: a pose head for 16 rotations in 6D (root and 15 joints) and a shape head for betas.

    The pose head reads every joint's token with its position, the shape head the mean token; both
    can read a global feature besides. Source of the 6D representation: Zhou et al., On the
    Continuity of Rotation Representations in Neural Networks (2019).

    With refinements, both see their last estimate and correct it, in passes that share their
    weights; source: Kanazawa et al., End-to-end Recovery of Human Shape and Pose (CVPR 2018). There
    the passes start from the mean; here from the first estimate, with corrections of 0.
    """

    def __init__(
        self, *, joints: int, dim: int, features: int, mean_rot6d: Tensor, refinements: int = 0
    ) -> None:
        """Heads on `joints` tokens of width `dim`.

        Args:
            joints: number of tokens.
            dim: their width.
            features: width of the global feature; 0: the heads have none.
            mean_rot6d: (16, 6) the pose that training starts from.
            refinements: further passes.
        """
        super().__init__()
        start = mean_rot6d.detach().flatten()
        # the levels' pooled features differ in size
        self.norm = nn.LayerNorm(features) if features else None
        self.pose = _mlp(joints * (dim + 3) + features, 2 * dim, start)
        self.shape = _mlp(dim + features, dim, torch.zeros(BETAS))
        self.refinements = refinements
        self.pose_correction = Correction(2 * dim, len(start)) if refinements else None
        self.shape_correction = Correction(dim, BETAS) if refinements else None

    def forward(
        self, tokens: Tensor, uvd: Tensor, features: Tensor, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Raw 6D rotations (B, 16, 6) and betas (B, 10).

        Args:
            tokens: (B, J, C).
            uvd: (B, J, 3) in [-1, 1], the joints' positions.
            features: (B, F); not read if the heads have no global feature.
            start: (B, 16, 6) is added to the first estimate of the rotations.
        """
        pose_inputs = [torch.cat([tokens, uvd], dim=-1).flatten(1)]  # (B, J (C + 3))
        shape_inputs = [tokens.mean(1)]  # (B, C)
        if self.norm is not None:
            normed = self.norm(features)
            pose_inputs.append(normed)
            shape_inputs.append(normed)
        pose_hidden = self.pose[0](torch.cat(pose_inputs, dim=-1))  # (B, 2 C)
        shape_hidden = self.shape[0](torch.cat(shape_inputs, dim=-1))  # (B, C)
        pose, betas = self.pose[2](F.gelu(pose_hidden)), self.shape[2](F.gelu(shape_hidden))
        if start is not None:
            pose = pose + start.flatten(1)
        if self.pose_correction is not None and self.shape_correction is not None:
            for _ in range(self.refinements):
                estimate = torch.cat([pose, betas], dim=-1)  # (B, 106)
                pose = pose + self.pose_correction(pose_hidden, estimate)
                betas = betas + self.shape_correction(shape_hidden, estimate)
        return pose.view(-1, ROTATIONS, 6), betas

    @torch.no_grad()
    def start_fingers_at(self, rot6d: Tensor) -> None:
        """Before training, take another pose of the fingers to start from: (15, 6)."""
        self.get_parameter("pose.2.bias").view(ROTATIONS, 6)[1:] = rot6d


class ClassStart(nn.Module):
    """Where a pose estimate starts, by the gesture: the expected finger pose under the classes.

    A mean pose for each class takes the place of the one mean pose that a head starts from, each
    weighted by its probability. What is left for the head to find has the variance within classes,
    not that of all poses, and where the expectation is wrong the head can say so: unlike a loss, it
    pulls no estimate away from the truth. Means are held about their own mean over classes, which
    is the head's start: uniform probabilities add nothing.
    """

    offsets: Tensor

    def __init__(self, classes: int) -> None:
        """For so many classes; until `set_means` it adds nothing."""
        super().__init__()
        self.register_buffer("offsets", torch.zeros(classes, ROTATIONS, 6))

    @torch.no_grad()
    def set_means(self, rot6d: Tensor, known: Tensor) -> Tensor:
        """Take the classes' mean poses; returns their mean over the known classes, (15, 6).

        Args:
            rot6d: (K, 15, 6), of the fingers.
            known: (K,) bool; another class adds nothing, whatever its row holds.
        """
        centre = rot6d[known].mean(0)
        self.offsets.zero_()
        self.offsets[known, 1:] = (rot6d[known] - centre).to(self.offsets)
        return centre

    def forward(self, logits: Tensor) -> Tensor:
        """What is added to the head's own start: logits (B, K) -> (B, 16, 6), 0 for the root.

        No gradient goes into the logits: errors of the pose would make of the classes whatever
        mixes the poses best, and their probabilities would no longer be of gestures.
        """
        probabilities = logits.detach().float().softmax(-1)
        return torch.einsum("bk,kri->bri", probabilities, self.offsets)


class Correction(nn.Module):
    """A correction of an estimate by a head's hidden layer, which sees that estimate as well.

    It starts at 0.
    """

    def __init__(self, hidden: int, outputs: int) -> None:
        """Of `outputs` numbers, by a hidden layer of width `hidden`."""
        super().__init__()
        self.estimate = nn.Linear(6 * ROTATIONS + BETAS, hidden)
        self.last = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, hidden: Tensor, estimate: Tensor) -> Tensor:
        """The correction (B, outputs).

        Args:
            hidden: (B, hidden) the head's own, before its activation.
            estimate: (B, 106) rotations in 6D and betas.
        """
        correction: Tensor = self.last(F.gelu(hidden + self.estimate(estimate)))
        return correction


def _mlp(inputs: int, hidden: int, start: Tensor) -> nn.Sequential:
    """Two layers whose output starts near `start`."""
    last = nn.Linear(hidden, len(start))
    nn.init.normal_(last.weight, std=0.01)
    with torch.no_grad():
        last.bias.copy_(start)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), last)
