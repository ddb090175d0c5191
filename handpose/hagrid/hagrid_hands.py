"""HaGRIDv2's hands: a photo, a box, a gesture and a side each, checked key by key.

Facts (hukenovs/hagrid, README and dataset/dataset.py): `hagrid_dataset/<gesture>/<id>.jpg`, and
`hagrid_annotations/<split>/<gesture>.json` of splits train, val and test, of which no two share a
`user_id`. A file maps the id of a photo to `bboxes`, x, y, width and height as shares of the
photo's width and height, `labels`, a gesture or no_gesture for each box, `user_id`, and
`hand_landmarks`: for each box 21 points x, y in shares, in MediaPipe's order, which is ours, or
none; found by a network, not by people. Earlier versions also say which hand shows the gesture:
`leading_hand`.

Which hand a box shows is not annotated in HaGRIDv2. It is determined from the landmarks where
`FACING` knows which face the photos show: the corner at the wrist between the knuckles of index and
little finger turns one way for a right palm, the other way for a left one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from handpose.data.annotation_table import FloatArray
from handpose.errors import HandPoseError
from handpose.hagrid.hagrid_map import GESTURES, HANDS, folder_of
from handpose.hand.facing import INDEX, PINKY
from handpose.hand.skeleton import WRIST

FACING = {
    **dict.fromkeys(("four", "ok", "one", "palm", "peace", "rock", "stop", "three", "three2",
                     "three3", "two_up"), "palm"),
    **dict.fromkeys(("peace_inverted", "stop_inverted", "two_up_inverted"), "back"),
}  # fmt: skip
"""The face of the hand that photos of a gesture show, judged from its name and shape and not from
the photos. Others, such as `fist` and `like`, are shown from either side."""

NO_GESTURE = "no_gesture"

PHOTOS, ANNOTATIONS = "hagrid_dataset", "hagrid_annotations"

LEAST_TURN = 0.15
"""Sine of that corner below which a palm is seen too much from its edge to determine the side."""

BEYOND = 0.5
"""Share of a box by which its landmarks' middle may lie outside of it: else they are another
hand's."""

NO_LANDMARKS = np.zeros((0, 2))


class HagridError(HandPoseError):
    """A file is missing, or is not HaGRID's."""


class HagridHand(NamedTuple):
    """One hand that shows a gesture."""

    photo: str  # path below the data set's folder
    gesture: str
    is_left: bool
    user: str
    box: FloatArray  # (4,) x, y, w, h of joints, else of the hand; shares of the photo's sides


class HagridHands(NamedTuple):
    """The hands of a split, and how many are not used, by reason."""

    hands: list[HagridHand]  # by gesture, then by photo, whichever file they are of
    unused: Counter[str]


def read_hagrid(
    root: Path, folders: Collection[str], *, most: int = 0, seed: int = 0, split: str
) -> HagridHands:
    """The hands of a split whose gesture is used and whose side is known.

    Args:
        root: holds `hagrid_dataset` and `hagrid_annotations`.
        folders: those that are used, as `folder_of` names them.
        most: hands of each gesture, drawn at random from all files; 0: all.
        seed: of the draw.
        split: train, val or test.

    Raises:
        HagridError: no file of a used gesture is there, or one is no JSON of photos.
    """
    folder = root / ANNOTATIONS / split
    hands: list[HagridHand] = []
    unused: Counter[str] = Counter()
    files = {name: folder / f"{name}.json" for name in GESTURES if _is_used(name, folders)}
    there = {name: path for name, path in files.items() if path.is_file()}
    if not there:
        raise HagridError(
            f"{folder}: has none of {', '.join(path.name for path in files.values())}; expected "
            "HaGRIDv2's unpacked folders, as docs/hagrid.md describes"
        )
    of_gesture: defaultdict[str, list[HagridHand]] = defaultdict(list)
    for name, path in sorted(there.items()):
        for hand in _of_file(path, name, folders, unused):
            of_gesture[hand.gesture].append(hand)  # a photo of one gesture may show another, too
    for name, own in sorted(of_gesture.items()):
        own.sort(key=lambda hand: hand.photo)
        hands += _drawn(own, most, np.random.default_rng([seed, *name.encode()]))
        unused["more_than_asked_for"] += max(0, len(own) - most) if most else 0
    for name in sorted(set(files) - set(there)):
        unused[f"no_file_of_{name}"] += 1
    return HagridHands(hands, +unused)


