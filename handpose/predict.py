"""A trained model on a user's own crops.

    predictor = Predictor.load("models/pose/pretrained", mano="data/stand_in")
    hand = predictor(crops, is_left=None)  # crops (B, S, S, 3) uint8 RGB
    hand.joints, hand.vertices, hand.uv  # metres about the wrist, and pixels of the crops

A crop is a square around one hand, about 1.4 times as wide as its joints. No camera is needed, but
for a network with `pose_net.ray_input`: the result is relative to the wrist. Its axes are those of
a camera that looks at the crop's centre (`pose_net.turn_camera`); with the crops' intrinsics K,
they are the photo's camera's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.confidence_io import load_confidence
from handpose.data.crop import Square, about_centre, affine, warp
from handpose.errors import HandPoseError
from handpose.hand.camera import mirrored_intrinsics, view_rotation
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.nets.network_by_name import PoseNetwork
from handpose.nets.pose_net import Encoded, PoseNet, TurnedCut
from handpose.nets.second_look import rotate_camera_back
from handpose.sample import PoseOutput, SideFacingOutput
from handpose.synthetic.stand_in import build
from handpose.training.model_io import ModelRecord, read_record
from handpose.training.trained_nets import load_joint_definition, load_pose_net

BOX_SCALE = 1.4
"""Side of the network's view relative to the longer side of the box: `shard.box_scale`."""

BOX_SCALE_OF_TWO_LOOKS = 1.25
"""The same for a network with two passes. Profile `wide` trains it on views that are up to 20 %
smaller and larger than by `BOX_SCALE`; closer ones give smaller errors (docs/photos.md, Width of
the crop)."""


class PredictError(HandPoseError):
    """An image, a side or a camera that the network cannot take."""


