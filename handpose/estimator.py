"""A hand in a photo, in two lines.

    from handpose import HandEstimator
    hand = HandEstimator.released()(photo, box)

`photo` is a file or an (H, W, 3) uint8 RGB array, `box` (x, y, w, h) px is around the hand. Neither
a camera nor a hand model is needed: the released weights come with this package and pose its own
stand-in hand. `HandEstimator.load(folder)` takes weights of your own; `estimate.batch` takes many
photos at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.crop import affine, surroundings
from handpose.estimator_input import (
    EstimatorError,
    Picture,
    Side,
    checked_cameras,
    checked_side,
    one_box_each,
    require_device,
    rgb,
    seen_square,
)
from handpose.hand.facing import FACINGS
from handpose.hand.mirror import mirror_points
from handpose.hand.skeleton import WRIST
from handpose.predict import Predictor
from handpose.sample import HandConfidence, PoseOutput
from handpose.training.model_io import ModelRecord

Array = NDArray[np.floating[Any]]
Frame = Literal["camera", "camera turned onto the box"]
"""Whose axes a hand has; the latter looks at the middle of the box."""

SHARPNESS = 4
"""Pixels of the part of a photo that is kept for both passes, by those of the network's view.

Its diagonal is 1.4 times the view's, so the part is at least 2.8 times as sharp as the view.
"""

CERTAIN = 0.9
"""Probability from which a side that the network predicts is called certain."""

RELEASED = "released"


@dataclass(frozen=True)
class HandEstimate:
    """One hand. Metres about the wrist, axes x right, y down, z away; relative, not metric scale.

    The axes are the camera's if its intrinsics were given. Else they are those of a camera that
    looks at the middle of the box.
    """

    side: Side
    side_probability: float  # of that side; 1 if it was given
    facing: str  # palm, back or edge, whichever the camera sees; '' by a model without that head
    facing_probability: float
    frame: Frame  # of what is in metres, and of the root's rotation
    joints: Array  # (21, 3) m, order of hand/skeleton.py
    joints_px: Array  # (21, 2) px of the photo, from the heatmaps
    vertices: Array  # (778, 3) m
    faces: NDArray[np.int64]  # (F, 3) outward for this side
    global_orient: Array  # (3, 3) right-hand frame
    hand_pose: Array  # (15, 3, 3) rotations of the joints, right-hand frame
    betas: Array  # (10,)
    gestures: tuple[tuple[str, float], ...]  # coarse classes and probabilities, likeliest first
    # None by a model without a confidence head (`handpose confidence`):
    joints_px_radius90: Array | None = (
        None  # (21,) px about joints_px, meant to hold 9 of 10 joints
    )
    joints_radius90: Array | None = None  # (21,) m, likewise of joints; 0 for the wrist, the origin
    is_hand_probability: float | None = None  # that the box holds a hand at all

    @property
    def side_is_certain(self) -> bool:
        """Whether the side was given, or its probability is at least `CERTAIN`."""
        return self.side_probability >= CERTAIN

    def __str__(self) -> str:
        """One line for people."""
        sure = "" if self.side_is_certain else ", uncertain"
        parts = [f"{self.side} hand ({100 * self.side_probability:.0f} %{sure})"]
        if self.facing:
            parts.append(f"{self.facing} seen ({100 * self.facing_probability:.0f} %)")
        name, probability = self.gestures[0]
        parts.append(f"{name} ({100 * probability:.0f} %)")
        if self.is_hand_probability is not None:
            parts.append(f"a hand at all ({100 * self.is_hand_probability:.0f} %)")
        return ", ".join(parts)


class HandEstimator:
    """A trained model for hands in photos."""

    def __init__(self, predictor: Predictor) -> None:
        """Around a model for crops."""
        self._predictor = predictor

    @classmethod
    def released(cls, device: str = "cpu") -> HandEstimator:
        """The weights that come with this package, trained on synthetic hands alone.

        Raises:
            EstimatorError: this version comes without them, or `device` is none of this machine.
        """
        folder = released_folder()
        if not (folder / "model.json").is_file():
            raise EstimatorError(
                f"{folder}: this version comes without released weights. Train them with `handpose "
                "configure --profile wide` and `handpose release`, or name a model of your own: "
                "HandEstimator.load(FOLDER)"
            )
        return cls.load(folder, device=device)

    @classmethod
    def load(
        cls, model: Path | str, *, mano: Path | str | None = None, device: str = "cpu"
    ) -> HandEstimator:
        """The model in folder `model`, with the hand model in folder `mano`.

        Without `mano` it is the stand-in hand, which takes three seconds to make.

        Raises:
            EstimatorError: `device` is none of this machine.
            CheckpointError: there is no Stage 2 model, or it is damaged, or the confidence head
                beside it is, or is another model's.
            ManoError: there is no MANO model.
            JointError: the joint regressor that it was trained with is not in `mano`.
        """
        require_device(device)
        return cls(Predictor.load(model, mano=mano, device=device))

    @property
    def record(self) -> ModelRecord:
        """How the model was trained."""
        return self._predictor.record

    @property
    def predicts_side(self) -> bool:
        """Whether the model predicts the side; one of canonical classes must be given it."""
        return self.record.handedness != "canonical"

    def __call__(
        self,
        photo: Picture,
        box: Sequence[float] | None = None,
        *,
        side: Side | Literal["auto"] | None = None,
        K: Array | None = None,
    ) -> HandEstimate:
        """The hand in a box of a photo.

        Args:
            photo: a file, or (H, W, 3) uint8 RGB.
            box: (x, y, w, h) px, close around the hand; by default the whole photo.
            side: of the hand, if it is known; else (None or "auto") the network predicts it.
            K: (3, 3) px, the photo's intrinsics, if they are known.

        Raises:
            EstimatorError: the file is no photo, the box is none of a hand in it (see
                `estimator_input.checked_box`), or `side` or the shape of K is another.
            PredictError: K is of no camera, or the model cannot predict the side.
        """
        return self.batch([photo], [box], side=side, K=K)[0]

    def batch(
        self,
        photos: Sequence[Picture],
        boxes: Sequence[Sequence[float] | None] | None = None,
        *,
        side: Side | Literal["auto"] | None = None,
        K: Array | None = None,
    ) -> list[HandEstimate]:
        """The hand in each photo, all at once; it holds all crops in memory.

        Args:
            photos: of any sizes, one or more.
            boxes: one for each photo, as of `__call__`; None is the whole photo.
            side: of all hands, if it is known.
            K: (3, 3) px, of all photos, or (B, 3, 3), one for each.

        Raises:
            EstimatorError: as of `__call__`, or there are more or fewer boxes than photos.
            PredictError: K is of no camera, or the model cannot predict the side.
        """
        given = checked_side(side)
        boxes = one_box_each(photos, boxes)
        cameras = None if K is None else checked_cameras(K, len(photos))
        px = self._predictor.net.gesture_net.image_px
        parts, to_part, to_view = [], [], []
        for photo, box in zip(photos, boxes, strict=True):
            image = rgb(photo)
            region = seen_square(image, box, self._predictor.box_scale)
            part, a = surroundings(image, region, SHARPNESS * px)
            parts.append(part)  # a copy: the photo itself may be large
            to_part.append(a)
            to_view.append(affine(region, px))
        A = np.stack(to_view)  # (B, 3, 3)
        hands = self._predictor.in_photos(
            parts,
            A @ np.linalg.inv(np.stack(to_part)),
            None if given is None else np.full(len(parts), given == "left"),
            None if cameras is None else A @ cameras,
        )
        frame: Frame = "camera turned onto the box"
        if cameras is not None or not self._predictor.net.turn_camera:
            frame = "camera"
        return self._estimates(hands, np.linalg.inv(A), given, frame)

    @torch.no_grad()
    def posed(
        self, global_orient: Array, hand_pose: Array, betas: Array, is_left: NDArray[np.bool_]
    ) -> tuple[Array, Array]:
        """Joints (B, 21, 3) and vertices (B, 778, 3), m about the wrist, of MANO's parameters.

        With those of `HandEstimate` they are its own.

        Args:
            global_orient: (B, 3, 3) right-hand frame.
            hand_pose: (B, 15, 3, 3).
            betas: (B, 10).
            is_left: (B,) which are mirrored to left hands.
        """
        mano = self._predictor.net.mano
        tensors = (torch.from_numpy(np.asarray(p)) for p in (global_orient, hand_pose, betas))
        hand = mano(*(tensor.to(mano.hands_mean) for tensor in tensors))
        left = torch.from_numpy(is_left).to(mano.hands_mean.device)
        wrist = hand.joints[:, WRIST, None]
        joints, vertices = (mirror_points(p - wrist, left) for p in (hand.joints, hand.vertices))
        return _array(joints), _array(vertices)

    def _estimates(
        self, hands: PoseOutput, to_photo: Array, side: Side | None, frame: Frame
    ) -> list[HandEstimate]:
        left = _array(self._predictor.probability_left(hands.coarse_logits, hands.view))
        if side is not None:
            left = np.full(len(left), float(side == "left"))
        facings = None
        if hands.view is not None:
            facings = _array(hands.view.facing_logits.softmax(-1))
        uv = _array(hands.uv.double())
        uv = uv @ to_photo[:, :2, :2].swapaxes(1, 2) + to_photo[:, None, :2, 2]
        joints, vertices = _array(hands.joints), _array(hands.vertices)
        rotmat, betas = _array(hands.rotmat), _array(hands.betas)
        gestures = _array(hands.coarse_logits.softmax(-1))
        faces = self._predictor.net.mano.faces.cpu().numpy()
        confidences = _confidences(hands.confidence, to_photo[:, 0, 0])
        found = []
        for k in range(len(uv)):
            is_left = bool(left[k] > 0.5)
            facing, facing_probability = "", 1.0
            if facings is not None:
                facing = FACINGS[int(facings[k].argmax())]
                facing_probability = float(facings[k].max())
            found.append(
                HandEstimate(
                    side="left" if is_left else "right",
                    side_probability=float(left[k] if is_left else 1 - left[k]),
                    facing=facing,
                    facing_probability=facing_probability,
                    frame=frame,
                    joints=joints[k],
                    joints_px=uv[k],
                    vertices=vertices[k],
                    faces=faces[:, ::-1] if is_left else faces,
                    global_orient=rotmat[k, 0],
                    hand_pose=rotmat[k, 1:],
                    betas=betas[k],
                    gestures=tuple(
                        (self.record.coarse[c], float(gestures[k, c]))
                        for c in np.argsort(-gestures[k], kind="stable")
                    ),
                    **(confidences[k] if confidences else {}),
                )
            )
        return found


def _confidences(found: HandConfidence | None, zoom: Array) -> list[dict[str, Any]]:
    """Fields of each `HandEstimate`; `zoom` (B,) is pixels of the photo to one of the crop."""
    if found is None:
        return []
    radius_px = _array(found.radius_px.double()) * zoom[:, None]
    columns = zip(radius_px, _array(found.radius_m), _array(found.is_hand), strict=True)
    return [
        {
            "joints_px_radius90": px,
            "joints_radius90": metres,
            "is_hand_probability": float(probability),
        }
        for px, metres, probability in columns
    ]


def _array(tensor: Tensor) -> Array:
    """On the CPU."""
    array: Array = tensor.cpu().numpy()
    return array


def released_folder() -> Path:
    """Where the weights that come with this package lie."""
    return Path(str(resources.files("handpose") / RELEASED))
