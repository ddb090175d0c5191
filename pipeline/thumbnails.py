"""Thumbnails: hands cut out of photos, as small WebP pictures that a page of HTML holds in itself.

Photos are opened by all cores, each once; what cannot be shown says why.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.cores import usable_cores
from handpose.data.crop import affine, square, warp
from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.errors import HandPoseError

SIDE_PX = 96
QUALITY = 60
"""Of WebP: about 1.5 kB for a thumbnail."""

AROUND = 1.5
"""Side of what is shown / longer side of the hand's box."""

MOST_BYTES = 15_000_000
"""Of a page, so that a telephone opens it."""

AT_A_TIME = 256
"""Photos that wait for a thread: a large set is not queued as a whole."""


class PageSizeError(HandPoseError):
    """A page would hold more pictures than a telephone opens."""


class HandPhoto(NamedTuple):
    """A hand in a photo."""

    image: str  # below data.root
    width: int  # px of the photo, as annotated
    height: int
    box: tuple[float, float, float, float]  # x, y, w, h px


class Thumbnail(NamedTuple):
    """A picture as a data: URI, or why there is none."""

    uri: str
    fault: str = ""


def thumbnails(
    wanted: Sequence[Sequence[HandPhoto]],
    root: Path,
    *,
    step: Callable[[], None],
    side: int = SIDE_PX,
    paint: Callable[[NDArray[np.uint8], int, NDArray[np.float64]], NDArray[np.uint8]] | None = None,
    remedy: str = "",
) -> list[Thumbnail]:
    """A thumbnail for each item: of the first of its photos that can be opened.

    Args:
        wanted: for each item the photos that may stand for it, the best one first.
        root: data.root.
        step: called after each item.
        side: of a picture, px.
        paint: draws on a crop, given with the item's number and the map (3, 3) from pixels of the
            photo to those of the crop.
        remedy: what to do where the pictures are too many for one page.

    Raises:
        PageSizeError: all pictures together are larger than `MOST_BYTES`.
    """
    found: list[Thumbnail] = []
    size = 0
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(wanted), AT_A_TIME):
            some = range(start, min(start + AT_A_TIME, len(wanted)))
            for one in pool.map(lambda k: _thumbnail(wanted[k], root, k, side, paint), some):
                size += len(one.uri)
                if size > MOST_BYTES:
                    raise PageSizeError(
                        f"{len(found):,} of {len(wanted):,} pictures fill {MOST_BYTES / 1e6:.0f} "
                        f"MB already, which is what a telephone opens; {remedy}"
                    )
                found.append(one)
                step()
    return found


def _thumbnail(
    photos: Iterable[HandPhoto], root: Path, number: int, side: int, paint: Any
) -> Thumbnail:
    fault = ""
    for one in photos:
        try:
            photo = read_photo(Photo(root / one.image, one.width, one.height))
        except PhotoError as error:
            fault = fault or str(error)
            continue
        picture, A = cut(photo, one.box, side)
        return Thumbnail(as_uri(picture if paint is None else paint(picture, number, A)))
    return Thumbnail("", fault)


def cut(
    photo: NDArray[np.uint8], box: Sequence[float], side: int = SIDE_PX
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The hand (side, side, 3) of a photo, averaged where it is made smaller; black beyond.

    Returns:
        The picture, and A (3, 3): pixels of the photo -> pixels of the picture.
    """
    region = square(box, AROUND)
    native = max(side, round(region.side))
    part = warp(photo, affine(region, native), native)
    if native > side:
        part = np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return part.copy(), affine(region, side)


def as_uri(picture: NDArray[np.uint8]) -> str:
    """The picture (H, W, 3) RGB as a `data:` URI."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def evenly(items: Sequence[Any], most: int) -> Iterator[Any]:
    """At most so many of these, at equal steps, in their order."""
    count = min(most, len(items))
    yield from (items[(2 * k + 1) * len(items) // (2 * count)] for k in range(count))
