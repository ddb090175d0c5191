"""A model on synthetic photographs that were made for it alone: errors, side, facing, by rotation.

What a user has is a photo and a rough box, so that is what the model gets: the true box of the
joints, moved and scaled a little, no side and no intrinsics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.crop import affine, square
from handpose.estimator import BOX_SCALE, CERTAIN
from handpose.evaluation import statistics
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.evaluation.statistics import LENGTH, SHARE, Estimate
from handpose.evaluation.view import mirrored_fingers
from handpose.hand.camera import project, turn, view_rotation
from handpose.hand.facing import FACINGS, facing, image_rotation
from handpose.predict import Predictor
from handpose.synthetic.sequence import Photograph

BATCH = 64
BOX_JITTER = 0.08
"""A user's box is off by up to this share of its size, in place and in extent."""
PCK = 0.2
"""2D joints count as found within this share of the longer side of the joints' box."""
SECTORS = 12
EDGE = FACINGS.index("edge")

UNITS = {
    "wrist_mpjpe_mm": LENGTH,
    "pa_mpjpe_mm": LENGTH,
    "error_2d": LENGTH,
    "centre_2d": LENGTH,
    "pck_2d": SHARE,
    "side": SHARE,
    "certain": SHARE,
    "side_if_certain": SHARE,
    "facing": SHARE,
    "palm_for_back": SHARE,
    "mirrored": SHARE,
}
"""The columns and their bounds.

error_2d: mean distance of the joints in the photo, as a share of the longer side of their box;
centre_2d: the same for all joints at the middle of the box that the model was given; certain: the
side's probability is at least `estimator.CERTAIN`; palm_for_back: the head for faces takes a palm
for a back or a back for a palm, of hands not seen from their edge; mirrored: the predicted hand, as
one of the true side, shows its back where the palm is seen or the other way round, of the same.
"""


class Scored(NamedTuple):
    """Scores of N photographs."""

    person: NDArray[np.int64]
    rotation: NDArray[np.floating[Any]]  # (N,) rad, in-plane
    facing: NDArray[np.int64]  # (N,) true class
    columns: dict[str, NDArray[np.floating[Any]]]  # by key of `UNITS`, NaN where not defined

    def estimates(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Estimate]:
        """Means with intervals over people."""
        rows = np.ones(len(self.person), bool) if rows is None else rows
        return {
            key: statistics.mean(self.columns[key][rows], self.person[rows], bounds=bounds)
            for key, bounds in UNITS.items()
        }

    def by_sector(self) -> dict[str, dict[str, Estimate]]:
        """The same by 30-degree sectors of the rotation in the image."""
        degrees = np.degrees(self.rotation) % 360
        width = 360 // SECTORS
        sector = np.minimum(degrees // width, SECTORS - 1).astype(int)
        return {
            f"{width * k:03d} to {width * (k + 1):03d}": self.estimates(sector == k)
            for k in range(SECTORS)
        }

    def by_facing(self) -> dict[str, dict[str, Estimate]]:
        """The same for palms, backs and edges."""
        return {name: self.estimates(self.facing == k) for k, name in enumerate(FACINGS)}


def score(
    predictor: Predictor, photographs: Iterable[Photograph], rng: np.random.Generator
) -> Scored:
    """Score a model.

    Args:
        predictor: the model; it has view heads.
        photographs: with their truth.
        rng: of the boxes.
    """
    found: list[dict[str, Tensor]] = []
    stream = iter(photographs)
    while batch := list(islice(stream, BATCH)):
        found.append(_score_batch(predictor, batch, rng))
    table = {key: torch.cat([part[key] for part in found]).numpy() for key in found[0]}
    return Scored(
        table.pop("person"),
        table.pop("rotation"),
        table.pop("faces"),
        {key: table[key].astype(np.float64) for key in UNITS},
    )


def _score_batch(
    predictor: Predictor, photographs: Sequence[Photograph], rng: np.random.Generator
) -> dict[str, Tensor]:
    px = predictor.net.gesture_net.image_px
    A = np.stack([affine(square(users_box(p, rng), BOX_SCALE), px) for p in photographs])
    hands = predictor.in_photos([p.image for p in photographs], A)
    assert hands.view is not None, "the model has no view heads"
    K = A @ np.stack([p.K for p in photographs])  # (B, 3, 3) of the crops
    R = torch.from_numpy(view_rotation(K, px)).float()
    joints = torch.from_numpy(np.stack([p.joints_cam for p in photographs])).float()
    uv = project(joints, torch.from_numpy(K).float())  # (B, 21, 2) px of the crop
    turned = turn(joints, R)
    is_left = torch.tensor([p.is_left for p in photographs])
    valid = torch.ones(joints.shape[:2], dtype=torch.bool)
    faces = facing(joints, valid, is_left)
    extent = (uv.amax(1) - uv.amin(1)).amax(-1)  # (B,) px, longer side of the joints' box
    predicted = hands.joints.cpu()
    side_hits = ((hands.view.side_logit.cpu() > 0) == is_left).float()
    left = hands.view.side_logit.cpu().sigmoid()
    certain = torch.maximum(left, 1 - left) >= CERTAIN
    told = hands.view.facing_logits.cpu().argmax(-1)
    is_other = (told != faces) & (told != EDGE)
    distance = (hands.uv.cpu() - uv).norm(dim=-1) / extent[:, None]  # (B, 21)
    centre = (uv - (px - 1) / 2).norm(dim=-1) / extent[:, None]
    return {
        "person": torch.tensor([p.subject for p in photographs]),
        "rotation": image_rotation(uv),
        "faces": faces,
        "wrist_mpjpe_mm": wrist_mpjpe_mm(predicted, turned, valid),
        "pa_mpjpe_mm": pa_mpjpe_mm(predicted, turned, valid),
        "error_2d": distance.mean(1),
        "centre_2d": centre.mean(1),
        "pck_2d": (distance < PCK).float().mean(1),
        "side": side_hits,
        "certain": certain.float(),
        "side_if_certain": torch.where(certain, side_hits, torch.nan),
        "facing": (told == faces).float(),
        "palm_for_back": torch.where(faces == EDGE, torch.nan, is_other.float()),
        "mirrored": mirrored_fingers(predicted, turned, valid, is_left),
    }


def joints_box(photograph: Photograph) -> NDArray[np.float64]:
    """The box of the joints, (4,) x, y, width, height in px of the photograph."""
    uv = project(torch.from_numpy(photograph.joints_cam), torch.from_numpy(photograph.K)).numpy()
    return np.concatenate([uv.min(0), np.ptp(uv, axis=0)])


def users_box(photograph: Photograph, rng: np.random.Generator) -> NDArray[np.float64]:
    """A user's box: the joints', moved and scaled a little; as `joints_box`."""
    box = joints_box(photograph)
    corner, size = box[:2], box[2:]
    middle = corner + size / 2 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2) * size.max()
    size = size * (1 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2))
    return np.concatenate([middle - size / 2, size])
