"""The data dictionary: fields of a sample, a batch and the outputs of both networks.

Letters: B batch, J = 21 joints (order of `hand/skeleton.py`), V = 778 vertices, S crop side.
Everywhere: metres, radians, pixels of the crop, camera frame (x right, y down, z forward).

**The view's frame.** Without `pose_net.ray_input` a network sees neither K nor where in the photo a
crop was, so it cannot know from which side its hand is seen. With `turn_camera` the camera is
therefore turned about its centre (a *virtual camera*) until the centre of the network's view lies
on its axis: `joints_cam`, `global_orient` and K are those of the turned camera, pixels stay, and
`view_rotation` leads there from the camera's own frame (`hand/camera.py`: `turn`, `turn_back`).
Without, it is the identity and both frames are one.

**Handedness.** Camera quantities (`joints_cam`, pixels) are not mirrored. MANO parameters are in
the *right-hand frame*: those of a left hand are mirrored once, by the reader (axis-angle (a, b, c)
-> (a, -b, -c)), so that one right-hand MANO serves both hands, and its output is mirrored back by
the sign of `is_left` (`hand/mirror.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNLABELLED = -1
"""Class id of a sample without a gesture (ROM folders): its gesture loss is masked."""

GestureClasses = Literal["both", "coarse", "fine"]
"""Which of the two kinds of gesture classes a part of Stage 2 uses."""


@dataclass(frozen=True)
class HandSample:
    """One crop of one hand with its labels (numpy, no batch dimension)."""

    image: NDArray[np.uint8]  # (S, S, 3) RGB
    K: NDArray[np.float32]  # (3, 3) px of this crop; upper triangular unless the camera is turned
    view_rotation: NDArray[np.float32]  # (3, 3) camera -> the frame of this sample's labels
    joints_cam: NDArray[np.float32]  # (21, 3) m, camera; 0 where not valid
    joint_valid: NDArray[np.bool_]  # (21,)
    global_orient: NDArray[np.float32]  # (3,) axis-angle, camera, right-hand frame; 0 without a fit
    hand_pose: NDArray[np.float32]  # (45,) axis-angle relative to hands_mean, right-hand frame
    betas: NDArray[np.float32]  # (10,)
    has_mano: bool  # a MANO fit exists; otherwise the three fields above are zero and masked
    is_left: bool
    coarse: int  # class id, or UNLABELLED
    fine: int
    sample_id: int  # row of samples.parquet


@dataclass(frozen=True)
class HandBatch:
    """B samples as tensors, on one device."""

    image: Tensor  # (B, 3, S, S) uint8 RGB; networks normalise it
    K: Tensor  # (B, 3, 3) px
    view_rotation: Tensor  # (B, 3, 3) camera -> the frame of this batch's labels
    joints_cam: Tensor  # (B, 21, 3) m, camera; 0 where not valid
    joint_valid: Tensor  # (B, 21) bool
    global_orient: Tensor  # (B, 3) axis-angle, right-hand frame
    hand_pose: Tensor  # (B, 45) axis-angle relative to hands_mean, right-hand frame
    betas: Tensor  # (B, 10)
    has_mano: Tensor  # (B,) bool
    is_left: Tensor  # (B,) bool
    coarse: Tensor  # (B,) int64, UNLABELLED where there is no gesture
    fine: Tensor  # (B,) int64
    sample_id: Tensor  # (B,) int64

    def __len__(self) -> int:
        """Number of samples, B."""
        return self.image.shape[0]

    def to(self, device: torch.device | str) -> HandBatch:
        """The same batch on another device; copies of `pinned` ones to a GPU are asynchronous."""
        to_gpu = torch.device(device).type == "cuda"  # copies to the CPU must block
        return self._each(lambda tensor: tensor.to(device, non_blocking=to_gpu))

    def pinned(self) -> HandBatch:
        """The same batch in pinned memory."""
        return self._each(Tensor.pin_memory)

    def _each(self, function: Callable[[Tensor], Tensor]) -> HandBatch:
        fields = dataclasses.fields(self)
        return HandBatch(**{f.name: function(getattr(self, f.name)) for f in fields})


def collate(samples: list[HandSample], images: NDArray[np.uint8] | None = None) -> HandBatch:
    """Collate samples into a batch, in order.

    Args:
        samples: the samples.
        images: (B, 3, S, S), replaces the samples' own images.
    """
    if images is None:
        images = np.stack([sample.image.transpose(2, 0, 1) for sample in samples])
    arrays = {
        f.name: np.stack([np.asarray(getattr(s, f.name)) for s in samples])
        for f in dataclasses.fields(HandSample)
        if f.name != "image"
    }
    arrays["image"] = np.ascontiguousarray(images)
    return HandBatch(**{name: torch.from_numpy(array) for name, array in arrays.items()})


@dataclass(frozen=True)
class GestureOutput:
    """Output of Stage 1 for a batch."""

    coarse_logits: Tensor  # (B, coarse classes)
    fine_logits: Tensor  # (B, fine classes)
    features: Tensor  # (B, C) pooled features, input of the heads


@dataclass(frozen=True)
class SideFacingOutput:
    """Which hand is seen and which face of it, of Stage 2 for a batch."""

    side_logit: Tensor  # (B,) positive: a left hand
    facing_logits: Tensor  # (B, 3) palm, back, edge (`hand/facing.py`)


@dataclass(frozen=True)
class ConfidenceInput:
    """What the confidence head reads of Stage 2 beside its hands; no gradients."""

    features: Tensor  # (B, C) pooled, of the encoder
    tokens: Tensor  # (B, 21, D) of the joints, refined
    spread: Tensor  # (B, 21, 3) deviations of the heatmaps along u, v and depth, in [-1, 1]'s unit
    # of the passes of the images and of their mirror images; 0 where there is no second one:
    flip_difference: Tensor  # (B, 21, 3) of joints along u, v and depth, in [-1, 1]'s unit
    rot6d_flip_difference: Tensor  # (B, 16) length of the difference of each 6D rotation


@dataclass(frozen=True)
class HandConfidence:
    """How sure a model is of its hands, calibrated (`handpose/confidence`)."""

    radius_px: Tensor  # (B, 21) px of the crop about `uv`: 9 of 10 joints are within theirs
    radius_m: Tensor  # (B, 21) m about `joints`, likewise; 0 for the wrist, which is the origin
    is_hand: Tensor  # (B,) probability that the crop shows a hand

    def zoomed(self, zoom: float) -> HandConfidence:
        """The same in pixels of crops that are so many times as large."""
        return dataclasses.replace(self, radius_px=self.radius_px * zoom)


@dataclass(frozen=True)
class PoseOutput:
    """Output of Stage 2 for a batch, in its labels' frame, not mirrored, relative to the wrist."""

    uv: Tensor  # (B, 21, 2) px of the crop, soft-argmax of the volume
    depth_rel: Tensor  # (B, 21) m along z, relative to the wrist, soft-argmax of the volume
    rot6d: Tensor  # (B, 16, 6) raw 6D rotations, root first then MANO's 15, right-hand frame;
    # of EANet they are relative to hands_mean
    rotmat: Tensor  # (B, 16, 3, 3) as matrices (full local rotations, including hands_mean)
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m, regressed from the MANO vertices, wrist at 0
    vertices: Tensor  # (B, 778, 3) m, same frame and origin as joints
    coarse_logits: Tensor  # (B, coarse classes)
    fine_logits: Tensor  # (B, fine classes)
    gates: Tensor  # (T,) gates of the gesture tokens, coarse before fine; two zeros without tokens
    view: SideFacingOutput | None = None  # None: a network without such heads
    uv_mano: Tensor | None = (
        None  # (B, 21, 2) px, MANO's joints by the network's own camera, if any
    )
    confidence_input: ConfidenceInput | None = None  # in evaluation mode; None: of a baseline
    confidence: HandConfidence | None = None  # of a `Predictor` with a confidence head
