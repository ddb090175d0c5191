"""A trained model on a user's own crops.

    predictor = Predictor.load("models/pose/pretrained", mano="data/stand_in")
    hand = predictor(crops, is_left=None)  # crops (B, S, S, 3) uint8 RGB
    hand.joints, hand.vertices, hand.uv  # metres about the wrist, and pixels of the crops

A crop is a square around one hand, about 1.4 times as wide as its joints. No camera is needed: the
result is relative to the wrist.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.crop import Square, affine, warp
from handpose.errors import HandPoseError
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.nets.pose_net import PoseNet
from handpose.sample import PoseOutput
from handpose.training.model_io import ModelRecord, read_record
from handpose.training.trained_nets import load_joint_definition, load_pose_net


class PredictError(HandPoseError):
    """An image or a side that the network cannot take."""


class Predictor:
    """A trained Stage 2 network for crops of hands."""

    def __init__(self, net: PoseNet, record: ModelRecord) -> None:
        """The network in evaluation mode, and the record of how it was trained."""
        self.net = net.eval()
        self.record = record

    @classmethod
    def load(cls, model: Path | str, *, mano: Path | str, device: str = "cpu") -> Predictor:
        """The model in folder `model`, with the MANO_RIGHT.npz in folder `mano`.

        Its joints are those it was trained on.

        Raises:
            CheckpointError: there is no Stage 2 model, or it is damaged.
            ManoError: there is no MANO model.
            JointError: the joint regressor that it was trained with is not in `mano`.
        """
        joints = load_joint_definition(Path(model), mano)
        net = load_pose_net(Path(model), Mano.load(mano, joints)).to(device)
        return cls(net, read_record(Path(model)))

    @torch.no_grad()
    def __call__(
        self, crops: NDArray[np.uint8], is_left: NDArray[np.bool_] | None = None
    ) -> PoseOutput:
        """The hands in crops (B, S, S, 3) uint8 RGB; `uv` is in pixels of these crops.

        Args:
            crops: square images of any size, one hand each.
            is_left: (B,) which of them show a left hand; with None the gesture classes decide,
                which takes a model with handed classes.

        Raises:
            PredictError: another shape or type, or no side where one is needed.
        """
        side = crops.shape[1] if crops.ndim == 4 else 0
        if crops.dtype != np.uint8 or not len(crops) or crops.shape[1:] != (side, side, 3):
            raise PredictError(
                f"crops are {crops.dtype} {crops.shape}, expected uint8 (B, S, S, 3) in RGB"
            )
        px = self.net.gesture_net.image_px
        A = affine(Square((side - 1) / 2, (side - 1) / 2, side), px)
        image = torch.from_numpy(np.stack([warp(crop, A, px) for crop in crops]))
        image = image.permute(0, 3, 1, 2).to(next(self.net.parameters()).device)  # (B, 3, px, px)
        left = self._side(image, is_left)
        hand = self._canonical(image, left) if self._is_canonical else self.net(image, left)
        zoom = px / side  # crop pixel u is net pixel (u + 0.5) zoom - 0.5
        return dataclasses.replace(hand, uv=(hand.uv + 0.5) / zoom - 0.5)

    @property
    def _is_canonical(self) -> bool:
        return self.record.handedness == "canonical"

    def _side(self, image: Tensor, is_left: NDArray[np.bool_] | None) -> Tensor:
        """(B,) bool on the image's device: as given, or the likelier side by the coarse classes."""
        if is_left is not None:
            if np.shape(is_left) != (len(image),):
                raise PredictError(
                    f"is_left has shape {np.shape(is_left)}, expected one flag a crop, {len(image)}"
                )
            return torch.tensor(np.asarray(is_left, np.bool_), device=image.device)
        if self._is_canonical:
            raise PredictError(
                "this model's classes do not distinguish left from right: give is_left"
            )
        probability = self.net.gesture_net(image).coarse_logits.softmax(-1)  # (B, coarse classes)
        left = torch.tensor([hand == "left" for hand in self.record.hands], device=image.device)
        is_likely: Tensor = probability[:, left].sum(-1) > 0.5
        return is_likely

    def _canonical(self, image: Tensor, is_left: Tensor) -> PoseOutput:
        """The hands as they are, by a network of right hands only: mirrored there and back."""
        mirrored = torch.where(is_left[:, None, None, None], image.flip(-1), image)
        hand: PoseOutput = self.net(mirrored, torch.zeros_like(is_left))
        u, v = hand.uv.unbind(-1)  # (B, 21) each
        u = torch.where(is_left[:, None], image.shape[-1] - 1 - u, u)
        return dataclasses.replace(
            hand,
            uv=torch.stack([u, v], -1),
            joints=mirror_points(hand.joints, is_left),
            vertices=mirror_points(hand.vertices, is_left),
        )
