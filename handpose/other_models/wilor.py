"""WiLoR: hand tokens within the ViT give a first hand, features at its vertices correct it.

The modules have the names of the checkpoint. Potamias et al., WiLoR: End-to-end 3D Hand
Localization and Reconstruction in-the-wild (CVPR 2025); read in rolpotamias/WiLoR 819369a,
wilor/models/backbones/vit.py, heads/refinement_net.py and wilor.py. Its detector is not here.

Letters: B batch, C width of the ViT's tokens, V = 778 vertices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.hand.mano import Mano
from handpose.other_models.crop_hand import (
    BETAS,
    CAMERA,
    ROT6D,
    ROTATIONS,
    CropHand,
    posed,
    shares,
)
from handpose.other_models.vit import DEPTH, GRID, HEADS, WIDTH, HandViT


class Wilor(nn.Module):
    """WiLoR without its discriminator; 639,280,928 trainable parameters as published."""

    def __init__(
        self, mano: Mano, *, width: int = WIDTH, depth: int = DEPTH, heads: int = HEADS
    ) -> None:
        """The published sizes, or others.

        Args:
            mano: MANO, by whose vertices the second pass is made; nothing of it is in the state.
            width: of the ViT's tokens, a multiple of 8.
            depth: its blocks.
            heads: of its attention.
        """
        super().__init__()
        self.mano = mano
        self.backbone = HandTokenViT(width=width, depth=depth, heads=heads)
        self.refine_net = Refinement(width)

    def forward(self, crop: Tensor) -> CropHand:
        """The hand of each crop (B, 3, 256, 256) RGB in 0..255, as if it were a right one."""
        first, features = self.backbone.look(crop)
        hand: CropHand = self.refine_net(features, first, posed(first, self.mano).vertices)
        return hand


class HandTokenViT(HandViT):
    """The ViT with tokens of the mean hand in front of the patches.

    One for each rotation, one for the shape and one for the camera.
    """

    init_hand_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, *, width: int, depth: int, heads: int) -> None:
        """As `HandViT`."""
        super().__init__(width=width, depth=depth, heads=heads)
        self.pose_emb = nn.Linear(ROT6D // ROTATIONS, width)
        self.shape_emb = nn.Linear(BETAS, width)
        self.cam_emb = nn.Linear(CAMERA, width)
        self.decpose = nn.Linear(width, ROT6D // ROTATIONS)
        self.decshape = nn.Linear(width, BETAS)
        self.deccam = nn.Linear(width, CAMERA)
        for name, size in (("hand_pose", ROT6D), ("betas", BETAS), ("cam", CAMERA)):
            self.register_buffer(f"init_{name}", torch.zeros(1, size))

    def look(self, crop: Tensor) -> tuple[CropHand, Tensor]:
        """A first hand, and the patches' features (B, C, 16, 12); hand tokens have no position."""
        mean = (
            self.pose_emb(self.init_hand_pose.view(1, ROTATIONS, -1)),  # (1, 16, C)
            self.shape_emb(self.init_betas)[:, None],
            self.cam_emb(self.init_cam)[:, None],
        )
        own = torch.cat(mean, 1).expand(len(crop), -1, -1)
        tokens = self.encode(torch.cat([own, self.patches(crop)], 1))
        pose, shape, camera = tokens[:, :ROTATIONS], tokens[:, ROTATIONS], tokens[:, ROTATIONS + 1]
        hand = CropHand(
            self.init_hand_pose + self.decpose(pose).flatten(1),
            self.init_betas + self.decshape(shape),
            self.init_cam + self.deccam(camera),
        )
        return hand, tokens[:, ROTATIONS + 2 :].mT.reshape(len(crop), -1, *GRID)


class Refinement(nn.Module):
    """Corrections of a hand, from the largest features at its vertices at three resolutions."""

    def __init__(self, width: int) -> None:
        """Of features of this width."""
        super().__init__()
        self.deconv = FeaturePyramid(width)
        gathered = width // 8 + width // 4 + width // 2
        self.dec_pose = nn.Linear(gathered, ROT6D)
        self.dec_cam = nn.Linear(gathered, CAMERA)
        self.dec_shape = nn.Linear(gathered, BETAS)

    def forward(self, features: Tensor, first: CropHand, vertices: Tensor) -> CropHand:
        """The corrected hand.

        Args:
            features: (B, C, 16, 12) of the patches.
            first: the hand to correct.
            vertices: (B, V, 3) m, of that hand.
        """
        found = [
            sampled(level, shares(vertices, first.camera, level.shape[2])).amax(-1)  # (B, channels)
            for level in self.deconv(features)
        ]
        gathered = torch.cat(found, -1)
        return CropHand(
            first.rot6d + self.dec_pose(gathered),
            first.betas + self.dec_shape(gathered),
            first.camera + self.dec_cam(gathered),
        )


def sampled(level: Tensor, at: Tensor) -> Tensor:
    """Features at vertices, **as WiLoR reads them**: level (B, C, H, W), at (B, V, 2) -> (B, C, V).

    `at` is a share of the crop, -0.5..0.5 from its middle, and is taken for a cell: every vertex
    reads within half a cell of the top left corner, with zeros outside. The published weights were
    trained with that, so it stays.
    """
    cells = at.new_tensor([level.shape[3] - 1, level.shape[2] - 1])
    grid = (2 * at / cells - 1)[:, :, None]  # (B, V, 1, 2)
    return F.grid_sample(level, grid, align_corners=True)[..., 0]


class FeaturePyramid(nn.Module):
    """The features at one, two and four times their resolution, the finest first."""

    def __init__(self, width: int) -> None:
        """Of features of this width, which is halved at once."""
        super().__init__()
        half, quarter, eighth = width // 2, width // 4, width // 8
        self.first_conv = nn.Sequential(nn.Conv2d(width, half, 1))
        self.deconv = nn.ModuleList(
            [
                nn.Sequential(*_twice(half, quarter)),
                nn.Sequential(*_twice(half, quarter), *_twice(quarter, eighth)),
            ]
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """(B, C, 16, 12) -> (B, C / 8, 64, 48), (B, C / 4, 32, 24), (B, C / 2, 16, 12)."""
        coarse = self.first_conv(features)
        middle, fine = (enlarge(coarse) for enlarge in self.deconv)
        return [fine, middle, coarse]


def _twice(channels: int, out: int) -> tuple[nn.Module, ...]:
    """Twice the resolution, with a batch norm, whose statistics are the checkpoint's."""
    enlarge = nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1, bias=False)
    return enlarge, nn.BatchNorm2d(out), nn.ReLU()
