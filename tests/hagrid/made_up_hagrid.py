"""A small HaGRIDv2 in its own layout: drawn hands, whose sides and gestures are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 120
SPREAD = (0.5, 0.25, 0.08, -0.1, -0.28)
"""Across a right palm that faces the camera, thumb to little finger, to the right in the image."""


def drawn_hand(*, is_left: bool, back: bool, at: tuple[float, float]) -> NDArray[np.float64]:
    """21 landmarks x, y (21, 2) of a hand with its fingers up, in shares of the photo's sides."""
    flip = -1 if is_left != back else 1
    points = [(0.0, 0.0)]
    for across in SPREAD:
        points += [(flip * across * (0.6 + 0.1 * k), -0.5 - 0.17 * k) for k in range(4)]
    return np.array(at) + np.array(points) * (0.2, 0.3)


def around(points: NDArray[np.float64], border: float = 0.03) -> list[float]:
    """The box of a hand, a little wider than its landmarks."""
    low, high = points.min(0) - border, points.max(0) + border
    return [*low.tolist(), *(high - low).tolist()]


def entry(
    shown: list[str], hands: list[NDArray[np.float64]], user: str, **more: Any
) -> dict[str, Any]:
    """What a file says of a photo on which these gestures are shown."""
    return {
        "bboxes": [around(hand) for hand in hands],
        "labels": shown,
        "united_bbox": None,
        "united_label": None,
        "user_id": user,
        "hand_landmarks": [hand.tolist() for hand in hands],
        "meta": {"age": [30.5], "gender": ["female"], "race": ["Asian"]},
        **more,
    }


def write_photo(path: Path, hands: list[NDArray[np.float64]]) -> None:
    """A photo with a bright dot at each landmark."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for x, y in np.concatenate(hands) * (WIDTH, HEIGHT):
        cv2.circle(image, (round(x), round(y)), 2, (255, 255, 255), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_hagrid(
    root: Path,
    gestures: dict[str, bool],
    photos: int = 4,
    splits: tuple[str, ...] = ("train", "val"),
) -> None:
    """So many photos of each gesture in each split; hands in turn right and left.

    `gestures` says of each whether its photos show the back of the hand.
    """
    for split in splits:
        for gesture, back in gestures.items():
            content = {}
            for k in range(photos):
                name = f"{split}-{gesture}-{k:04d}"
                hand = drawn_hand(is_left=k % 2 == 1, back=back, at=(0.5, 0.7))
                content[name] = entry([gesture], [hand], f"{split}-user-{k}")
                write_photo(root / "hagrid_dataset" / gesture / f"{name}.jpg", [hand])
            path = root / "hagrid_annotations" / split / f"{gesture}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
