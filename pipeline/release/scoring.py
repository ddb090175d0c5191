"""A model on synthetic photographs that were made for it alone: errors, side, facing, by rotation.

What a user has is a photo and a rough box, so that is what the model gets: the true box of the
joints, moved and scaled a little, no side and no intrinsics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.crop import affine, square
from handpose.estimator import CERTAIN
from handpose.evaluation import statistics
from handpose.evaluation.confidence_scores import inside, lower_by, ranking_auc
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.evaluation.side_and_facing import mirrored_fingers
from handpose.evaluation.statistics import LENGTH, SHARE, Estimate
from handpose.hand.camera import project, turn, view_rotation
from handpose.hand.facing import FACINGS, facing, image_rotation
from handpose.hand.skeleton import WRIST
from handpose.predict import Predictor
from handpose.sample import HandConfidence
from handpose.synthetic.sequence import Photograph
from pipeline.confidence.true_view import empty_window, users_box

BATCH = 64
PCK = 0.2
"""2D joints count as found within this share of the longer side of the joints' box."""
SECTORS = 12
EDGE = FACINGS.index("edge")
EVEN = 0.5
"""Probability from which a picture is taken for one of a hand."""

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


CONFIDENCE_UNITS = {
    "inside_2d": SHARE,
    "inside_3d": SHARE,
    "hand_recognised": SHARE,
    "window_recognised": SHARE,
}
"""Columns of a model with a confidence head: the share of joints within their 90 % regions, hands
that it takes for one, and windows of the same photos without a hand that it takes for none."""


class Confidences(NamedTuple):
    """What the confidence head says of N photographs."""

    columns: Mapping[str, NDArray[np.floating[Any]]]  # by key of `CONFIDENCE_UNITS`, likewise NaN
    error_m: NDArray[np.floating[Any]]  # (N, 20) of the joints but the wrist
    radius_m: NDArray[np.floating[Any]]  # (N, 20) likewise
    hands: NDArray[np.floating[Any]]  # (N,) probability that the photo shows a hand
    windows: NDArray[np.floating[Any]]  # (N,) that a window without a hand does; NaN: no room


class Scored(NamedTuple):
    """Scores of N photographs."""

    person: NDArray[np.int64]
    rotation: NDArray[np.floating[Any]]  # (N,) rad, in-plane
    facing: NDArray[np.int64]  # (N,) true class
    columns: dict[str, NDArray[np.floating[Any]]]  # by key of `UNITS`, NaN where not defined
    confidences: Confidences | None = None  # of a model with a confidence head

    def estimates(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Estimate]:
        """Means with intervals over people."""
        rows = np.ones(len(self.person), bool) if rows is None else rows
        return {
            key: statistics.mean(self.columns[key][rows], self.person[rows], bounds=bounds)
            for key, bounds in UNITS.items()
        }

    def confidence(self) -> dict[str, Estimate]:
        """How good the confidence is, if there is one: coverage, dropping a fifth, recognition.

        With `CONFIDENCE_UNITS`, `hands_lower_by` is how much lower the wrist-relative error is
        without the fifth of the hands whose regions are widest on average, `joints_lower_by`
        without the fifth of all joints whose regions are; `best_lower_by` is what dropping the
        fifth of the hands with the largest errors would give, so that no confidence gives more.
        `auc` of hands against windows has no interval.
        """
        found = self.confidences
        if found is None:
            return {}
        estimates = {
            key: statistics.mean(found.columns[key], self.person, bounds=bounds)
            for key, bounds in CONFIDENCE_UNITS.items()
        }
        errors, radii = found.error_m, found.radius_m  # (N, 20)
        each = np.repeat(self.person, errors.shape[1])
        hands = errors.mean(1)
        estimates |= {
            "hands_lower_by": lower_by(hands, radii.mean(1), self.person),
            "joints_lower_by": lower_by(errors.ravel(), radii.ravel(), each),
            "best_lower_by": lower_by(hands, hands, self.person),
        }
        windows = found.windows[~np.isnan(found.windows)]
        auc = ranking_auc(found.hands, windows)
        recognised = estimates["hand_recognised"]
        no_interval = float("nan"), float("nan")
        estimates["auc"] = Estimate(auc, *no_interval, recognised.samples, recognised.subjects)
        return estimates

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
    (of_windows,) = rng.spawn(1)  # which leaves the boxes as they are
    while batch := list(islice(stream, BATCH)):
        found.append(_score_batch(predictor, batch, rng, of_windows))
    table = {key: torch.cat([part[key] for part in found]).numpy() for key in found[0]}
    confidences = None
    if "radius_m" in table:
        columns = {key: table[key].astype(np.float64) for key in CONFIDENCE_UNITS}
        rest = (table[key] for key in ("error_m", "radius_m", "hands", "windows"))
        confidences = Confidences(columns, *rest)
    return Scored(
        table.pop("person"),
        table.pop("rotation"),
        table.pop("faces"),
        {key: table[key].astype(np.float64) for key in UNITS},
        confidences,
    )


