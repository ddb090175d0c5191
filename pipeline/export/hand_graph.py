"""A trained model as one function of pictures: what `predict` does, without Python between.

The first pass, the turn, the second pass and its mirror image, the hand model and the confidence
head are one graph. Letters: B batch, N side of the picture, px.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.hand.camera import mirrored_intrinsics, turn, turn_back, warp_intrinsics
from handpose.hand.mirror import mirror_points
from handpose.nets.pose_net import PoseNet
from handpose.nets.second_look import rotate_camera_back
from handpose.predict import Predictor
from handpose.sample import PoseOutput
from pipeline.export.file_hand import FileHand, NoHand
from pipeline.release.examples import border

Points = Literal["none", "joints", "mesh"]
"""Which points of the hand model are in the file: none, its joints, or its joints and vertices."""


class HandGraph(nn.Module):
    """Pictures (B, N, N, 3) uint8 RGB of a hand -> the outputs `names`, in that order."""

    def __init__(self, predictor: Predictor, points: Points, *, side_input: bool = False) -> None:
        """The model of this predictor, whose hand model is replaced by that of the file.

        Args:
            predictor: on the CPU.
            points: with 'none', there is no confidence head either, which reads the hand's joints.
            side_input: whether a model that predicts the side takes it as an input too.
        """
        super().__init__()
        net = predictor.net
        hand = NoHand() if points == "none" else FileHand(net.mano)
        net.mano = hand  # type: ignore[assignment]
        self.net = net
        self.confidence = None if points == "none" else predictor.confidence
        self.points = points
        self.px = net.gesture_net.image_px
        self.canonical = predictor.record.handedness == "canonical"
        self.side_input = side_input and not self.canonical
        self.left_classes = [k for k, hand in enumerate(predictor.record.hands) if hand == "left"]
        self.looks_twice = isinstance(net, PoseNet) and net.second_look and not self.canonical
        self.box_scale = predictor.box_scale
        self.border = border(self.px) if self.looks_twice else 0
        self.eval().requires_grad_(False)

    @property
    def side(self) -> int:
        """N: the view and what lies around it, which the second pass sees."""
        return self.px + 2 * self.border

    @property
    def inputs(self) -> list[str]:
        """Names of the arguments that the model needs, in order."""
        names = ["image"]
        if self.canonical:
            names.append("is_left")
        if self.side_input:
            names.append("side")
        if self.net.ray_input:
            names.append("K")
        return names

    @property
    def names(self) -> list[str]:
        """Names of the outputs, in order."""
        names = ["joints"] if self.points != "none" else ["joints_depth"]
        names.append("joints_px")
        if not self.canonical:
            names.append("left_probability")
        if self.net.view_heads is not None:
            names.append("facing_probabilities")
        names += ["gesture_probabilities", "global_orient", "hand_pose", "betas"]
        if self.confidence is not None:
            names += ["joints_px_radius90", "joints_radius90", "is_hand_probability"]
        if self.points == "mesh":
            names.append("vertices")
        return names

    def forward(self, image: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """The outputs.

        Args:
            image: (B, N, N, 3) uint8 RGB.
            *given: those of `inputs` that follow: is_left (B,) bool; side (B,) int32, 1 for left, 0
                for right and -1 for whatever the model sees; K (B, 3, 3) px of the picture.
        """
        others = dict(zip(self.inputs[1:], given, strict=True))
        is_left, K = others.get("is_left"), others.get("K")
        picture = image.permute(0, 3, 1, 2).to(self.net.gesture_net.backbone.scale.dtype)
        middle = slice(self.border, self.border + self.px)
        view = picture[..., middle, middle]
        onto_centre = None
        if K is not None:
            K = moved(K, -self.border)
            onto_centre = view_rotation(K, self.px)
            if self.net.turn_camera:
                K = turn(K, onto_centre)  # the rows, each turned: K R^T
        if self.canonical:
            assert is_left is not None
            hand = self._canonical(view, is_left, K)
            left = is_left.float()
        else:
            hand, is_left, left = self._handed(view, picture, K, others.get("side"))
        results = {
            "left_probability": left,
            "gesture_probabilities": hand.coarse_logits.softmax(-1),
            "betas": hand.betas,
        }
        if hand.view is not None:
            results["facing_probabilities"] = hand.view.facing_logits.softmax(-1)
        if self.confidence is not None:
            sure = self.confidence.regions(hand, self.px)
            results |= {
                "joints_px_radius90": sure.radius_px,
                "joints_radius90": sure.radius_m,
                "is_hand_probability": sure.is_hand,
            }
        if onto_centre is not None and self.net.turn_camera:
            hand = rotate_camera_back(hand, onto_centre, is_left)
        results |= {
            "joints": hand.joints,
            "vertices": hand.vertices,
            "joints_depth": hand.depth_rel,
            "joints_px": hand.uv + self.border,
            "global_orient": hand.rotmat[:, 0],
            "hand_pose": hand.rotmat[:, 1:],
        }
        return tuple(results[name] for name in self.names)

    def _handed(
        self, view: Tensor, picture: Tensor, K: Tensor | None, side: Tensor | None
    ) -> tuple[PoseOutput, Tensor, Tensor]:
        """Hands of a network that knows both sides, which were posed as left, and P(left), (B,)."""
        net = self.net

        def cut(R: Tensor) -> Tensor:
            """The view turned about its centre by R (B, 3, 3), with the picture around it."""
            return turned_view(picture, R, self.px)

        def given_or(is_left: Tensor) -> Tensor:
            return is_left if side is None else (side > 0) | ((side < 0) & is_left)

        if isinstance(net, PoseNet) and self.looks_twice:
            encoded = net.encode(view, K, cut=cut, mirrored=True)
        else:
            encoded = net.encode(view, K)
        if net.view_heads is None:
            left = encoded.gesture.coarse_logits.softmax(-1)[:, self.left_classes].sum(-1)
            is_left = given_or(left > 0.5)
            return net.decode(encoded, is_left), is_left, left
        hand = net.decode(encoded, None)
        assert hand.view is not None, "the network has view heads"
        left = hand.view.side_logit.sigmoid()
        is_left = given_or(hand.view.side_logit > 0)
        if side is not None:
            # What both have in common is in an ONNX file once: ONNX Runtime's tools merge it.
            hand = net.decode(encoded, is_left)
        return hand, is_left, left

    def _canonical(self, view: Tensor, is_left: Tensor, K: Tensor | None) -> PoseOutput:
        """Hands as they are, by a network of right hands: mirrored there and back."""
        mirrored = torch.where(is_left[:, None, None, None], view.flip(-1), view)
        if K is not None:
            K = torch.where(is_left[:, None, None], mirrored_intrinsics(K, self.px), K)
        if isinstance(self.net, PoseNet):
            encoded = self.net.encode(mirrored, K, cut=lambda R: turned_view(mirrored, R, self.px))
        else:
            encoded = self.net.encode(mirrored, K)
        hand = self.net.decode(encoded, torch.zeros_like(is_left))
        u, v = hand.uv.unbind(-1)  # (B, 21) each
        return dataclasses.replace(
            hand,
            uv=torch.stack([torch.where(is_left[:, None], self.px - 1 - u, u), v], -1),
            joints=mirror_points(hand.joints, is_left),
            vertices=mirror_points(hand.vertices, is_left),
        )


def turned_view(picture: Tensor, R: Tensor, px: int) -> Tensor:
    """The middle `px` pixels of pictures turned about their centre; bilinear, black outside.

    Args:
        picture: (B, C, N, N) float.
        R: (B, 3, 3), about the optical axis: pixels of the view = R pixels of the picture, centred.
        px: side of the view.

    Returns:
        (B, C, px, px).
    """
    along = torch.arange(px, dtype=R.dtype, device=R.device) - (px - 1) / 2
    v, u = torch.meshgrid(along, along, indexing="ij")
    at = torch.stack([u, v], -1).view(1, -1, 2)  # (1, px px, 2) from the centre
    grid = turn_back(at, R[:, :2, :2]) / ((picture.shape[-1] - 1) / 2)  # (B, px px, 2) in [-1, 1]
    return F.grid_sample(picture, grid.view(-1, px, px, 2), align_corners=True)


def view_rotation(K: Tensor, side: int) -> Tensor:
    """As of `hand/camera.py`, in torch: K (B, 3, 3) px of images `side` px wide -> R (B, 3, 3)."""
    middle = (side - 1) / 2
    column, row, last = K.unbind(-2)  # (B, 3) each
    ray = F.normalize(torch.linalg.cross(column - middle * last, row - middle * last), dim=-1)
    a, b, c = ray.unbind(-1)
    aa, ab, bb = a * a / (1 + c), a * b / (1 + c), b * b / (1 + c)
    rows = [1 - aa, -ab, -a, -ab, 1 - bb, -b, a, b, c]
    return torch.stack(rows, -1).view(-1, 3, 3)


def moved(K: Tensor, px: float) -> Tensor:
    """Intrinsics K (B, 3, 3) of pictures whose pixels are moved to the right and down."""
    affine = K.new_tensor([[1.0, 0.0, px], [0.0, 1.0, px]])
    return warp_intrinsics(K, affine)
