"""EANet for a single hand: an image and the hand's side in, a MANO hand out.

The paper's baseline (Table 2). EANet has a branch for each of two hands; here one branch serves one
hand, and what two hands need is left out: the second heads and the relative translation. All else
is as published, its initial weights too.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    rot6d_to_matrix,
)
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.nets.backbone import STRIDES, BackboneError
from handpose.nets.eanet.position_net import PositionNet
from handpose.nets.eanet.rotation_net import RotationNet
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import Encoded
from handpose.sample import PoseOutput

VOXEL_PX = STRIDES[-1]
"""Pixels of the image to a cell of the volume."""


class EaNet(nn.Module):
    """The baseline on top of Stage 1's encoder, which lives in `gesture_net`.

    It has the parts of `PoseNet` that evaluation asks for, and neither gesture tokens nor view
    heads nor a second pass. Stage 1's heads serve for the logits of its output alone.
    """

    gesture_tokens = None
    view_heads = None
    second_look = False
    ray_input = False

    def __init__(
        self,
        gesture_net: GestureNet,
        mano: Mano,
        *,
        projections: Literal[1, 2],
        dim: int,
        heads: int,
        encoder_layers: int,
        fusion_layers: int,
        volume_depth: int,
        depth_range_m: float,
        turn_camera: bool,
        side_input: bool,
    ) -> None:
        """The network of these sizes; EANet's own are in the profile `eanet`.

        Args:
            gesture_net: Stage 1's network; its encoder serves here. EANet's is a ResNet-50.
            mano: the right-hand model; it is fixed and never part of the weights.
            projections: of the deepest level, 1 or 2; see `ExtractAdapt`.
            dim: width of all tokens; `heads` divides it.
            heads: attention heads.
            encoder_layers: blocks of each Transformer of the extract-and-adapt block.
            fusion_layers: Transformer blocks over the joints.
            volume_depth: depth bins of the heatmap volume.
            depth_range_m: the bins begin this far in front of the wrist and end as far behind it.
            turn_camera: see `PoseNet`; nothing in the network changes.
            side_input: give the network the hand's side: an embedding on the joint tokens, and
                joints mirrored to a right hand's where the heads read them. Ours, for images that
                are not mirrored.

        Raises:
            BackboneError: the encoder cuts the image into patches.
        """
        super().__init__()
        if gesture_net.backbone.centred:
            raise BackboneError(
                f"EANet's voxel i is at pixel {VOXEL_PX} i, where no {gesture_net.backbone.title} "
                "has the centre of a cell; set encoder.backbone to an HRNet or a ResNet"
            )
        self.gesture_net = gesture_net
        self.mano = mano
        self.volume_depth = volume_depth
        self.depth_range_m = depth_range_m
        self.turn_camera = turn_camera
        self.side_input = side_input
        self.position_net = PositionNet(
            channels=gesture_net.backbone.channels[VOXEL_PX],
            dim=dim,
            heads=heads,
            layers=encoder_layers,
            side=gesture_net.image_px // VOXEL_PX,
            joints=len(JOINTS),
            depth=volume_depth,
            projections=projections,
        )
        self.rotation_net = RotationNet(
            dim=dim, heads=heads, layers=fusion_layers, joints=len(JOINTS), side_input=side_input
        )
        self.position_net.apply(_initialise)
        self.rotation_net.apply(_initialise)

    def forward(self, image: Tensor, is_left: Tensor, K: Tensor | None = None) -> PoseOutput:
        """The hands in images (B, 3, S, S) uint8 RGB; `is_left` (B,) bool is their side.

        K is not read, as by `PoseNet` without `ray_input`.
        """
        return self.decode(self.encode(image, K), is_left)

    def encode(self, image: Tensor, K: Tensor | None = None) -> Encoded:
        """The encoder's output for images (B, 3, S, S) uint8 RGB; K is not read."""
        levels = self.gesture_net.backbone(image)
        return Encoded(levels, self.gesture_net.gestures(levels))

    def decode(self, encoded: Encoded, is_left: Tensor | None) -> PoseOutput:
        """The hands from the encoder's output.

        Args:
            encoded: the images.
            is_left: (B,) bool.

        Raises:
            ValueError: `is_left` is None, and nothing here predicts the side.
        """
        if is_left is None:
            raise ValueError("EANet has no view heads: it must be given the side")
        gesture = encoded.gesture
        features, voxels = self.position_net(encoded.levels[VOXEL_PX])
        # positions are learnt by their own losses: EANet stops the gradient here
        fixed = voxels.detach()
        places = self._as_right(fixed, is_left) if self.side_input else fixed
        rot6d, betas, camera = self.rotation_net(features, fixed, places, is_left)

        # the parameters are axis-angles relative to hands_mean, as in the annotations
        parameters = matrix_to_axis_angle(rot6d_to_matrix(rot6d))  # (B, 16, 3)
        root = axis_angle_to_matrix(parameters[:, :1])  # (B, 1, 3, 3)
        rotmat = torch.cat([root, self.mano.rotations(parameters[:, 1:].flatten(1))], 1)
        hand = self.mano(rotmat[:, 0], rotmat[:, 1:], betas)
        wrist = hand.joints[:, WRIST, None]  # (B, 1, 3)
        seen = mirror_points(hand.joints, is_left)[..., :2]  # about MANO's own origin
        return PoseOutput(
            uv=voxels[..., :2] * VOXEL_PX,
            depth_rel=(2 * voxels[..., 2] / self.volume_depth - 1) * self.depth_range_m,
            rot6d=rot6d,
            rotmat=rotmat,
            betas=betas,
            joints=mirror_points(hand.joints - wrist, is_left),
            vertices=mirror_points(hand.vertices - wrist, is_left),
            coarse_logits=gesture.coarse_logits,
            fine_logits=gesture.fine_logits,
            gates=voxels.new_zeros(2),
            uv_mano=(camera[:, None, :1] * seen + camera[:, None, 1:]) * VOXEL_PX,
        )

    def _as_right(self, voxels: Tensor, is_left: Tensor) -> Tensor:
        """Left hands' joints (B, J, 3) where the mirrored image has them, in voxels."""
        last = (self.gesture_net.image_px - 1) / VOXEL_PX  # of the last pixel
        mirrored = torch.cat([last - voxels[..., :1], voxels[..., 1:]], dim=-1)
        return torch.where(is_left[:, None, None], mirrored, voxels)

    def train(self, mode: bool = True) -> EaNet:
        """Training mode for all but Stage 1's heads, as in `PoseNet`."""
        super().train(mode)
        self.gesture_net.heads.eval()
        return self


def _initialise(module: nn.Module) -> None:
    """EANet's first weights; positions and class tokens stay N(0, 1), norms 1 and 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.001 if isinstance(module, nn.Conv2d) else 0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
