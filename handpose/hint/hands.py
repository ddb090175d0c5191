"""HInt's test hands: a photo and a JSON file each, checked key by key.

Facts (ddshan/hint, README and visualize_HInt/draw_hand.py): folders `TEST_newdays_img`,
`TEST_epick_img` and `TEST_ego4d_img` of pairs `NAME.jpg` and `NAME.json`; a file is a list of one
object with `bbox` [[left, top, right, bottom]] px, `keypoints` 21 x 2 px in COCO-WholeBody's order
of hands, which is ours, and `occlusion`, 21 times 0 or 1. The side is the end of a name, `_l` or
`_r`. Ego4D's photos are not in the download: they have a licence of their own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handpose.data.annotation_table import BoolArray, FloatArray
from handpose.data.merged.interval_units import Units
from handpose.errors import HandPoseError

SUBSETS = {
    "newdays": "TEST_newdays_img",
    "epick": "TEST_epick_img",
    "ego4d": "TEST_ego4d_img",
}
"""Names in tables -> folders."""

HANDS = {"newdays": 1_754, "epick": 1_906, "ego4d": 1_714}
"""In each subset (prep_ego4d.py counts its files, two for each hand)."""

UNITS = Units("video", "videos", "HInt names no people")
"""What intervals resample."""

FAR_BEYOND = 1.0
"""Share of the box's longer side by which joints may lie outside of it."""


class HintError(HandPoseError):
    """A file is missing, or is not HInt's."""


class HintHand(NamedTuple):
    """One hand."""

    photo: Path
    is_left: bool
    box: FloatArray  # (4,) x, y, w, h px
    joints: FloatArray  # (21, 2) px, our order
    occluded: BoolArray  # (21,)
    video: str  # that the photo is from: what intervals resample


def read_subsets(root: Path) -> tuple[dict[str, list[HintHand]], list[str]]:
    """The hands of every subset that has photos, and the subsets that have none.

    Raises:
        HintError: no subset is there; a photo or a JSON file of a pair is missing; a file is not as
            described.
    """
    found, without = {}, []
    for subset, folder in SUBSETS.items():
        files = sorted((root / folder).glob("*.json"))
        if not files:
            continue
        photos = {path.stem for path in (root / folder).glob("*.jpg")}
        if not photos:
            without.append(subset)
            continue
        names = {path.stem for path in files}
        if odd := sorted(names ^ photos):
            kind = "jpg" if odd[0] in names else "json"
            raise HintError(
                f"{root / folder}: {len(odd)} of its pairs are not whole; {odd[0]}.{kind} is "
                "missing"
            )
        found[subset] = [_hand(path, subset) for path in files]
    if not found:
        folders = ", ".join(SUBSETS.values())
        raise HintError(
            f"{root}: has no pair of photo and JSON in any of {folders}; expected HInt's unpacked "
            "folder, as docs/benchmarks.md describes"
        )
    return found, without


def sha256_of(subsets: Mapping[str, Sequence[HintHand]]) -> str:
    """Of photos' names, boxes and joints: whether two scores are of the same hands."""
    found = hashlib.sha256()
    for subset, hands in sorted(subsets.items()):
        for hand in hands:
            found.update(f"{subset}/{hand.photo.name}\n".encode())
            found.update(np.append(hand.box, hand.joints).astype("<f8").tobytes())
    return found.hexdigest()


def _hand(path: Path, subset: str) -> HintHand:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise HintError(f"{path}: is no JSON: {error}") from None
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        raise HintError(f"{path}: expected a list of one hand")
    (hand,) = content
    joints = _array(path, hand, "keypoints", (21, 2), "21 x 2 px")
    corners = _array(path, hand, "bbox", (1, 4), "[[left, top, right, bottom]] px")[0]
    occluded = _array(path, hand, "occlusion", (21,), "21 times 0 or 1")
    size = corners[2:] - corners[:2]
    if not (size > 0).all():
        raise HintError(
            f"{path}: bbox: expected left, top, right, bottom, found {corners.tolist()}"
        )
    if not set(occluded.tolist()) <= {0.0, 1.0}:
        raise HintError(f"{path}: occlusion: expected 0 or 1, found {occluded.tolist()}")
    beyond = np.maximum(corners[:2] - joints, joints - corners[2:]).max()
    if beyond > FAR_BEYOND * size.max():
        raise HintError(
            f"{path}: a joint lies {beyond:.0f} px outside of a box of {size.max():.0f} px: is the "
            "box of a photo of another size?"
        )
    side = re.search(r"_([lr])$", path.stem)
    if side is None:
        raise HintError(f"{path}: its name gives no side; expected an end of _l or _r")
    return HintHand(
        path.with_suffix(".jpg"),
        side[1] == "l",
        np.concatenate([corners[:2], size]),
        joints,
        occluded.astype(np.bool_),
        _video(path.stem, subset),
    )


def _array(
    path: Path, hand: dict[str, Any], key: str, shape: Sequence[int], what: str
) -> FloatArray:
    try:
        array = np.array(hand[key], np.float64)
        if key == "keypoints" and array.ndim == 2:
            array = array[:, :2]  # a third column would be a score
    except KeyError:
        raise HintError(f"{path}: has no {key}; found {', '.join(hand)}") from None
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != tuple(shape) or not np.isfinite(array).all():
        raise HintError(f"{path}: {key}: expected {what}, found {str(hand[key])[:60]}")
    return array


def _video(name: str, subset: str) -> str:
    """Of `ND_VIDEO_frame..`, `EK_0064_P03_10_frame..`, or Ego4D's `UUID_UUID_..`."""
    if subset == "ego4d":
        return name[:36]
    return re.sub(r"^(ND|EK_\d+)_|_frame.*$", "", name)
