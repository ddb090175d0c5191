"""A picture of an annotation that contradicts itself: box against joints, joints against fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.evaluation.draw import MODEL, PLAIN, TRUTH, draw_skeleton, enlarge, enlarge_points

MARGIN = 0.25
"""Of the extent of what is drawn, at each side."""

SMALLEST_PX = 32.0
"""Extent of the part that is shown, at least."""


def draw_contradiction(
    photo: NDArray[np.uint8], row: Mapping[str, Any], side: int
) -> NDArray[np.uint8]:
    """The part of a photo where box, joints and fit lie, with them drawn.

    The box is green (`TRUTH`) with the joints blue (`MODEL`); the joints are green with the fit
    blue.

    Args:
        photo: (H, W, 3) RGB.
        row: of contradictions.parquet, with joints.
        side: px of the picture: small photos are enlarged to about this.
    """
    joints = np.array(row["joints"]).reshape(-1, 2)
    fit = None if row["fit"] is None else np.array(row["fit"]).reshape(-1, 2)
    box = None if row["box"] is None else np.array(row["box"])
    points = [joints] + ([fit] if fit is not None else [])
    points += [np.stack([box[:2], box[:2] + box[2:]])] if box is not None else []
    begin, end = _shown(np.concatenate(points), np.array([photo.shape[1], photo.shape[0]]))
    part = _part(photo, begin, end)
    zoom = max(1, round(2 * side / max(part.shape)))
    picture, offset = enlarge(part, zoom), begin
    if box is not None and np.isfinite(box).all():
        low, high = enlarge_points(np.stack([box[:2], box[:2] + box[2:]]) - offset, zoom)
        thick = max(2, picture.shape[0] // 110)
        corners = tuple(low.round().astype(int).tolist()), tuple(high.round().astype(int).tolist())
        cv2.rectangle(picture, *corners, TRUTH, thick)
    first = MODEL if fit is None else TRUTH
    picture = draw_skeleton(picture, enlarge_points(joints - offset, zoom), colour=first)
    if fit is not None:
        picture = draw_skeleton(picture, enlarge_points(fit - offset, zoom), colour=MODEL)
    return picture


def _shown(
    points: NDArray[np.float64], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last pixel + 1, (x, y) each, of the part that shows these points (N, 2) px.

    It may reach beyond the photo by the photo's own size; of no finite point, it is the photo.
    """
    points = points[np.isfinite(points).all(1)].clip(-size, 2 * size)
    if not len(points):
        return np.zeros(2, np.int64), size
    low, high = points.min(0), points.max(0)
    reach = np.maximum((high - low) * (0.5 + MARGIN), SMALLEST_PX / 2)
    middle = (low + high) / 2
    return np.floor(middle - reach).astype(np.int64), np.ceil(middle + reach).astype(np.int64)


def _part(
    photo: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """These pixels of a photo, light grey beyond its edges."""
    part = np.full((*(end - begin)[::-1], 3), PLAIN, np.uint8)
    height, width = photo.shape[:2]
    low, high = begin.clip(0, [width, height]), end.clip(0, [width, height])
    (x, y), (to_x, to_y) = low - begin, high - begin
    part[y:to_y, x:to_x] = photo[low[1] : high[1], low[0] : high[0]]
    return part
