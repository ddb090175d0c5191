"""Measures of what a photo shows: too dark, another hand beside the annotated one, the last photo.

A photo is opened once for each hand annotated in it. Where that is two, a second hand is no fault.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.cores import usable_cores
from handpose.data.annotation_table import INTERACTING
from handpose.data.photo import Photo, PhotoError, read_photo
from pipeline.faults.ingested_hands import Floats, IngestedHands, Ints
from pipeline.faults.second_hand import AreHands, Surroundings, second_hands, without_hand

LOOK = 32
"""Side of the picture by which two photos are compared."""
SAME_LEVELS = 1.5
"""Mean difference of two photos, grey levels, below which they are one, encoded again perhaps."""

BRIGHT = 95.0
"""Percentile of a box's brightness: a hand fills more than a twentieth of its box."""

AT_A_TIME = 64
"""Photos whose surroundings the network sees at once."""


class PhotoMeasures(NamedTuple):
    """Of N views; NaN of photos that were not opened, or could not be."""

    dark_photo: Floats
    second_hand: Floats
    repeated_photo: Floats
    faults: list[str]  # of photos that could not be opened


class Looked(NamedTuple):
    """What is kept of a photo."""

    dark: float
    around: Surroundings | None
    look: NDArray[np.uint8] | None  # (LOOK, LOOK) grey, of the whole photo; None: not opened
    fault: str = ""


def measure_photos(
    hands: IngestedHands,
    views: Ints,
    root: Path,
    are_hands: AreHands,
    step: Callable[[], None],
) -> PhotoMeasures:
    """Open the photos of these views.

    Args:
        hands: whose views.
        views: (K,) their numbers; sorted as `in_order` does, so that a camera's photos follow one
            another.
        root: data.root.
        are_hands: the network.
        step: called after each photo.
    """
    dark, beside, repeated = (np.full(len(hands), np.nan) for _ in range(3))
    faults: list[str] = []
    before: tuple[int, NDArray[np.uint8]] | None = None
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(views), AT_A_TIME):
            some = views[start : start + AT_A_TIME].tolist()
            looked = list(pool.map(lambda view: look_at(hands, view, root), some))
            beside[some] = second_hands([one.around for one in looked], are_hands)
            for view, one in zip(some, looked, strict=True):
                step()
                if one.look is None:
                    faults.append(one.fault)
                    continue
                dark[view], repeated[view] = one.dark, 0.0
                if before is not None and _one_camera(hands, before[0], view):
                    repeated[view] = _moved(hands, before, (view, one.look))
                before = (view, one.look)
    return PhotoMeasures(dark, beside, repeated, faults)


def in_order(hands: IngestedHands, most: int) -> Ints:
    """The views to open, camera by camera in the order of time.

    Of more than `most`, sequences as a whole: at equal steps through all of them, so that of a
    camera the photos in between are not missing.
    """
    names = ("source_split", "session", "camera", "sequence")
    codes = [np.unique(hands.columns[name], return_inverse=True)[1].ravel() for name in names]
    # one of two hands follows itself, not the other one
    of_two = np.where(hands.columns["kind"] == INTERACTING, 1 + hands.columns["is_left"], 0)
    order = np.lexsort([hands.columns["frame"], of_two, *reversed(codes[:3])])
    if len(order) <= most:
        return order.astype(np.int64)
    clip = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)[1].ravel()
    count = int(clip.max()) + 1
    kept = max(1, int(count * most / len(order)))
    chosen = np.unique(np.linspace(0, count - 1, kept).astype(np.int64))
    return order[np.isin(clip[order], chosen)].astype(np.int64)


def look_at(hands: IngestedHands, view: int, root: Path) -> Looked:
    """Open the photo of a view."""
    name, width, height = (hands.columns[key][view] for key in ("image", "width", "height"))
    try:
        photo = read_photo(Photo(root / name, int(width), int(height)))
    except PhotoError as error:
        return Looked(np.nan, None, None, str(error))
    small = cv2.resize(photo, (LOOK, LOOK), interpolation=cv2.INTER_AREA)
    look = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    x, y, w, h = hands.bbox[view].round().astype(int)
    box = photo[y : y + h + 1, x : x + w + 1].max(-1)
    dark = 255.0 - float(np.percentile(box, BRIGHT)) if box.size else np.nan
    if hands.columns["kind"][view] == INTERACTING:
        return Looked(dark, None, look)
    return Looked(dark, without_hand(photo, hands.uv[view], hands.bbox[view]), look)


def _one_camera(hands: IngestedHands, first: int, second: int) -> bool:
    names = ("source_split", "session", "camera")
    same = all(hands.columns[name][first] == hands.columns[name][second] for name in names)
    kinds, sides = hands.columns["kind"], hands.columns["is_left"]
    if INTERACTING in (kinds[first], kinds[second]):
        same = same and kinds[first] == kinds[second] and sides[first] == sides[second]
    return bool(same and hands.columns["frame"][first] != hands.columns["frame"][second])


def _moved(
    hands: IngestedHands,
    first: tuple[int, NDArray[np.uint8]],
    second: tuple[int, NDArray[np.uint8]],
) -> float:
    """How far the joints moved between two views of one photo; 0 where the photos differ."""
    difference = np.abs(first[1].astype(np.int16) - second[1]).mean()
    if difference > SAME_LEVELS:
        return 0.0
    apart = np.linalg.norm(hands.uv[first[0]] - hands.uv[second[0]], axis=-1)
    if not np.isfinite(apart).any():
        return 0.0
    return float(np.nanmean(apart) / max(hands.bbox[second[0]][2:].max(), 1.0))