class Predictor:
    """A trained Stage 2 network for crops of hands."""

    def __init__(
        self, net: PoseNetwork, record: ModelRecord, confidence: ConfidenceHead | None = None
    ) -> None:
        """The network in evaluation mode, and the record of how it was trained.

        With its confidence head, hands have a `confidence`.
        """
        self.net = net.eval()
        self.record = record
        self.confidence = None if confidence is None else confidence.eval()

    @classmethod
    def load(
        cls,
        model: Path | str,
        *,
        mano: Path | str | None,
        device: str = "cpu",
        confidence: bool = True,
    ) -> Predictor:
        """The model in folder `model`, with the MANO_RIGHT.npz in folder `mano`.

        None takes the stand-in hand, which is made anew. The joints are those that the model was
        trained on. With `confidence`, its confidence head is loaded too, if it has one.

        Raises:
            CheckpointError: there is no Stage 2 model, or it is damaged, or the confidence head
                beside it is, or is another model's.
            ManoError: there is no MANO model.
            JointError: the joint regressor that it was trained with is not in `mano`.
        """
        joints = load_joint_definition(Path(model), mano or "")
        hand = Mano(build(), joints) if mano is None else Mano.load(mano, joints)
        net = load_pose_net(Path(model), hand).to(device)
        record = read_record(Path(model))
        head = load_confidence(Path(model), record) if confidence else None
        return cls(net, record, None if head is None else head.to(device))

    @torch.no_grad()
    def __call__(
        self,
        crops: NDArray[np.uint8],
        is_left: NDArray[np.bool_] | None = None,
        K: NDArray[np.floating[Any]] | None = None,
    ) -> PoseOutput:
        """The hands in crops (B, S, S, 3) uint8 RGB; `uv` is in pixels of these crops.

        Joints, vertices and the root's rotation are in the camera's frame if K is given, or if the
        model was trained without `pose_net.turn_camera`; else in the frame of the camera turned
        onto the crop's centre, as `depth_rel` always is. A crop from the middle of a photo has both
        frames alike; with a hand 10 degrees off, they differ by these 10 degrees.

        Args:
            crops: square images of any size, one hand each.
            is_left: (B,) which of them show a left hand; with None the gesture classes decide,
                which takes a model with handed classes.
            K: (B, 3, 3) px, intrinsics of the crops: A K for a crop that A (3, 3) cuts out of the
                pixels of a photo with these K.

        Raises:
            PredictError: another shape or type, no side or no K where one is needed, or K is of no
                camera.
        """
        side = crops.shape[1] if crops.ndim == 4 else 0
        if crops.dtype != np.uint8 or not len(crops) or crops.shape[1:] != (side, side, 3):
            raise PredictError(
                f"crops are {crops.dtype} {crops.shape}, expected uint8 (B, S, S, 3) in RGB"
            )
        px = self.net.gesture_net.image_px
        A = affine(Square((side - 1) / 2, (side - 1) / 2, side), px)
        if K is not None:
            _require_intrinsics(K, len(crops))
            K = A @ K
        hand = self.in_photos(list(crops), np.stack([A] * len(crops)), is_left, K)
        zoom = px / side  # crop pixel u is net pixel (u + 0.5) zoom - 0.5
        return dataclasses.replace(
            hand,
            uv=(hand.uv + 0.5) / zoom - 0.5,
            confidence=None if hand.confidence is None else hand.confidence.zoomed(1 / zoom),
        )

    @torch.no_grad()
    def in_photos(
        self,
        photos: Sequence[NDArray[np.uint8]],
        A: NDArray[np.float64],
        is_left: NDArray[np.bool_] | None = None,
        K: NDArray[np.floating[Any]] | None = None,
    ) -> PoseOutput:
        """The hand in a view of each photo; `uv` is in pixels of the views.

        As of crops, but a second pass is cut from the photo, which goes on where the view ends.
        Beyond the photo's edge its outermost pixels are repeated: black, as in the borders of
        training images, gives larger errors (docs/photos.md, Where the photo ends).

        Args:
            photos: (H, W, 3) uint8 RGB of any sizes.
            A: (B, 3, 3) pixels of the photo -> pixels of the view, which the network sees.
            is_left: (B,) as of `__call__`.
            K: (B, 3, 3) px, intrinsics of the views, as of `__call__`.

        Raises:
            PredictError: no side or no K where one is needed, or K is of no camera.
        """
        px = self.net.gesture_net.image_px
        device = next(self.net.parameters()).device
        onto_centre, seen_by = None, None
        if K is not None:
            _require_intrinsics(K, len(photos))
            onto_centre = view_rotation(np.asarray(K), px)
            turned = K @ onto_centre.swapaxes(-1, -2) if self.net.turn_camera else np.asarray(K)
            seen_by = torch.from_numpy(turned).to(device).float()  # K of the labels' frame
        elif self.net.ray_input:
            raise PredictError(
                "this model takes the direction in which each joint is seen (pose_net.ray_input): "
                "give K, the intrinsics of the crops"
            )

        def cut(R: Tensor) -> Tensor:
            """The views turned about their centres by R (B, 3, 3): (B, 3, px, px)."""
            turned = about_centre(R.double().cpu().numpy(), px) @ A
            views = [
                warp(photo, a, px, beyond="edge") for photo, a in zip(photos, turned, strict=True)
            ]
            return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).to(device)

        image = cut(torch.eye(3).expand(len(photos), 3, 3))
        left = self._given_side(image, is_left)
        if self._is_canonical:
            hand = self._canonical(image, left, seen_by)
        else:
            encoded = self._encode(image, seen_by, cut)
            if left is None and self.net.view_heads is None:
                left = self.probability_left(encoded.gesture.coarse_logits, None) > 0.5
            hand = self.net.decode(encoded, left)
        if self.confidence is not None:
            hand = dataclasses.replace(hand, confidence=self.confidence.regions(hand, px))
        if onto_centre is not None and self.net.turn_camera:
            if left is None:
                left = self.probability_left(hand.coarse_logits, hand.view) > 0.5
            hand = rotate_camera_back(hand, torch.from_numpy(onto_centre), left)
        return dataclasses.replace(hand, uv_mano=None)

    def _encode(self, image: Tensor, K: Tensor | None, cut: TurnedCut) -> Encoded:
        """Views (B, 3, px, px) after the encoder; those of a second pass with their mirror images.

        A network with one pass was not trained with mirror images of its own photos.
        """
        if isinstance(self.net, PoseNet) and self.net.second_look:
            return self.net.encode(image, K, cut=cut, mirrored=True)
        return self.net.encode(image, K)

    @property
    def box_scale(self) -> float:
        """Side of the view that it should get, relative to the longer side of the hand's box."""
        looks_twice = isinstance(self.net, PoseNet) and self.net.second_look
        return BOX_SCALE_OF_TWO_LOOKS if looks_twice else BOX_SCALE

    @property
    def _is_canonical(self) -> bool:
        return self.record.handedness == "canonical"

    def _given_side(self, image: Tensor, is_left: NDArray[np.bool_] | None) -> Tensor | None:
        """(B,) bool on the image's device as given, or None: then the network predicts it."""
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
        return None

    def probability_left(self, coarse_logits: Tensor, view: SideFacingOutput | None) -> Tensor:
        """That each hand is a left one, (B,): by the head for sides, else by the gesture classes.

        Args:
            coarse_logits: (B, coarse classes), of a model with handed classes.
            view: of the head for sides, if the network has one.
        """
        if view is not None:
            return view.side_logit.sigmoid()
        left = [k for k, hand in enumerate(self.record.hands) if hand == "left"]
        return coarse_logits.softmax(-1)[:, left].sum(-1)

    def _canonical(self, image: Tensor, is_left: Tensor | None, K: Tensor | None) -> PoseOutput:
        """The hands as they are, by a network of right hands only: mirrored there and back."""
        assert is_left is not None  # it was given, or refused
        mirrored = torch.where(is_left[:, None, None, None], image.flip(-1), image)
        if K is not None:
            K = torch.where(is_left[:, None, None], mirrored_intrinsics(K, image.shape[-1]), K)
        hand: PoseOutput = self.net(mirrored, torch.zeros_like(is_left), K)
        u, v = hand.uv.unbind(-1)  # (B, 21) each
        u = torch.where(is_left[:, None], image.shape[-1] - 1 - u, u)
        return dataclasses.replace(
            hand,
            uv=torch.stack([u, v], -1),
            joints=mirror_points(hand.joints, is_left),
            vertices=mirror_points(hand.vertices, is_left),
        )


def _require_intrinsics(K: NDArray[np.floating[Any]], views: int) -> None:
    """Refuse what is no camera of each of these views."""
    if np.shape(K) != (views, 3, 3):
        raise PredictError(f"K has shape {np.shape(K)}, expected one matrix a crop, {views, 3, 3}")
    if not (np.isfinite(K).all() and (np.linalg.det(K) > 0).all()):
        raise PredictError(
            "K is not finite or has a determinant of 0 or less: expected [[fx, s, cx], [0, fy, cy],"
            " [0, 0, 1]] in pixels of each crop"
        )