def _score_batch(
    predictor: Predictor,
    photographs: Sequence[Photograph],
    rng: np.random.Generator,
    of_windows: np.random.Generator,
) -> dict[str, Tensor]:
    px = predictor.net.gesture_net.image_px
    boxes = [users_box(joints_box(p), rng) for p in photographs]
    A = np.stack([affine(square(box, predictor.box_scale), px) for box in boxes])
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
    seen = hands.view.facing_logits.cpu().argmax(-1)
    is_other = (seen != faces) & (seen != EDGE)
    distance = (hands.uv.cpu() - uv).norm(dim=-1) / extent[:, None]  # (B, 21)
    centre = (uv - (px - 1) / 2).norm(dim=-1) / extent[:, None]
    confidence = {}
    if hands.confidence is not None:
        about_wrist = turned - turned[:, WRIST, None]
        errors = (hands.uv.cpu() - uv).norm(dim=-1), (predicted - about_wrist).norm(dim=-1)
        confidence = _confidence(hands.confidence, *errors)
        confidence |= _windows(predictor, photographs, of_windows)
    return confidence | {
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
        "facing": (seen == faces).float(),
        "palm_for_back": torch.where(faces == EDGE, torch.nan, is_other.float()),
        "mirrored": mirrored_fingers(predicted, turned, valid, is_left),
    }


def joints_box(photograph: Photograph) -> NDArray[np.float64]:
    """The box of the joints, (4,) x, y, width, height in px of the photograph."""
    uv = project(torch.from_numpy(photograph.joints_cam), torch.from_numpy(photograph.K)).numpy()
    return np.concatenate([uv.min(0), np.ptp(uv, axis=0)])


def _confidence(found: HandConfidence, error_px: Tensor, error_m: Tensor) -> dict[str, Tensor]:
    """Columns of the confidence in hands with these errors (B, 21), px of the crop and m."""
    known = np.ones(error_px.shape, bool)
    fingers = known.copy()
    fingers[:, WRIST] = False  # the origin, which has no error
    pairs = (
        ("inside_2d", error_px, found.radius_px, known),
        ("inside_3d", error_m, found.radius_m, fingers),
    )
    columns = {
        key: torch.from_numpy(inside(error.numpy(), radius.cpu().numpy(), which))
        for key, error, radius, which in pairs
    }
    hands = found.is_hand.cpu()
    return columns | {
        "error_m": error_m[:, fingers[0]],
        "radius_m": found.radius_m.cpu()[:, fingers[0]],
        "hands": hands,
        "hand_recognised": (hands >= EVEN).float(),
    }


def _windows(
    predictor: Predictor, photographs: Sequence[Photograph], rng: np.random.Generator
) -> dict[str, Tensor]:
    """Columns of windows without a hand, one of each photograph that has room for it."""
    px = predictor.net.gesture_net.image_px
    places = [
        empty_window(joints_box(p), (p.image.shape[1], p.image.shape[0]), rng) for p in photographs
    ]
    views = [
        (p.image, affine(place, px))
        for p, place in zip(photographs, places, strict=True)
        if place is not None
    ]
    found = torch.full((len(places),), torch.nan)
    if views:
        images, A = zip(*views, strict=True)
        confidence = predictor.in_photos(images, np.stack(A)).confidence
        assert confidence is not None, "the model has a confidence head"
        found[torch.tensor([place is not None for place in places])] = confidence.is_hand.cpu()
    recognised = torch.where(found.isnan(), torch.nan, (found < EVEN).float())
    return {"windows": found, "window_recognised": recognised}