def _drawn(
    hands: Sequence[HagridHand], most: int, rng: np.random.Generator
) -> Sequence[HagridHand]:
    """So many of these hands at most, in their order; 0: all."""
    if not most or len(hands) <= most:
        return hands
    return [hands[k] for k in np.sort(rng.permutation(len(hands))[:most])]


def _is_used(gesture: str, folders: Collection[str]) -> bool:
    return any(folder_of(gesture, hand) in folders for hand in HANDS)


def _of_file(
    path: Path, gesture: str, folders: Collection[str], unused: Counter[str]
) -> Iterator[HagridHand]:
    """The hands of one file; those that are not used are counted."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise HagridError(f"{path}: is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise HagridError(f"{path}: expected an object of photos by id")
    for photo, entry in sorted(content.items()):
        try:
            boxes, labels, user = _checked(entry)
            if PurePath(photo).name != photo:
                raise ValueError("its id leads to another folder")
        except (KeyError, TypeError, ValueError):
            unused["malformed"] += 1
            continue
        landmarks = entry.get("hand_landmarks")
        fits = isinstance(landmarks, list) and len(landmarks) == len(boxes)
        matched = landmarks if fits else [[]] * len(boxes)
        # it is said of the photo: of two hands that show a gesture, nobody knows which it means
        alone = sum(label != NO_GESTURE for label in labels) == 1
        leading = entry.get("leading_hand") if alone else None
        for box, label, points in zip(boxes, labels, matched, strict=True):
            if not _is_used(label, folders):
                unused["no_gesture" if label == NO_GESTURE else "not_mapped"] += 1
                continue
            if not ((box[2:] > 0).all() and (box[:2] < 1).all() and (box[:2] + box[2:] > 0).all()):
                unused["empty_box"] += 1
                continue
            own = _landmarks(points, box)
            is_left = _side(leading, own, FACING.get(label, ""))
            if is_left is None:
                unused["side_unknown"] += 1
                continue
            around = _around(own) if len(own) else box
            yield HagridHand(f"{PHOTOS}/{gesture}/{photo}.jpg", label, is_left, user, around)


def _checked(entry: Any) -> tuple[list[FloatArray], list[str], str]:
    """Boxes, labels and user of a photo; an error of Python's for anything else."""
    boxes = [np.array(box, np.float64) for box in entry["bboxes"]]
    labels, user = list(entry["labels"]), entry["user_id"]
    if not isinstance(user, str) or len(labels) != len(boxes):
        raise ValueError("labels and boxes differ")
    if any(box.shape != (4,) or not np.isfinite(box).all() for box in boxes):
        raise ValueError("a box is not four numbers")
    if not all(isinstance(label, str) for label in labels):
        raise TypeError("a label is no text")
    return boxes, labels, user


def _landmarks(points: Any, box: FloatArray) -> FloatArray:
    """The 21 points (21, 2) of a hand, or `NO_LANDMARKS` if they are none, or not of this box."""
    try:
        own = np.array(points, np.float64)
    except (TypeError, ValueError):
        return NO_LANDMARKS
    if own.shape != (21, 2) or not np.isfinite(own).all() or (np.ptp(own, axis=0) <= 0).any():
        return NO_LANDMARKS
    middle = (own.min(0) + own.max(0)) / 2
    beyond = np.maximum(box[:2] - middle, middle - box[:2] - box[2:]) / box[2:]
    return own if (beyond < BEYOND).all() else NO_LANDMARKS


def _around(points: FloatArray) -> FloatArray:
    """The box x, y, w, h of points (P, 2)."""
    return np.concatenate([points.min(0), np.ptp(points, axis=0)])


def _side(leading: Any, points: FloatArray, facing: str) -> bool | None:
    """Whether the hand is a left one; None if it cannot be determined."""
    if leading in ("left", "right"):
        return bool(leading == "left")
    return side_of(points, facing) if len(points) else None


def side_of(points: FloatArray, facing: str) -> bool | None:
    """Whether a hand that shows this face is a left one; None from its edge, or without a face.

    Args:
        points: (21, 2) in the image, y down.
        facing: palm, back or ''.
    """
    index, pinky = points[INDEX] - points[WRIST], points[PINKY] - points[WRIST]
    turn = index[0] * pinky[1] - index[1] * pinky[0]
    length = float(np.linalg.norm(index) * np.linalg.norm(pinky))
    if not facing or not length or abs(turn) < LEAST_TURN * length:
        return None
    return bool((turn > 0) == (facing == "palm"))
